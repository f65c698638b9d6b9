-- Reserves change numbers. The row stays locked until the commit, so numbers are in the order of commits.
UPDATE ctl.dir_clock SET no = no + $2::bigint WHERE gen = $1::integer
