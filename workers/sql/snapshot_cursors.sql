-- How far each partition is in this snapshot, and up to which change of the directory its rows show names.
SELECT c.topic, c.part, c.next_offset, c.dir_no, c.state, clock.no
  FROM ctl.cursor c
  JOIN ctl.dir_clock clock ON clock.gen = c.gen
 WHERE c.gen = $1::integer
 ORDER BY c.topic, c.part
