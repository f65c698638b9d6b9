-- What a new generation carries over, and the log as it was found.
WITH noted AS (
    INSERT INTO ctl.rebuild_partition (gen, topic, part, log_start, log_end, live_next)
    SELECT $1::integer, x.topic, x.part, x.log_start, x.log_end, c.next_offset
      FROM unnest($3::text[], $4::integer[], $5::bigint[], $6::bigint[]) AS x(topic, part, log_start, log_end)
      LEFT JOIN ctl.cursor c ON c.gen = $7::integer AND c.topic = x.topic AND c.part = x.part
)
UPDATE ctl.generation SET carry_over_from = $2::integer, log_only = $8::boolean WHERE gen = $1
