SELECT x.i, a.body
  FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS x(organization_id, case_id, i)
  JOIN active_case a ON a.organization_id = x.organization_id AND a.case_id = x.case_id
 ORDER BY x.i
