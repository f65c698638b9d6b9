/*
 * watermarks.h: first and end offsets of all partitions of some topics, asked by a client of its own that joins no
 * group, for commands that run alongside the workers. Blocks, with a deadline.
 */
#ifndef CASEVIEW_SOURCE_WATERMARKS_H
#define CASEVIEW_SOURCE_WATERMARKS_H

#include "caseview/base.h"
#include "caseview/err.h"
#include "workers/source/kafka_options.h"

struct watermark {
    size_t topic; /* index in the list of topics asked for */
    int32_t partition;
    int64_t low, end; /* first offset and end offset (last stable offset); -1: its leader did not answer in time */
};

/*
 * properties: as in struct consumer_options. A topic that does not exist has no partitions in the answer.
 * *out_list is the caller's to free(), sorted by topic and partition; NULL when it is empty.
 * CV_OK; CV_RETRY: no broker answered within timeout_ms (the error has the last reason); CV_FATAL: a property is wrong,
 * or a topic has no valid name.
 */
enum cv_status watermarks_read(const struct config_property *properties, size_t property_count,
                               const char *const *topics, size_t topic_count, int timeout_ms,
                               struct watermark **out_list, size_t *out_count, struct err *err) CV_MUST_CHECK;

#endif
