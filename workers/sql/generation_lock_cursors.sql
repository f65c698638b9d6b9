-- Waits for batches in flight and keeps others out: they lock their cursors first, in the same order.
SELECT topic, part FROM ctl.cursor WHERE gen = $1::integer ORDER BY topic, part FOR UPDATE
