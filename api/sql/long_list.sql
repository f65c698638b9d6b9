-- One look-up of a long list. $1 application id, $2 user id, $3 client id of the token, $4: are the application's roles
-- needed? One row per case in order, or one row without a case. Rows and bytes are counted first: of a list of more
-- than 2,000 cases, or of more than 8 MiB with its brackets and commas, no case is sent and `fits` is false.
select p.enabled as accepted, case when $4::bool then p.roles end as roles, a.current_unit_id is not null as has_unit,
       a.has_workspaces, s.fits, s.bytes, c.body
from (values ($1::uuid, $2::uuid, $3::text)) as r(app, usr, client)
left join caseview.application p on p.application_id = r.app and p.enabled and p.client_id = r.client
left join caseview.agent a on a.organization_id = p.organization_id and a.user_id = r.usr
cross join lateral (
    select count(*) + coalesce(sum(x.bytes), 0) + 1 as bytes,
           count(*) <= 2000 and count(*) + coalesce(sum(x.bytes), 0) + 1 <= 8388608 as fits
    from (select octet_length(c.body) as bytes
          from caseview.active_case c
          where c.organization_id = a.organization_id and c.user_id = a.user_id and c.unit_id = a.current_unit_id
          limit 2001) x) s
left join lateral (
    select c.body
    from caseview.active_case c
    where s.fits and c.organization_id = a.organization_id and c.user_id = a.user_id and c.unit_id = a.current_unit_id
    order by c.status_date, c.case_id) c on true
