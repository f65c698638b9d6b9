-- Where the log starts now, which may be later than at `rebuild start`: what generation $2 knows of the records before is
-- carried over. All of it again when retention has removed more than an earlier run has seen, since workers may not have
-- read it, or when another generation is to be carried over. True: an earlier run's work is repeated.
WITH x AS MATERIALIZED (
    SELECT x.topic, x.part, x.log_start, x.log_end
      FROM unnest($3::text[], $4::integer[], $5::bigint[], $6::bigint[]) AS x(topic, part, log_start, log_end)
), noted AS (
    INSERT INTO ctl.rebuild_partition AS p (gen, topic, part, log_start, log_end) -- of topics that have grown
    SELECT $1::integer, topic, part, log_start, log_end FROM x
        ON CONFLICT (gen, topic, part) DO UPDATE SET log_start = greatest(p.log_start, excluded.log_start)
), again AS (
    DELETE FROM ctl.rebuild_step
     WHERE gen = $1 AND step LIKE 'carry-over %'
       AND (EXISTS (SELECT FROM ctl.generation g WHERE g.gen = $1 AND g.carry_over_from IS DISTINCT FROM $2::integer)
            OR EXISTS (SELECT
                         FROM x
                         LEFT JOIN ctl.rebuild_partition p ON p.gen = $1 AND p.topic = x.topic AND p.part = x.part
                        WHERE x.log_start > coalesce(p.log_start, 0)))
    RETURNING 1
), chosen AS (
    UPDATE ctl.generation SET carry_over_from = $2 WHERE gen = $1
)
SELECT EXISTS (SELECT FROM again) AS again
