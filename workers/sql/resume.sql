WITH stopped AS MATERIALIZED (
    SELECT topic, part, state, reason
      FROM ctl.cursor
     WHERE gen = $1::integer AND state <> 'live' AND ($2::text IS NULL OR topic = $2) AND ($3::integer IS NULL OR part = $3)
       FOR UPDATE
), resumed AS (
    UPDATE ctl.cursor c
       SET state = 'live', reason = NULL, updated_at = now()
      FROM stopped s
     WHERE c.gen = $1 AND c.topic = s.topic AND c.part = s.part
    RETURNING c.topic, c.part, c.next_offset, s.state, s.reason
), noted AS (
    INSERT INTO ctl.audit (client, gen, command, topic, part, reason, detail)
    SELECT $5::text, $1, $6::text, topic, part, $4::text,
           jsonb_build_object('offset', next_offset, 'state', state, 'stopped_for', reason)
      FROM resumed
)
SELECT topic, part, next_offset FROM resumed ORDER BY topic, part
