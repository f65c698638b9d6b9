/*
 * consumer_scan.h: reads partitions once, from one offset to another that is known at the start, by a client
 * that joins no group and leaves no trace: for the operators' commands, which run beside the workers. Blocking; one
 * thread.
 *
 * Only committed records are delivered, those of a partition in order. What compaction, aborted transactions or control
 * records left empty is passed over: the end of a partition is known by the broker's word and not by its last record.
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_SCAN_H
#define CASEVIEW_SOURCE_CONSUMER_SCAN_H

#include "workers/source/consumer.h"

struct consumer_scan;

struct scan_partition {
    enum topic topic;
    int32_t partition;
    int64_t low, end; /* first offset and last stable offset at the start */
    int64_t until;    /* read up to here, itself not included: at most `end` */
    int64_t position; /* read so far */
    int64_t records;  /* delivered; fewer than position - low: some were removed, or never were records */
};

/* Borrowed for the call. Anything but CV_OK ends the run with it. */
typedef enum cv_status (*scan_record)(void *context, const struct record *record, struct err *err);
/* Called a few times a second at least, also while nothing comes: for progress. */
typedef void (*scan_tick)(void *context);

/* Does not wait for a broker. partitions: where to read from and to, copied. CV_OK, or CV_FATAL: a property is wrong.
 */
enum cv_status consumer_scan_open(const struct consumer_options *options, const struct scan_partition *partitions,
                                  size_t count, struct consumer_scan **out_scan, struct err *err) CV_MUST_CHECK;
void consumer_scan_close(struct consumer_scan *scan); /* NULL is fine */

/* As they were given, with what was read so far. */
const struct scan_partition *consumer_scan_partitions(const struct consumer_scan *scan, size_t *out_count);

/*
 * Once. CV_OK: everything was read. CV_RETRY: nothing came for timeout_ms, the log lost its beginning meanwhile, the
 * brokers refuse (rights), or a stop was asked for.
 */
enum cv_status consumer_scan_run(struct consumer_scan *scan, scan_record record, scan_tick tick, void *context,
                                 int timeout_ms, struct err *err) CV_MUST_CHECK;

#endif
