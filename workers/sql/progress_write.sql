-- Up to where the rows of these partitions show the directory's changes. Under the locks of their cursors.
INSERT INTO names_progress (agents, part, change_no, everything, stage, organization_id, id)
SELECT x.agents, x.part, $3::bigint, $4::boolean, $5::integer, $6::uuid, $7::uuid
  FROM unnest($1::boolean[], $2::integer[]) AS x(agents, part)
ON CONFLICT (agents, part) DO UPDATE
   SET change_no = excluded.change_no, everything = excluded.everything, stage = excluded.stage,
       organization_id = excluded.organization_id, id = excluded.id
