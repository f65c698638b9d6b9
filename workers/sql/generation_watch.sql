SELECT state, deferred, template_version FROM ctl.generation WHERE gen = $1::integer
