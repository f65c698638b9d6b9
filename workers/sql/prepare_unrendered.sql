-- Partitions of these topics ($2) whose rows for readers are not written yet; and whether the generation is still
-- waiting: another command may have dropped it.
SELECT (SELECT count(*) FROM ctl.cursor WHERE gen = $1::integer AND topic = ANY ($2::text[]) AND dir_no < 0) AS unrendered,
       EXISTS (SELECT FROM ctl.generation WHERE gen = $1 AND state = 'waiting') AS waiting
