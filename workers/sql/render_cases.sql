-- The listed cases of these partitions ($1) in a range of the table's blocks, [$2, $3): in the order of the disk, since a
-- generation that was just filled is larger than memory.
SELECT case_id
  FROM case_state
 WHERE ctid >= $2::text::tid AND ctid < $3::text::tid AND flags & 1 <> 0 AND part = ANY ($1::integer[])
