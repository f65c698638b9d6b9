SELECT case_id, rev, part, flags, degraded_at IS NOT NULL, over_at IS NOT NULL, state
  FROM case_state
 WHERE case_id = ANY($1::uuid[])
