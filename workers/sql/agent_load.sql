-- OFFSET 0 forces one index lookup per key: without it, stale statistics can make the planner scan the table.
SELECT a.organization_id, a.user_id, a.rev, a.state, a.part
  FROM unnest($1::uuid[], $2::uuid[]) AS x(organization_id, user_id),
       LATERAL (SELECT * FROM agent WHERE organization_id = x.organization_id AND user_id = x.user_id OFFSET 0) AS a
