-- Counts for the metrics of these partitions: of cases $1, of agents $2, of all topics $4 and $5. $3: seconds after which
-- a missing sequence number is an alarm.
SELECT (SELECT count(*) FROM case_state WHERE degraded_at IS NOT NULL AND part = ANY ($1::integer[]))
       + (SELECT count(*) FROM agent WHERE degraded_at IS NOT NULL AND part = ANY ($2::integer[])) AS degraded,
       (SELECT count(*) FROM case_state WHERE flags & 4 <> 0 AND part = ANY ($1::integer[])) AS incomplete,
       (SELECT count(*) FROM case_state
         WHERE degraded_at < now() - make_interval(secs => $3::integer) AND part = ANY ($1::integer[]))
       + (SELECT count(*) FROM agent
           WHERE degraded_at < now() - make_interval(secs => $3::integer) AND part = ANY ($2::integer[])) AS alarms,
       coalesce((SELECT '--case ' || case_id FROM case_state
                  WHERE degraded_at IS NOT NULL AND part = ANY ($1::integer[]) ORDER BY degraded_at LIMIT 1),
                (SELECT '--user ' || user_id || ' --organization ' || organization_id FROM agent
                  WHERE degraded_at IS NOT NULL AND part = ANY ($2::integer[]) ORDER BY degraded_at LIMIT 1))
           AS oldest_as_option,
       (SELECT count(*) FROM parked JOIN unnest($4::text[], $5::integer[]) AS x(topic, part) USING (topic, part)) AS parked
