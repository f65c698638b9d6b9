-- The listed cases of these partitions that name one of these customers.
SELECT organization_id, case_id, part FROM active_case WHERE customer_ref = ANY ($2::bigint[]) AND part = ANY ($1::integer[])
