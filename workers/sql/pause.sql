-- Pauses live partitions; a halted one stays halted. A batch that has locked the cursor commits first, so the offset
-- returned is final.
WITH paused AS (
    UPDATE ctl.cursor
       SET state = 'paused', reason = $4::text, updated_at = now()
     WHERE gen = $1::integer AND state = 'live' AND ($2::text IS NULL OR topic = $2) AND ($3::integer IS NULL OR part = $3)
    RETURNING topic, part, next_offset
), noted AS (
    INSERT INTO ctl.audit (client, gen, command, topic, part, reason, detail)
    SELECT $5::text, $1, $6::text, topic, part, $4, jsonb_build_object('offset', next_offset) FROM paused
)
SELECT topic, part, next_offset FROM paused ORDER BY topic, part
