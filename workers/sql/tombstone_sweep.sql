-- Deletes cases that have been over for so many days ($1) that no late event of theirs is expected.
WITH gone AS (
    DELETE FROM case_state
     WHERE case_id IN (SELECT case_id FROM case_state
                        WHERE over_at < now() - make_interval(days => $1::integer)
                        ORDER BY over_at LIMIT 1000 FOR UPDATE SKIP LOCKED)
    RETURNING 1
)
SELECT count(*) FROM gone
