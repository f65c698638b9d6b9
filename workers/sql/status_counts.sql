-- Unqualified tables are those of the generation: the search path names its schema.
SELECT g.state, (SELECT count(*) FROM parked) AS parked,
       (SELECT count(*) FROM case_state WHERE degraded_at IS NOT NULL)
       + (SELECT count(*) FROM agent WHERE degraded_at IS NOT NULL) AS degraded,
       (SELECT count(*) FROM case_state WHERE flags & 4 <> 0) AS incomplete,
       (SELECT count(*) FROM active_case) AS listed,
       (SELECT count(*) FROM agent) AS agents,
       now() AS at
  FROM ctl.generation g
 WHERE g.gen = $1::integer
