-- The cursors of two generations, and their directory clocks.
SELECT c.gen = $1::integer AS is_first, c.topic, c.part, c.next_offset, c.dir_no, c.state <> 'live' AS stopped, clock.no
  FROM ctl.cursor c
  JOIN ctl.dir_clock clock ON clock.gen = c.gen
 WHERE c.gen IN ($1, $2::integer)
 ORDER BY c.gen, c.topic, c.part
