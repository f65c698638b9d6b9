UPDATE ctl.rebuild_step
   SET after_key = $3::bytea, seen = $4::bigint, changed = $5::bigint,
       finished_at = CASE WHEN $6::boolean THEN coalesce(finished_at, now()) END
 WHERE gen = $1::integer AND step = $2::text
