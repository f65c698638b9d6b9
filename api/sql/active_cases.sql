-- All look-ups of one batch. $1 application ids, $2 user ids, $3 client ids of the tokens: arrays of equal length; $4:
-- does any of them need the application's roles? One row per case, or one row without a case; in the order of the
-- arrays. The program checks the findings and drops the cases of an agent without workspaces.
--
-- Bounds: 32 cases of 4 KiB per list, so 128 KiB per question. `listed` without a body (a longer case), or a 33rd row,
-- mean that the list is too long for a shared statement: the program asks for it with long_list.sql. Exact sums of
-- bytes by window functions would cost a tenth of all look-ups.
--
-- A small batch costs about the same for any size, and more with each array, expression and column that passes up the
-- joins: the statement has few of them. Nothing is sorted: the rows come in the order of the arrays.
select r.n, p.enabled as accepted, case when $4 then p.roles end as roles,
       a.current_unit_id is not null as has_unit, a.has_workspaces, c.bytes is not null as listed,
       case when c.bytes <= 4096 then c.body end as body
from unnest($1::uuid[], $2::uuid[], $3::text[]) with ordinality as r(app, usr, client, n)
left join caseview.application p on p.application_id = r.app and p.enabled and p.client_id = r.client
left join caseview.agent a on a.organization_id = p.organization_id and a.user_id = r.usr
left join lateral (
    select c.body, octet_length(c.body) as bytes
    from caseview.active_case c
    where c.organization_id = a.organization_id and c.user_id = a.user_id and c.unit_id = a.current_unit_id
    order by c.status_date, c.case_id
    limit 33) c on true
order by r.n
