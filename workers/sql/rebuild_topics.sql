-- The first of these topics of which the generation has no cursor.
SELECT x.topic
  FROM unnest($2::text[]) WITH ORDINALITY AS x(topic, nth)
 WHERE NOT EXISTS (SELECT FROM ctl.cursor c WHERE c.gen = $1::integer AND c.topic = x.topic)
 ORDER BY x.nth
 LIMIT 1
