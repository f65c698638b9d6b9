-- First statement of every batch: locks the cursors, checks the claims and advances the offsets. If one does not match,
-- a division by zero (22012) aborts the transaction, so that the COMMIT already in the pipeline rolls back. The offset
-- of a halted or paused partition does not move, but names in its rows are still updated. dir_no: 0 leaves it, -1 says
-- that the batch rendered no rows for readers. Also returns how many microseconds it took here (workers/sink/pace.h).
WITH moved AS (
    UPDATE ctl.cursor c
       SET next_offset = x.new_offset,
           last_record_offset = CASE WHEN x.has_last THEN x.last_offset ELSE c.last_record_offset END,
           last_record_at = CASE WHEN x.has_last THEN x.last_at ELSE c.last_record_at END,
           last_record_crc = CASE WHEN x.has_last THEN x.last_crc ELSE c.last_record_crc END,
           complete_at = CASE WHEN x.complete THEN now() ELSE c.complete_at END,
           dir_no = CASE x.dir_no WHEN 0 THEN c.dir_no WHEN -1 THEN -1 ELSE greatest(c.dir_no, x.dir_no) END,
           updated_at = now()
      FROM unnest($2::text[], $3::integer[], $4::uuid[], $5::bigint[], $6::bigint[], $7::boolean[], $8::bigint[],
                  $9::bigint[], $10::bigint[], $11::boolean[], $12::bigint[])
           AS x(topic, part, claim, old_offset, new_offset, has_last, last_offset, last_at, last_crc, complete, dir_no)
     WHERE c.gen = $1::integer AND c.topic = x.topic AND c.part = x.part
       AND c.claim = x.claim AND c.next_offset = x.old_offset
       AND (c.state = 'live' OR x.new_offset = x.old_offset)
    RETURNING 1
)
SELECT 1 / ((SELECT count(*) FROM moved) = cardinality($3::integer[]))::integer AS moved,
       (extract(epoch FROM clock_timestamp() - statement_timestamp()) * 1000000)::bigint AS us
