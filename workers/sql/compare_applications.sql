-- One page of the known applications from an id on; a hash of the columns of the view.
SELECT organization_id, entity_id, hash_record_extended(ROW (organization_id, detail, roles, enabled), 0) AS hash
  FROM directory
 WHERE kind = 9 AND status = 1 AND entity_id >= $2::uuid AND organization_id BETWEEN $1::uuid AND $3::uuid
 ORDER BY entity_id
 LIMIT 5000
