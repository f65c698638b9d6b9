-- Loads the entities of a batch. An application is found under any owner, unless it is forgotten and thus has none.
-- OFFSET 0 forces one index lookup per key: without it, stale statistics can make the planner scan the table.
SELECT d.kind, d.organization_id, d.entity_id, d.status, d.version, d.name, d.detail, d.picture, d.parent_id,
       to_jsonb(d.roles)::text AS roles, d.enabled
  FROM unnest($1::smallint[], $2::uuid[], $3::uuid[]) AS x(kind, organization_id, entity_id),
       LATERAL (SELECT *
                  FROM directory
                 WHERE kind = x.kind AND organization_id = x.organization_id AND entity_id = x.entity_id
                 UNION ALL
                SELECT *
                  FROM directory
                 WHERE x.kind = 9 AND kind = 9 AND status <> 0 AND entity_id = x.entity_id
                   AND organization_id <> x.organization_id
                OFFSET 0) AS d
 ORDER BY d.kind, d.entity_id
