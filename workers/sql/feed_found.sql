-- One page of the listed cases of these partitions that name one of these customers, or are served by one of these
-- users. OFFSET 0 forces one index lookup per key: without it, stale statistics can make the planner read the table in
-- the order of its primary key.
SELECT f.organization_id, f.case_id, f.part
  FROM (SELECT c.organization_id, c.case_id, c.part
          FROM unnest($4::bigint[]) AS x(ref),
               LATERAL (SELECT organization_id, case_id, part FROM active_case WHERE customer_ref = x.ref OFFSET 0) AS c
         UNION
        SELECT u.organization_id, u.case_id, u.part
          FROM unnest($5::uuid[], $6::uuid[]) AS x(organization_id, user_id),
               LATERAL (SELECT organization_id, case_id, part
                          FROM active_case
                         WHERE organization_id = x.organization_id AND user_id = x.user_id
                        OFFSET 0) AS u) AS f
 WHERE f.part = ANY ($1::integer[]) AND (f.organization_id, f.case_id) >= ($2::uuid, $3::uuid)
 ORDER BY f.organization_id, f.case_id
 LIMIT 1000
