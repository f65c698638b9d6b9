DELETE FROM active_case a
 USING unnest($1::uuid[], $2::uuid[]) AS x(organization_id, case_id)
 WHERE a.organization_id = x.organization_id AND a.case_id = x.case_id
