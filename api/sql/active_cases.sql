-- All look-ups of one batch. $1 application ids, $2 user ids, $3 client ids of the tokens: arrays of equal length; $4:
-- does any of them want the application's roles? One row a case, or one row without a case; in the order of the arrays.
-- Most of what a small batch costs is the same for any size, and grows with each array, expression and column that goes
-- up the joins: the statement has few of them. The gates are the program's, which drops the cases of an agent without
-- workspaces.
select r.n, p.enabled as accepted, case when $4 then p.roles end as roles,
       a.current_unit_id is not null as has_unit, a.has_workspaces, c.body
from unnest($1::uuid[], $2::uuid[], $3::text[]) with ordinality as r(app, usr, client, n)
left join caseview.application p on p.application_id = r.app and p.enabled and p.client_id = r.client
left join caseview.agent a on a.organization_id = p.organization_id and a.user_id = r.usr
left join lateral (
    select c.body
    from caseview.active_case c
    where c.organization_id = a.organization_id and c.user_id = a.user_id and c.unit_id = a.current_unit_id
    order by c.status_date, c.case_id) c on true
order by r.n
