/*
 * consumer_query.h: queries to the brokers. All wait for the answer, at most until their timeout; CV_OK or CV_RETRY.
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_QUERY_H
#define CASEVIEW_SOURCE_CONSUMER_QUERY_H

#include "workers/source/consumer_state.h"

enum cv_status consumer_query_first_offset(struct consumer *consumer, enum topic topic, int32_t partition,
                                           int timeout_ms, int64_t *out_low, struct err *err) CV_MUST_CHECK;
/* First offset and end offset (last stable offset); needs no assignment. */
enum cv_status consumer_query_watermarks(struct consumer *consumer, enum topic topic, int32_t partition, int timeout_ms,
                                         int64_t *out_low, int64_t *out_high, struct err *err) CV_MUST_CHECK;
enum cv_status consumer_query_partition_count(struct consumer *consumer, enum topic topic, int timeout_ms,
                                              int32_t *out_count, struct err *err) CV_MUST_CHECK;
enum cv_status consumer_query_is_compacted(struct consumer *consumer, enum topic topic, int timeout_ms,
                                           bool *out_compacted, struct err *err) CV_MUST_CHECK;

#endif
