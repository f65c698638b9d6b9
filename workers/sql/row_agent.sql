SELECT organization_id, user_id, rev, part, current_unit_id, has_workspaces, degraded, degraded_at IS NOT NULL, refs, state
  FROM agent
 WHERE organization_id = $1::uuid AND user_id = $2::uuid
