-- True when generation $1 has not read as far as generation $2 in a partition of this topic.
SELECT EXISTS (SELECT
                 FROM ctl.cursor n
                 LEFT JOIN ctl.cursor o ON o.gen = $1::integer AND o.topic = n.topic AND o.part = n.part
                WHERE n.gen = $2::integer AND n.topic = $3::text AND coalesce(o.next_offset, 0) < n.next_offset) AS lags
