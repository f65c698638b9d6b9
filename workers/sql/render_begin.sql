-- The number of the last directory change.
SELECT no FROM ctl.dir_clock WHERE gen = $1::integer
