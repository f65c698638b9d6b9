-- These agents as they are now; a hash of each column of the view.
SELECT x.i, a.user_id IS NOT NULL AS present, coalesce(a.part, -1) AS part,
       CASE WHEN a.degraded THEN 2 WHEN a.user_id IS NULL THEN -1 ELSE 0 END::smallint AS flags,
       coalesce(a.rev, 0)::bigint AS rev, x.organization_id, x.user_id,
       hash_record_extended(ROW (a.current_unit_id), 0), hash_record_extended(ROW (a.has_workspaces), 0),
       hash_record_extended(ROW (a.degraded), 0)
  FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS x(organization_id, user_id, i)
  LEFT JOIN agent a ON a.organization_id = x.organization_id AND a.user_id = x.user_id
 ORDER BY x.i
