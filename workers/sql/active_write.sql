INSERT INTO active_case AS t (organization_id, case_id, user_id, unit_id, status_date, case_timestamp, degraded, part,
                              customer_ref, refs, body)
SELECT x.organization_id, x.case_id, x.user_id, x.unit_id, x.status_date, x.case_timestamp, x.degraded, x.part,
       nullif(x.customer_ref, 0), x.refs, x.body
  FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::timestamptz[], $6::timestamptz[], $7::boolean[],
              $8::integer[], $9::bigint[], $10::bytea[], $11::text[])
       AS x(organization_id, case_id, user_id, unit_id, status_date, case_timestamp, degraded, part,
            customer_ref, refs, body)
ON CONFLICT (organization_id, case_id) DO UPDATE
   SET user_id = excluded.user_id, unit_id = excluded.unit_id, status_date = excluded.status_date,
       case_timestamp = excluded.case_timestamp, degraded = excluded.degraded, part = excluded.part,
       customer_ref = excluded.customer_ref, refs = excluded.refs, body = excluded.body
