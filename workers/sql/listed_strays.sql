-- Rows of a case under an organization that is not its own.
SELECT organization_id FROM active_case WHERE case_id = $1::uuid AND organization_id <> $2::uuid
