SELECT state, deferred, template_version, prepared_at IS NOT NULL AS prepared FROM ctl.generation WHERE gen = $1::integer
