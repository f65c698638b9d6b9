-- One page of active_case, each row with the state of its case.
SELECT a.organization_id, a.case_id, a.user_id, a.unit_id, a.status_date, a.case_timestamp, a.degraded, a.part,
       a.customer_ref, a.refs, a.body, c.part, c.state
  FROM active_case a
  LEFT JOIN case_state c ON c.case_id = a.case_id
 WHERE (a.organization_id, a.case_id) > ($1::uuid, $2::uuid) OR $3::boolean
 ORDER BY a.organization_id, a.case_id
 LIMIT 1000
