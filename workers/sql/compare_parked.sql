-- One page of a partition's parked records from an offset on, of one organization or of all.
SELECT "offset", hashtextextended(reason, 0) AS hash
  FROM parked
 WHERE topic = $1::text AND part = $2::integer AND "offset" >= $3::bigint
   AND ($4::uuid IS NULL OR organization_id = $4)
 ORDER BY topic, part, "offset"
 LIMIT 5000
