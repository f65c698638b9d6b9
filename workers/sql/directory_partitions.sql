-- Written once: the count that the directory topic had when it was first read.
UPDATE ctl.generation SET directory_partitions = coalesce(directory_partitions, $2::integer) WHERE gen = $1::integer
RETURNING directory_partitions
