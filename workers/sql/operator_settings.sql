-- An operator's command is durable on the primary before it reports. It does not wait for a standby while it locks
-- cursors, and waits only up to $1 for a cursor that a worker has locked.
SELECT set_config('synchronous_commit', 'local', true), set_config('lock_timeout', $1::text, true)
