-- Inserts the cursor of a new partition. It has no rows yet, so no directory change before now concerns it.
INSERT INTO ctl.cursor (gen, topic, part, dir_no)
SELECT $1::integer, $2::text, $3::integer, no FROM ctl.dir_clock WHERE gen = $1
ON CONFLICT (gen, topic, part) DO NOTHING
