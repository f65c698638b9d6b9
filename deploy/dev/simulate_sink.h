/*
 * simulate_sink.h: the destination of simulated events: Kafka, or a file of JSON lines. One thread.
 */
#ifndef CASEVIEW_DEV_SIMULATE_SINK_H
#define CASEVIEW_DEV_SIMULATE_SINK_H

#include <jansson.h>

#include "caseview/config.h"
#include "caseview/err.h"

struct sink;

/* Opens the file of option `output`, without it Kafka (options: producer.h). CV_OK, CV_RETRY or CV_FATAL. */
enum cv_status sink_open(struct config *config, struct sink **out_sink, struct err *err) CV_MUST_CHECK;
void sink_close(struct sink *sink);

/* Sends one event, which is borrowed. CV_OK, CV_RETRY (service unavailable, or a stop was requested) or CV_FATAL. */
enum cv_status sink_put(struct sink *sink, const json_t *event, struct err *err) CV_MUST_CHECK;
uint64_t sink_count(const struct sink *sink); /* events sent */
void sink_poll(struct sink *sink);            /* runs pending delivery callbacks, does not block */
/* Waits for all events. CV_OK, CV_RETRY (some were not delivered) or CV_FATAL (the file cannot be written). */
enum cv_status sink_drain(struct sink *sink, struct err *err) CV_MUST_CHECK;

#endif
