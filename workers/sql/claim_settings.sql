-- A claim is on disk before its owner reads on. It does not wait for a standby: a claim that a failover loses leaves an
-- older one in place, which no worker knows any more, so the fence refuses and the partition is claimed again.
SELECT set_config('synchronous_commit', 'local', true), set_config('lock_timeout', '500ms', true)
