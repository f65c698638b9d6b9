-- Updates the reason of parked events that still cannot be folded. Fails with 22012 like unpark.sql.
WITH kept AS (
    UPDATE parked p
       SET reason = x.reason, text = x.text, organization_id = coalesce(x.organization_id, p.organization_id)
      FROM unnest($1::text[], $2::integer[], $3::bigint[], $4::uuid[], $5::text[], $6::text[])
           AS x(topic, part, record_offset, organization_id, reason, text)
     WHERE p.topic = x.topic AND p.part = x.part AND p."offset" = x.record_offset
    RETURNING 1
)
SELECT 1 / ((SELECT count(*) FROM kept) = cardinality($2))::integer
