SELECT organization_id, user_id, part FROM agent WHERE part = ANY ($1::integer[]) AND refs && $2::text::bigint[]
