SELECT topic, part, next_offset, state, reason, owner, owner_epoch, last_record_at, complete_at, updated_at
  FROM ctl.cursor
 WHERE gen = $1::integer
 ORDER BY topic, part
