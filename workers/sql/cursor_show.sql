SELECT topic, part, next_offset, last_record_offset, dir_no, state, reason, owner, complete_at, updated_at
  FROM ctl.cursor
 WHERE gen = $1::integer AND ($2::text IS NULL OR topic = $2) AND ($3::integer IS NULL OR part = $3)
 ORDER BY topic, part
