-- Moves a cursor. The new claim makes the fence refuse the owner's batch in flight; the owner then re-reads the cursor.
WITH before AS MATERIALIZED (
    SELECT topic, part, next_offset, state
      FROM ctl.cursor
     WHERE gen = $1::integer AND topic = $2::text AND part = $3::integer
       FOR UPDATE
), moved AS (
    UPDATE ctl.cursor c
       SET next_offset = $7::bigint, last_record_offset = NULL, last_record_at = NULL, last_record_crc = NULL,
           complete_at = NULL, claim = gen_random_uuid(), updated_at = now()
      FROM before b
     WHERE c.gen = $1 AND c.topic = b.topic AND c.part = b.part
    RETURNING c.topic, c.part, b.next_offset AS old_offset, c.next_offset, c.state
), noted AS (
    INSERT INTO ctl.audit (client, gen, command, topic, part, reason, detail)
    SELECT $5::text, $1, $6::text, topic, part, $4::text,
           jsonb_build_object('old_offset', old_offset, 'new_offset', next_offset)
      FROM moved
)
SELECT topic, part, old_offset, next_offset, state FROM moved
