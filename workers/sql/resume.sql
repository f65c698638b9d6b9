UPDATE ctl.cursor
   SET state = 'live', reason = NULL, updated_at = now()
 WHERE gen = $1::integer AND state <> 'live' AND ($2::text IS NULL OR topic = $2) AND ($3::integer IS NULL OR part = $3)
RETURNING topic, part, next_offset
