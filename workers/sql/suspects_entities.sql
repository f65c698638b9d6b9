-- An application's row is found under any owner, not only under the organization given. Several forgotten rows are
-- possible.
SELECT d.kind, d.organization_id, d.entity_id, d.status, d.version, d.name, d.detail, d.picture, d.parent_id,
       to_jsonb(d.roles)::text, d.enabled
  FROM unnest($1::smallint[], $2::uuid[], $3::uuid[]) AS x(kind, organization_id, entity_id)
  JOIN directory d ON d.kind = x.kind AND d.organization_id = x.organization_id AND d.entity_id = x.entity_id
 WHERE d.kind <> 9 OR d.status = 0
 UNION ALL
SELECT d.kind, d.organization_id, d.entity_id, d.status, d.version, d.name, d.detail, d.picture, d.parent_id,
       to_jsonb(d.roles)::text, d.enabled
  FROM unnest($1::smallint[], $3::uuid[]) AS x(kind, entity_id)
  JOIN directory d ON d.kind = 9 AND d.status <> 0 AND d.entity_id = x.entity_id
 WHERE x.kind = 9
