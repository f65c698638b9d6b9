-- How many records of these keys ($1, lower case) are parked in topic $2, and the last one.
SELECT x.i, count(*) AS parked,
       (array_agg(format('%s/%s offset %s (%s)', p.topic, p.part, p."offset", p.reason)
                  ORDER BY p.part DESC, p."offset" DESC))[1] AS last_one
  FROM unnest($1::text[]) WITH ORDINALITY AS x(key, i)
  JOIN parked p ON lower(encode(p.key, 'escape')) = x.key AND p.topic = $2::text
 GROUP BY x.i
 ORDER BY x.i
