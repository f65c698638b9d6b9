-- These applications as they are now; a hash of each column of the view.
SELECT x.i, d.entity_id IS NOT NULL AS present, -1 AS part, -1::smallint AS flags, coalesce(d.version, 0) AS rev,
       d.organization_id, NULL::uuid AS user_id,
       hash_record_extended(ROW (d.organization_id), 0), hash_record_extended(ROW (d.detail), 0),
       hash_record_extended(ROW (d.roles), 0), hash_record_extended(ROW (d.enabled), 0)
  FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS x(organization_id, entity_id, i)
  LEFT JOIN directory d ON d.kind = 9 AND d.status = 1 AND d.entity_id = x.entity_id
 ORDER BY x.i
