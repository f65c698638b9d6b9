/*
 * consumer_scan.h: reads partitions once, between two offsets that are known at the start, by a client that joins no
 * group and commits nothing, for the operators' commands, which run alongside the workers. Blocks; one thread.
 *
 * Only committed records are delivered, those of a partition in order. Offsets that compaction, aborted transactions or
 * control records left empty are skipped: the end of a partition is what the broker reports, not its last record.
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_SCAN_H
#define CASEVIEW_SOURCE_CONSUMER_SCAN_H

#include "workers/source/kafka_options.h"

struct consumer_scan;

struct scan_partition {
    enum topic topic;
    int32_t partition;
    int64_t low, end; /* first offset and end offset (last stable offset) at the start */
    int64_t until;    /* read up to here, itself not included: at most `end` */
    int64_t position; /* read so far */
    int64_t records;  /* delivered; fewer than position - low when some were removed or are control records */
};

/* The record is borrowed for the call. A status other than CV_OK ends the run with that status. */
typedef enum cv_status (*scan_record)(void *context, const struct record *record, struct err *err);
/* Called at least a few times a second, also while no record comes: for progress. */
typedef void (*scan_tick)(void *context);

/*
 * Does not wait for a broker. partitions: where to read from (low) and to (until), copied. CV_OK, or CV_FATAL: a
 * property is wrong, or a topic has no valid name.
 */
enum cv_status consumer_scan_open(const struct consumer_options *options, const struct scan_partition *partitions,
                                  size_t count, struct consumer_scan **out_scan, struct err *err) CV_MUST_CHECK;
void consumer_scan_close(struct consumer_scan *scan); /* NULL is fine */

/* The partitions as given, with their progress. */
const struct scan_partition *consumer_scan_partitions(const struct consumer_scan *scan, size_t *out_count);

/*
 * To be called once. CV_OK: everything was read. CV_RETRY: nothing was received for timeout_ms, retention removed
 * records that were still to be read, the brokers refuse (rights), or a stop was requested.
 */
enum cv_status consumer_scan_run(struct consumer_scan *scan, scan_record record, scan_tick tick, void *context,
                                 int timeout_ms, struct err *err) CV_MUST_CHECK;

#endif
