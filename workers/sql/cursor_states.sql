-- The state and claim of these partitions, which an operator may have changed.
SELECT c.topic, c.part, c.state, c.reason, coalesce(c.claim, '00000000-0000-0000-0000-000000000000') AS claim, c.owner
  FROM unnest($2::text[], $3::integer[]) AS x(topic, part)
  JOIN ctl.cursor c ON c.gen = $1::integer AND c.topic = x.topic AND c.part = x.part
