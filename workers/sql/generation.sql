SELECT state, template_version, directory_partitions FROM ctl.generation WHERE gen = $1::integer
