-- Claims a partition. The fence then refuses batches of the previous owner, which has the old claim.
UPDATE ctl.cursor
   SET claim = gen_random_uuid(), backend_pid = pg_backend_pid(), owner = $4::text, owner_epoch = owner_epoch + 1,
       backend_start = (SELECT a.backend_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()),
       updated_at = now()
 WHERE gen = $1::integer AND topic = $2::text AND part = $3::integer
RETURNING claim, next_offset, dir_no, last_record_offset, last_record_at, last_record_crc, state, reason,
          complete_at IS NOT NULL AS complete
