-- Moves parked events to ctl.skipped, so that none is lost.
WITH gone AS (
    DELETE FROM parked
     WHERE topic = $2::text AND ($3::integer IS NULL OR part = $3) AND ($7::bigint IS NULL OR "offset" = $7)
    RETURNING organization_id, topic, part, "offset", key, value, headers, record_timestamp, reason, text, parked_at
), kept AS (
    INSERT INTO ctl.skipped (gen, organization_id, topic, part, "offset", key, value, headers, record_timestamp, reason, text,
                             parked_at, skip_reason)
    SELECT $1::integer, organization_id, topic, part, "offset", key, value, headers, record_timestamp, reason, text, parked_at,
           $4::text
      FROM gone
), noted AS (
    INSERT INTO ctl.audit (client, gen, command, topic, part, reason, detail)
    SELECT $5::text, $1, $6::text, topic, part, $4,
           jsonb_build_object('events', count(*), 'first_offset', min("offset"), 'last_offset', max("offset"))
      FROM gone
     GROUP BY topic, part
)
SELECT topic, part, "offset", reason FROM gone ORDER BY topic, part, "offset"
