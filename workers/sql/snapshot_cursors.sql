-- The offset of each partition in this snapshot, and the directory change up to which its rows are rendered.
SELECT c.topic, c.part, c.next_offset, c.dir_no, c.state, clock.no
  FROM ctl.cursor c
  JOIN ctl.dir_clock clock ON clock.gen = c.gen
 WHERE c.gen = $1::integer
 ORDER BY c.topic, c.part
