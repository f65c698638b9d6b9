SELECT a.organization_id, a.user_id, a.rev, a.part, a.current_unit_id, a.has_workspaces, a.degraded,
       a.degraded_at IS NOT NULL, a.refs, a.state
  FROM unnest($1::uuid[], $2::uuid[]) AS x(organization_id, user_id)
  JOIN agent a ON a.organization_id = x.organization_id AND a.user_id = x.user_id
