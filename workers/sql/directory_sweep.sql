-- Deletes forgotten entities whose change every partition has processed. Rows that are locked are left to the next run.
WITH gone AS (
    DELETE FROM directory
     WHERE (kind, organization_id, entity_id)
           IN (SELECT kind, organization_id, entity_id FROM directory
                WHERE status = 0
                  AND change_no <= (SELECT min(dir_no) FROM ctl.cursor WHERE gen = $1::integer AND topic = ANY ($2::text[]))
                ORDER BY change_no LIMIT 1000 FOR UPDATE SKIP LOCKED)
    RETURNING 1
)
SELECT count(*) FROM gone
