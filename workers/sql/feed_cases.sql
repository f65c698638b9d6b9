-- One page of the listed cases from a key on, up to an organization, with the entities that they name. It has the rows
-- of all partitions: so its cost is bounded, however few of them are the worker's.
SELECT organization_id, case_id, part, refs
  FROM active_case
 WHERE (organization_id, case_id) >= ($1::uuid, $2::uuid) AND organization_id <= $3::uuid
 ORDER BY organization_id, case_id
 LIMIT 1000
