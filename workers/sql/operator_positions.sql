-- Claims, offsets and directory number that an operator's batch is based on. Read before any name or row.
SELECT x.nth, coalesce(c.claim, '00000000-0000-0000-0000-000000000000') AS claim, c.next_offset, k.no
  FROM unnest($2::text[], $3::integer[]) WITH ORDINALITY AS x(topic, part, nth)
  JOIN ctl.cursor c ON c.gen = $1::integer AND c.topic = x.topic AND c.part = x.part
  JOIN ctl.dir_clock k ON k.gen = $1
