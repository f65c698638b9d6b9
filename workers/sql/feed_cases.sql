-- The listed cases of these partitions that name one of these entities.
SELECT organization_id, case_id, part FROM active_case WHERE part = ANY ($1::integer[]) AND refs && $2::text::bigint[]
