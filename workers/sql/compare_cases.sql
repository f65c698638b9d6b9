-- One page of the listed cases from a key on, up to organization $3; a hash of the other columns of the view.
SELECT organization_id, case_id,
       hash_record_extended(ROW (user_id, unit_id, status_date, case_timestamp, degraded, body), 0) AS hash
  FROM active_case
 WHERE (organization_id, case_id) >= ($1::uuid, $2::uuid) AND organization_id <= $3::uuid
 ORDER BY organization_id, case_id
 LIMIT 5000
