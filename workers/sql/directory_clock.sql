-- Held to the commit: the order of numbers is the order of commits.
UPDATE ctl.dir_clock SET no = no + $2::bigint WHERE gen = $1::integer
