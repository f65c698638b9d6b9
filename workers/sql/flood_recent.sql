-- Counts the records parked from a partition in the last minute, per second, for a new owner's flood detection.
SELECT floor(extract(epoch FROM now() - r.parked_at))::integer AS age_s, count(*) AS parked, min(r."offset") AS first_parked
  FROM (SELECT "offset", parked_at
          FROM parked
         WHERE topic = $1::text AND part = $2::integer
         ORDER BY "offset" DESC
         LIMIT 2000) AS r
 WHERE r.parked_at > now() - interval '1 minute'
 GROUP BY 1
 ORDER BY 1
