-- A claim is durable on the primary before its owner reads records. It does not wait for a standby. If a failover loses
-- the claim, an older one remains that no worker uses any more: the fence refuses, and the partition is claimed again.
SELECT set_config('synchronous_commit', 'local', true), set_config('lock_timeout', '500ms', true)
