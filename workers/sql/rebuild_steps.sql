-- The steps of `rebuild prepare` so far.
SELECT step, seen, changed, finished_at IS NOT NULL AS finished FROM ctl.rebuild_step WHERE gen = $1::integer ORDER BY step
