-- One page of case_state.
SELECT case_id, rev, part, flags, degraded_at IS NOT NULL, over_at IS NOT NULL, state
  FROM case_state
 WHERE case_id > $1::uuid OR $2::boolean
 ORDER BY case_id
 LIMIT 1000
