/*
 * report_partitions.h: one log line that names partitions, by topic. One thread.
 */
#ifndef CASEVIEW_WORKERS_REPORT_PARTITIONS_H
#define CASEVIEW_WORKERS_REPORT_PARTITIONS_H

#include "workers/source/consumer.h"

/* "group: WHAT topic/0,1,2 other/5" */
void report_partitions(const char *const topic_names[TOPIC_COUNT], const char *what,
                       const struct consumer_partition_id *partitions, size_t count);

#endif
