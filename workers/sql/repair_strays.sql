-- A case belongs to one organization: no other may list it.
DELETE FROM active_case WHERE case_id = $1::uuid AND organization_id <> $2::uuid
