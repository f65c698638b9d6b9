INSERT INTO parked (organization_id, topic, part, "offset", key, value, headers, record_timestamp, reason, text)
SELECT x.organization_id, x.topic, x.part, x.record_offset, x.key, x.value, x.headers::jsonb, x.record_timestamp, x.reason, x.text
  FROM unnest($1::uuid[], $2::text[], $3::integer[], $4::bigint[], $5::bytea[], $6::bytea[], $7::text[],
              $8::timestamptz[], $9::text[], $10::text[])
       AS x(organization_id, topic, part, record_offset, key, value, headers, record_timestamp, reason, text)
ON CONFLICT (topic, part, "offset") DO NOTHING
