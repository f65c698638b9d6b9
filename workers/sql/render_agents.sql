-- One page of the agents of these partitions ($1).
SELECT organization_id, user_id
  FROM agent
 WHERE part = ANY ($1::integer[]) AND (organization_id, user_id) > ($2::uuid, $3::uuid)
 ORDER BY organization_id, user_id
 LIMIT 1000
