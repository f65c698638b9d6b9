SELECT case_id, rev, flags, state FROM case_state WHERE case_id = ANY ($1::uuid[])
