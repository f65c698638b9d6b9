-- Where the log began when these generations were made from it alone.
SELECT p.gen = $1::integer AS is_first, p.topic, p.part, p.log_start
  FROM ctl.rebuild_partition p
  JOIN ctl.generation g ON g.gen = p.gen AND g.carry_over_from IS NULL
 WHERE p.gen IN ($1, $2::integer) AND p.log_start > 0
 ORDER BY p.gen, p.topic, p.part
