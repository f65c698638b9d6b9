-- Unqualified tables are those of the generation: the search path names its schema.
SELECT g.state, (SELECT count(*) FROM parked) AS parked,
       (SELECT count(*) FROM case_state WHERE degraded_at IS NOT NULL)
       + (SELECT count(*) FROM agent WHERE degraded_at IS NOT NULL) AS degraded,
       (SELECT count(*) FROM case_state WHERE flags & 4 <> 0) AS incomplete,
       (SELECT count(*) FROM active_case) AS listed,
       (SELECT count(*) FROM agent) AS agents,
       coalesce((SELECT '--case ' || case_id FROM case_state WHERE degraded_at IS NOT NULL ORDER BY degraded_at LIMIT 1),
                (SELECT '--user ' || user_id || ' --organization ' || organization_id FROM agent
                  WHERE degraded_at IS NOT NULL ORDER BY degraded_at LIMIT 1)) AS degraded_as_option,
       (SELECT '--case ' || case_id FROM case_state WHERE flags & 4 <> 0 LIMIT 1) AS incomplete_as_option,
       g.prepared_at IS NOT NULL AS prepared
  FROM ctl.generation g
 WHERE g.gen = $1::integer
