-- An operator's command reports what is on disk. It does not wait for a standby while it holds cursors, and not for long
-- for a worker that holds one.
SELECT set_config('synchronous_commit', 'local', true), set_config('lock_timeout', $1::text, true)
