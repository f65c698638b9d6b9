INSERT INTO ctl.rebuild_step AS s (gen, step)
VALUES ($1::integer, $2::text)
ON CONFLICT (gen, step) DO UPDATE SET seen = s.seen
RETURNING after_key, seen, changed, finished_at IS NOT NULL AS finished
