-- The offset of each partition in this snapshot, and the directory change up to which its rows are rendered, -1: none of
-- them is yet. While the generation is deferred, workers render nothing. One row without a topic when there is no cursor.
SELECT c.topic, c.part, c.next_offset, c.dir_no, clock.no, g.deferred
  FROM ctl.generation g
  JOIN ctl.dir_clock clock ON clock.gen = g.gen
  LEFT JOIN ctl.cursor c ON c.gen = g.gen
 WHERE g.gen = $1::integer
 ORDER BY c.topic, c.part
