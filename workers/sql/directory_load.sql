-- The entities of a batch. An application is found whoever owns it; a forgotten one belongs to nobody.
SELECT d.kind, d.organization_id, d.entity_id, d.status, d.version, d.name, d.detail, d.picture, d.parent_id,
       to_jsonb(d.roles)::text AS roles, d.enabled
  FROM (SELECT d.*
          FROM unnest($1::smallint[], $2::uuid[], $3::uuid[]) AS x(kind, organization_id, entity_id)
          JOIN directory d ON d.kind = x.kind AND d.organization_id = x.organization_id AND d.entity_id = x.entity_id
        UNION ALL
        SELECT d.*
          FROM unnest($1::smallint[], $2::uuid[], $3::uuid[]) AS x(kind, organization_id, entity_id)
          JOIN directory d ON d.kind = 9 AND d.status <> 0 AND d.entity_id = x.entity_id
                          AND d.organization_id <> x.organization_id
         WHERE x.kind = 9) AS d
 ORDER BY d.kind, d.entity_id
