-- Records that were read but not folded. Length and timestamp show whether the log still has the same record there.
SELECT topic, part, "offset", false AS skipped, reason, record_timestamp,
       coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0) AS bytes
  FROM parked
 UNION ALL
SELECT topic, part, "offset", true, reason, record_timestamp,
       coalesce(octet_length(key), 0) + coalesce(octet_length(value), 0)
  FROM ctl.skipped
 WHERE gen = $1::integer
