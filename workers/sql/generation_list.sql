SELECT gen, state, template_version, deferred, coalesce(carry_over_from, 0) AS carry_over_from,
       prepare_started_at IS NOT NULL AS prepare_started, prepared_at IS NOT NULL AS prepared, created_at, log_only
  FROM ctl.generation
 ORDER BY gen
