-- Halts a partition with a reason, if the claim is still ours. After a flood the cursor also returns to the first
-- record parked within that minute ($7), and the records parked from there on are removed.
WITH halted AS (
    UPDATE ctl.cursor
       SET state = 'halted', reason = $6::text, next_offset = coalesce($7::bigint, next_offset),
           last_record_offset = CASE WHEN $7 IS NULL THEN last_record_offset END,
           last_record_at = CASE WHEN $7 IS NULL THEN last_record_at END,
           last_record_crc = CASE WHEN $7 IS NULL THEN last_record_crc END,
           updated_at = now()
     WHERE gen = $1::integer AND topic = $2::text AND part = $3::integer AND claim = $4::uuid AND next_offset = $5::bigint
    RETURNING 1
), unparked AS (
    DELETE FROM parked
     WHERE topic = $2 AND part = $3 AND "offset" >= $7 AND EXISTS (SELECT FROM halted)
)
SELECT count(*)::integer FROM halted
