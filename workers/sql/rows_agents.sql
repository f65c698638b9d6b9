-- One page of agent.
SELECT organization_id, user_id, rev, part, current_unit_id, has_workspaces, degraded, degraded_at IS NOT NULL, refs, state
  FROM agent
 WHERE (organization_id, user_id) > ($1::uuid, $2::uuid) OR $3::boolean
 ORDER BY organization_id, user_id
 LIMIT 1000
