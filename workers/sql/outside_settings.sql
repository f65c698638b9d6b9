-- An operator is told that it is done: so it is on disk. No worker waits for long, and neither do we for one of them.
SELECT set_config('synchronous_commit', 'on', true), set_config('lock_timeout', $1::text, true)
