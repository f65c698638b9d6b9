SELECT c.topic, c.part, c.next_offset, c.state, c.reason, c.owner, c.owner_epoch, c.last_record_at, c.complete_at, c.updated_at,
       coalesce(p.parked, 0) AS parked
  FROM ctl.cursor c
  LEFT JOIN (SELECT topic, part, count(*) AS parked FROM parked GROUP BY topic, part) p
    ON p.topic = c.topic AND p.part = c.part
 WHERE c.gen = $1::integer
 ORDER BY c.topic, c.part
