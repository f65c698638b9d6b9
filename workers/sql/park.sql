-- Parks records. A replay delivers a record again at its offset: its row stays, and one that an operator skipped is not
-- parked again. A different record at that offset means that the topic was recreated; the old row moves to ctl.skipped.
WITH x AS MATERIALIZED (
    SELECT x.*, g.gen
      FROM ctl.generation g, unnest($1::uuid[], $2::text[], $3::integer[], $4::bigint[], $5::bytea[], $6::bytea[], $7::text[],
                  $8::timestamptz[], $9::text[], $10::text[])
           AS x(organization_id, topic, part, record_offset, key, value, headers, record_timestamp, reason, text)
     WHERE g.schema_name = current_schema()
       AND NOT EXISTS (SELECT FROM ctl.skipped s
                        WHERE s.gen = g.gen AND s.topic = x.topic AND s.part = x.part AND s."offset" = x.record_offset
                          AND (s.key, s.value, s.record_timestamp) IS NOT DISTINCT FROM (x.key, x.value, x.record_timestamp))
), displaced AS (
    INSERT INTO ctl.skipped (gen, organization_id, topic, part, "offset", key, value, headers, record_timestamp, reason, text,
                             parked_at, skip_reason)
    SELECT x.gen, p.organization_id, p.topic, p.part,
           p."offset", p.key, p.value, p.headers, p.record_timestamp, p.reason, p.text, p.parked_at,
           'the topic was recreated, another record has this offset now'
      FROM x
      JOIN parked p ON p.topic = x.topic AND p.part = x.part AND p."offset" = x.record_offset
     WHERE (p.key, p.value, p.record_timestamp) IS DISTINCT FROM (x.key, x.value, x.record_timestamp)
)
INSERT INTO parked AS p (organization_id, topic, part, "offset", key, value, headers, record_timestamp, reason, text)
SELECT x.organization_id, x.topic, x.part, x.record_offset, x.key, x.value, x.headers::jsonb, x.record_timestamp, x.reason, x.text
  FROM x
ON CONFLICT (topic, part, "offset") DO UPDATE
   SET organization_id = excluded.organization_id, key = excluded.key, value = excluded.value, headers = excluded.headers,
       record_timestamp = excluded.record_timestamp, reason = excluded.reason, text = excluded.text, parked_at = now()
 WHERE (p.key, p.value, p.record_timestamp) IS DISTINCT FROM (excluded.key, excluded.value, excluded.record_timestamp)
