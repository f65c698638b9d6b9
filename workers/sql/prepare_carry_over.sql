-- Where the log starts now, which may be later than at `rebuild start`: what generation $2 knows of the records before is
-- carried over.
WITH noted AS (
    UPDATE ctl.rebuild_partition p
       SET log_start = greatest(p.log_start, x.log_start)
      FROM unnest($3::text[], $4::integer[], $5::bigint[]) AS x(topic, part, log_start)
     WHERE p.gen = $1::integer AND p.topic = x.topic AND p.part = x.part
)
UPDATE ctl.generation SET carry_over_from = $2::integer WHERE gen = $1
