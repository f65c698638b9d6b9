-- Terminates the backend of the previous owner, which holds the cursor's lock while unresponsive (frozen, or cut off).
-- $4: the claimer's own writing connection, which may be the owner on record.
SELECT count(*) FILTER (WHERE pg_terminate_backend(a.pid))::integer AS ended
  FROM ctl.cursor c
  JOIN pg_stat_activity a ON a.pid = c.backend_pid AND a.backend_start = c.backend_start
 WHERE c.gen = $1::integer AND c.topic = $2::text AND c.part = $3::integer AND a.pid <> pg_backend_pid() AND a.pid <> $4::integer
