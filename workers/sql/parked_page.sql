-- One page of complete rows after the key ($5, $6, $7): at most $8 rows, and none after the row that reaches 16 MiB.
WITH next AS (
    SELECT topic, part, "offset", coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0) AS bytes
      FROM parked
     WHERE ($2::text IS NULL OR topic = $2) AND ($3::integer IS NULL OR part = $3) AND ($4::bigint IS NULL OR "offset" = $4)
       AND $1::integer IS NOT NULL AND (topic, part, "offset") > ($5::text, $6::integer, $7::bigint)
     ORDER BY topic, part, "offset"
     LIMIT $8::bigint
), measured AS (
    SELECT topic, part, "offset", sum(bytes) OVER (ORDER BY topic, part, "offset") - bytes AS before FROM next
)
SELECT p.topic, p.part, p."offset", p.reason, p.text, p.organization_id, p.key, p.value, p.record_timestamp, p.parked_at,
       p.headers::text AS headers
  FROM measured m
  JOIN parked p ON p.topic = m.topic AND p.part = m.part AND p."offset" = m."offset"
 WHERE m.before < 16777216
 ORDER BY p.topic, p.part, p."offset"
