-- OFFSET 0 forces one index lookup per key: without it, stale statistics can make the planner scan the table.
SELECT d.kind, d.organization_id, d.entity_id, d.status, d.name, d.detail, d.picture, d.parent_id
  FROM unnest($1::smallint[], $2::uuid[], $3::uuid[]) AS x(kind, organization_id, entity_id),
       LATERAL (SELECT *
                  FROM directory
                 WHERE kind = x.kind AND organization_id = x.organization_id AND entity_id = x.entity_id
                OFFSET 0) AS d
