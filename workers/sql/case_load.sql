SELECT case_id, rev, flags, state, part FROM case_state WHERE case_id = ANY ($1::uuid[])
