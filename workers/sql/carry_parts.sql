-- The partitions of a topic of which this generation has a cursor.
SELECT part FROM ctl.cursor WHERE gen = $1::integer AND topic = $2::text ORDER BY part
