-- These parked records as they are now.
SELECT x.i, p."offset" IS NOT NULL AS present, x.part, -1::smallint AS flags, 0::bigint AS rev, p.organization_id,
       NULL::uuid AS user_id, hash_record_extended(ROW (p.reason), 0)
  FROM unnest($1::text[], $2::integer[], $3::bigint[]) WITH ORDINALITY AS x(topic, part, "offset", i)
  LEFT JOIN parked p ON p.topic = x.topic AND p.part = x.part AND p."offset" = x."offset"
 ORDER BY x.i
