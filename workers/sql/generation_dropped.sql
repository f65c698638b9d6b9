-- Removes the cursors of a generation that was dropped. Its worker then finds nothing to claim.
WITH cursors AS (
    DELETE FROM ctl.cursor WHERE gen = $1::integer
), clock AS (
    DELETE FROM ctl.dir_clock WHERE gen = $1
), partitions AS (
    DELETE FROM ctl.rebuild_partition WHERE gen = $1
), steps AS (
    DELETE FROM ctl.rebuild_step WHERE gen = $1
)
UPDATE ctl.generation SET state = 'dropped', deferred = false WHERE gen = $1
