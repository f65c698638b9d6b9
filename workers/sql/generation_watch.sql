SELECT state, deferred FROM ctl.generation WHERE gen = $1::integer
