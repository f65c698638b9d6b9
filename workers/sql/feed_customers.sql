-- One page of the listed cases of these partitions that name one of these customers.
SELECT organization_id, case_id, part
  FROM active_case
 WHERE customer_ref = ANY ($4::bigint[]) AND part = ANY ($1::integer[])
   AND (organization_id, case_id) > ($2::uuid, $3::uuid)
 ORDER BY organization_id, case_id
 LIMIT 1000
