-- Partitions of these topics ($2) whose rows for readers are not written yet.
SELECT count(*) FROM ctl.cursor WHERE gen = $1::integer AND topic = ANY ($2::text[]) AND dir_no < 0
