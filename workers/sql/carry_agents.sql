-- One page of the agents of a generation, after a key; with it when it is where the first page begins ($3).
SELECT organization_id, user_id, state, part
  FROM agent
 WHERE (organization_id, user_id) >= ($1::uuid, $2::uuid) AND ($3::boolean OR (organization_id, user_id) > ($1, $2))
 ORDER BY organization_id, user_id
 LIMIT 500
