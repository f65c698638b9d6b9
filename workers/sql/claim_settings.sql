-- A claim must be on disk before its owner reads: an epoch lost in a crash would be handed out twice.
SELECT set_config('synchronous_commit', 'on', true), set_config('lock_timeout', '500ms', true)
