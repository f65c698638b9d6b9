-- The given cases that have no row in active_case.
SELECT x.case_id
  FROM unnest($1::uuid[], $2::uuid[]) AS x(organization_id, case_id)
 WHERE NOT EXISTS (SELECT FROM active_case a WHERE a.organization_id = x.organization_id AND a.case_id = x.case_id)
