-- All of active_case, a page at a time.
SELECT organization_id, case_id, user_id, unit_id, status_date, case_timestamp, degraded, part, customer_ref, refs, body
  FROM active_case
 WHERE (organization_id, case_id) > ($1::uuid, $2::uuid) OR $3::boolean
 ORDER BY organization_id, case_id
 LIMIT 1000
