-- One page of the agents from a key on, up to organization $3; a hash of the other columns of the view.
SELECT organization_id, user_id, hash_record_extended(ROW (current_unit_id, has_workspaces, degraded), 0) AS hash
  FROM agent
 WHERE (organization_id, user_id) >= ($1::uuid, $2::uuid) AND organization_id <= $3::uuid
 ORDER BY organization_id, user_id
 LIMIT 5000
