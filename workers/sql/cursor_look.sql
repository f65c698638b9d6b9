SELECT state FROM ctl.cursor WHERE gen = $1::integer AND topic = $2::text AND part = $3::integer
