-- One page of all agents of these partitions, with the entities that determine their gates.
SELECT organization_id, user_id, part, refs
  FROM agent
 WHERE part = ANY ($1::integer[]) AND (organization_id, user_id) > ($2::uuid, $3::uuid)
 ORDER BY organization_id, user_id
 LIMIT 1000
