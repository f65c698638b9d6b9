-- One page of the agents of these partitions ($1), after a key; with it when it is where the first page begins ($4).
SELECT organization_id, user_id
  FROM agent
 WHERE part = ANY ($1::integer[]) AND (organization_id, user_id) >= ($2::uuid, $3::uuid)
   AND ($4::boolean OR (organization_id, user_id) > ($2, $3))
 ORDER BY organization_id, user_id
 LIMIT 1000
