-- All look-ups of one batch. $1 application ids, $2 user ids, $3 client ids of the tokens, $4 are the application's roles
-- wanted: arrays of equal length. One row a case, or one row without a case; in the order of the arrays.
-- key = position * 8 + 1 (application accepted) + 2 (current unit) + 4 (current workspaces)
select ((r.n << 3)
        | case when p.enabled and p.client_id = r.client then 1 else 0 end
        | case when a.current_unit_id is not null then 2 else 0 end
        | case when a.has_workspaces then 4 else 0 end)::int4 as key,
       case when r.need_roles then p.roles end as roles,
       c.body
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::bool[]) with ordinality as r(app, usr, client, need_roles, n)
left join caseview.application p on p.application_id = r.app
left join caseview.agent a on a.organization_id = p.organization_id and a.user_id = r.usr
                          and p.enabled and p.client_id = r.client
left join lateral (
    select c.body
    from caseview.active_case c
    where c.organization_id = a.organization_id and c.user_id = a.user_id and c.unit_id = a.current_unit_id and a.has_workspaces
    order by c.status_date, c.case_id) c on true
order by r.n
