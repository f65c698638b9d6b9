-- Whether an operator has paused or resumed some of these partitions.
SELECT c.topic, c.part, c.state, c.reason
  FROM unnest($2::text[], $3::integer[]) AS x(topic, part)
  JOIN ctl.cursor c ON c.gen = $1::integer AND c.topic = x.topic AND c.part = x.part
