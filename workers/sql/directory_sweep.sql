-- Forgotten entities that every partition has passed.
DELETE FROM directory
 WHERE status = 0
   AND change_no <= (SELECT min(dir_no) FROM ctl.cursor WHERE gen = $1::integer AND topic = ANY ($2::text[]))
