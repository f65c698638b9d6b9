-- Stores the partition count of the directory topic when it is first read, and returns the stored one.
UPDATE ctl.generation SET directory_partitions = coalesce(directory_partitions, $2::integer) WHERE gen = $1::integer
RETURNING directory_partitions
