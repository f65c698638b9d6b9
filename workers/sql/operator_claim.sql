-- Changes the claim of the partitions that an operator's batch writes. Their owners then claim them again and render
-- the directory changes after dir_no; the batch was rendered with all changes up to $2. Directory rows have no
-- revision: for their partitions (exact) the cursor must not have moved since they were read. Otherwise the statement
-- fails with 22012 (division by zero).
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
