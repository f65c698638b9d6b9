-- Inserts the cursor of a new partition. It has no rows yet, so no directory change before now concerns it; -1 while
-- rendering is deferred: its rows for readers are still to be written.
INSERT INTO ctl.cursor (gen, topic, part, dir_no)
SELECT g.gen, $2::text, $3::integer, CASE WHEN g.deferred THEN -1 ELSE k.no END
  FROM ctl.generation g
  JOIN ctl.dir_clock k USING (gen)
 WHERE g.gen = $1::integer
ON CONFLICT (gen, topic, part) DO NOTHING
