-- Which of these records an operator has skipped.
SELECT DISTINCT x.i
  FROM unnest($2::text[], $3::integer[], $4::bigint[]) WITH ORDINALITY AS x(topic, part, "offset", i)
  JOIN ctl.skipped s ON s.gen = $1::integer AND s.topic = x.topic AND s.part = x.part AND s."offset" = x."offset"
 ORDER BY x.i
