-- One page of the agents from a key on, up to an organization, with the entities that determine their gates; of all
-- partitions, like feed_cases.sql.
SELECT organization_id, user_id, part, refs
  FROM agent
 WHERE (organization_id, user_id) >= ($1::uuid, $2::uuid) AND organization_id <= $3::uuid
 ORDER BY organization_id, user_id
 LIMIT 1000
