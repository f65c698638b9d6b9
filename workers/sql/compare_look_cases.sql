-- These cases as they are listed now, with their states; a hash of each column of the view.
SELECT x.i, a.case_id IS NOT NULL AS present, coalesce(c.part, a.part, -1) AS part, coalesce(c.flags, -1::smallint) AS flags,
       coalesce(c.rev, 0)::bigint AS rev, x.organization_id, a.user_id,
       hash_record_extended(ROW (a.user_id), 0), hash_record_extended(ROW (a.unit_id), 0),
       hash_record_extended(ROW (a.status_date), 0), hash_record_extended(ROW (a.case_timestamp), 0),
       hash_record_extended(ROW (a.degraded), 0), hash_record_extended(ROW (a.body), 0)
  FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS x(organization_id, case_id, i)
  LEFT JOIN active_case a ON a.organization_id = x.organization_id AND a.case_id = x.case_id
  LEFT JOIN case_state c ON c.case_id = x.case_id
 ORDER BY x.i
