-- Rows of a case under another organization than its own.
SELECT organization_id FROM active_case WHERE case_id = $1::uuid AND organization_id <> $2::uuid
