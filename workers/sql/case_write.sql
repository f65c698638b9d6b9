-- Writes the cases of a batch that have a row, in key order; case_insert.sql writes the others. A row with another
-- revision than the one that was folded on was changed by another writer: a division by zero (22012) then fails the
-- statement, and the worker re-reads the rows.
WITH written AS (
    INSERT INTO case_state AS t (case_id, rev, part, flags, degraded_at, over_at, state)
    SELECT x.case_id, x.rev, x.part, x.flags,
           CASE WHEN x.flags & 2 <> 0 THEN now() END,
           CASE WHEN x.flags & 8 <> 0 THEN now() END,
           x.state
      FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::smallint[], $5::bytea[])
           AS x(case_id, rev, part, flags, state)
    ON CONFLICT (case_id) DO UPDATE
       SET rev = excluded.rev, part = excluded.part, flags = excluded.flags, state = excluded.state,
           degraded_at = CASE WHEN excluded.degraded_at IS NOT NULL THEN coalesce(t.degraded_at, excluded.degraded_at) END,
           over_at = CASE WHEN excluded.over_at IS NOT NULL THEN coalesce(t.over_at, excluded.over_at) END
     WHERE t.rev = excluded.rev - 1
    RETURNING 1
)
SELECT 1 / ((SELECT count(*) FROM written) = cardinality($2::integer[]))::integer
