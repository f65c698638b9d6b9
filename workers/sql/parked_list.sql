-- Lists parked events without their values, which may be large.
SELECT topic, part, "offset", reason, text, organization_id, key, octet_length(value), parked_at
  FROM parked
 WHERE ($2::text IS NULL OR topic = $2) AND ($3::integer IS NULL OR part = $3) AND ($4::bigint IS NULL OR "offset" = $4)
   AND $1::integer IS NOT NULL
 ORDER BY topic, part, "offset"
 LIMIT $5::bigint
