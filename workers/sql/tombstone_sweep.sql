-- Cases that have been over for longer than any late event of theirs can take.
WITH gone AS (
    DELETE FROM case_state
     WHERE case_id IN (SELECT case_id FROM case_state
                        WHERE over_at < now() - make_interval(days => $1::integer)
                        ORDER BY over_at LIMIT 1000 FOR UPDATE SKIP LOCKED)
    RETURNING 1
)
SELECT count(*) FROM gone
