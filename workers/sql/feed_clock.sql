SELECT no FROM ctl.dir_clock WHERE gen = $1::integer
