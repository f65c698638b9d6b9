-- Removes parked events that this batch folds. Fails with 22012 if another command has already removed one.
WITH gone AS (
    DELETE FROM parked p
     USING unnest($1::text[], $2::integer[], $3::bigint[]) AS x(topic, part, record_offset)
     WHERE p.topic = x.topic AND p.part = x.part AND p."offset" = x.record_offset
    RETURNING 1
)
SELECT 1 / ((SELECT count(*) FROM gone) = cardinality($2))::integer
