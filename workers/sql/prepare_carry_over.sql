-- Where the log starts now, which may be later than at `rebuild start`: what generation $2 knows of the records before is
-- carried over.
WITH noted AS (
    INSERT INTO ctl.rebuild_partition AS p (gen, topic, part, log_start, log_end) -- of topics that have grown
    SELECT $1::integer, x.topic, x.part, x.log_start, x.log_end
      FROM unnest($3::text[], $4::integer[], $5::bigint[], $6::bigint[]) AS x(topic, part, log_start, log_end)
        ON CONFLICT (gen, topic, part) DO UPDATE SET log_start = greatest(p.log_start, excluded.log_start)
)
UPDATE ctl.generation SET carry_over_from = $2::integer WHERE gen = $1
