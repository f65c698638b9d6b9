-- One page of the directory changes after number $1 and up to number $2, in commit order.
SELECT kind, organization_id, entity_id, status, name, detail, picture, parent_id, change_no
  FROM directory
 WHERE change_no > $1::bigint AND change_no <= $2::bigint
 ORDER BY change_no
 LIMIT 1000
