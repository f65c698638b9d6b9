-- Inserts the cursor of a new partition. It has no rows yet, so no directory change before now concerns it: carry-over
-- stores rows only for partitions that have a cursor. While a rebuild is not prepared it is -1: rows may be stored from now
-- on, and are still to be rendered.
INSERT INTO ctl.cursor (gen, topic, part, dir_no)
SELECT g.gen, $2::text, $3::integer, CASE WHEN g.prepared_at IS NULL THEN -1 ELSE k.no END
  FROM ctl.generation g
  JOIN ctl.dir_clock k USING (gen)
 WHERE g.gen = $1::integer
ON CONFLICT (gen, topic, part) DO NOTHING
