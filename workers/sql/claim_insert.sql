-- A partition met for the first time has no rows yet, so it starts at the directory's present number.
INSERT INTO ctl.cursor (gen, topic, part, dir_no)
SELECT $1::integer, $2::text, $3::integer, no FROM ctl.dir_clock WHERE gen = $1
ON CONFLICT (gen, topic, part) DO NOTHING
