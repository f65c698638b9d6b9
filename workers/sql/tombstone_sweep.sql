-- Cases that have been over for longer than any late event of theirs can take.
DELETE FROM case_state
 WHERE case_id IN (SELECT case_id FROM case_state
                    WHERE over_at < now() - make_interval(days => $1::integer)
                    ORDER BY over_at LIMIT 5000 FOR UPDATE SKIP LOCKED)
