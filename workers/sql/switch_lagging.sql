-- The first partition in which generation $2 has not read all that generation $1 has.
SELECT l.topic, l.part, l.next_offset, n.next_offset AS reached, n.state
  FROM ctl.cursor l
  LEFT JOIN ctl.cursor n ON n.gen = $2::integer AND n.topic = l.topic AND n.part = l.part
 WHERE l.gen = $1::integer AND (n.next_offset IS NULL OR n.next_offset < l.next_offset)
 ORDER BY l.topic, l.part
 LIMIT 1
