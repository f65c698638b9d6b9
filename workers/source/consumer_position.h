/*
 * consumer_position.h: sets positions: the only way a partition starts to be read.
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_POSITION_H
#define CASEVIEW_SOURCE_CONSUMER_POSITION_H

#include "workers/source/consumer_state.h"

/* consumer_position() and consumer_pause() of consumer.h, which say what they do. */
enum cv_status consumer_position_set(struct consumer *consumer, enum topic topic, int32_t partition,
                                     int64_t next_offset, struct err *err) CV_MUST_CHECK;
void consumer_position_pause(struct consumer *consumer, enum topic topic, int32_t partition);

/* Starts the partitions that have a position and do not run, when it is time. */
void consumer_position_start_wanted(struct consumer *consumer);
/* Starts the partition again at its `next`, after delay_ms. */
void consumer_position_restart(struct consumer *consumer, struct consumer_partition *p, int delay_ms);

#endif
