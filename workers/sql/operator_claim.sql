-- Takes the partitions of an outside batch away from their owners, which claim them anew and render what changed since
-- dir_no: all changes up to there are in the names that the batch was made with ($2). Directory rows have no revision, so
-- nobody may have written any since they were read: then their cursor has not moved. Fails by itself (22012).
WITH taken AS (
    UPDATE ctl.cursor c
       SET claim = gen_random_uuid(), updated_at = now()
      FROM unnest($3::text[], $4::integer[], $5::uuid[], $6::bigint[], $7::boolean[])
           AS x(topic, part, claim, old_offset, exact)
     WHERE c.gen = $1::integer AND c.topic = x.topic AND c.part = x.part AND c.dir_no <= $2::bigint
       AND (NOT x.exact OR (c.next_offset = x.old_offset
                            AND coalesce(c.claim, '00000000-0000-0000-0000-000000000000') = x.claim))
    RETURNING 1
)
SELECT 1 / ((SELECT count(*) FROM taken) = cardinality($4))::integer
