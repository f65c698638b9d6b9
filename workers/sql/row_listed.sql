SELECT organization_id, case_id, user_id, unit_id, status_date, case_timestamp, degraded, part, customer_ref, refs, body
  FROM active_case
 WHERE organization_id = $1::uuid AND case_id = $2::uuid
