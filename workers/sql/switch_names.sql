-- The first partition of these topics ($3) whose rows do not show the directory changes of its generation up to $2.
SELECT topic, part, dir_no
  FROM ctl.cursor
 WHERE gen = $1::integer AND topic = ANY ($3::text[]) AND dir_no < $2::bigint
 ORDER BY topic, part
 LIMIT 1
