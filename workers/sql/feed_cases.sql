-- One page of all listed cases of these partitions, with the entities that they name.
SELECT organization_id, case_id, part, refs
  FROM active_case
 WHERE part = ANY ($1::integer[]) AND (organization_id, case_id) > ($2::uuid, $3::uuid)
 ORDER BY organization_id, case_id
 LIMIT 1000
