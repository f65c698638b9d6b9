-- One page of the cases of a generation, after a key; with it when it is where the first page begins ($2).
SELECT case_id, state, part, over_at
  FROM case_state
 WHERE case_id >= $1::uuid AND ($2::boolean OR case_id > $1)
 ORDER BY case_id
 LIMIT 500
