-- Inserts the new cases of a batch, in key order. A row that exists after all was written by another writer: a unique
-- violation (23505) then fails the statement. Without ON CONFLICT a row costs PostgreSQL a third less: one descent into
-- the index instead of two, and no speculative insertion to confirm in the WAL.
INSERT INTO case_state (case_id, rev, part, flags, degraded_at, over_at, state)
SELECT x.case_id, x.rev, x.part, x.flags,
       CASE WHEN x.flags & 2 <> 0 THEN now() END,
       CASE WHEN x.flags & 8 <> 0 THEN now() END,
       x.state
  FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::smallint[], $5::bytea[])
       AS x(case_id, rev, part, flags, state)
