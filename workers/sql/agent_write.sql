-- Writes all agents of a batch, in key order. Fails with 22012 like case_write.sql when a row was changed concurrently.
WITH written AS (
    INSERT INTO agent AS t (organization_id, user_id, rev, part, current_unit_id, has_workspaces, degraded, degraded_at,
                            refs, state)
    SELECT x.organization_id, x.user_id, x.rev, x.part, x.current_unit_id, x.has_workspaces, x.degraded,
           CASE WHEN x.degraded THEN now() END, x.refs, x.state
      FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::integer[], $5::uuid[], $6::boolean[], $7::boolean[],
                  $8::bytea[], $9::bytea[])
           AS x(organization_id, user_id, rev, part, current_unit_id, has_workspaces, degraded, refs, state)
    ON CONFLICT (organization_id, user_id) DO UPDATE
       SET rev = excluded.rev, part = excluded.part, current_unit_id = excluded.current_unit_id,
           has_workspaces = excluded.has_workspaces, degraded = excluded.degraded, refs = excluded.refs,
           state = excluded.state,
           degraded_at = CASE WHEN excluded.degraded THEN coalesce(t.degraded_at, excluded.degraded_at) END
     WHERE t.rev = excluded.rev - 1
    RETURNING 1
)
SELECT 1 / ((SELECT count(*) FROM written) = cardinality($3::integer[]))::integer
