/*
 * simulate_sink.h: where simulated events go: into Kafka, or as JSON lines into a file. One thread.
 */
#ifndef CASEVIEW_DEV_SIMULATE_SINK_H
#define CASEVIEW_DEV_SIMULATE_SINK_H

#include <jansson.h>

#include "caseview/config.h"
#include "caseview/err.h"

struct sink;

/* The file of `output`, else Kafka (producer.h names the options). CV_OK, CV_RETRY or CV_FATAL. */
enum cv_status sink_open(struct config *config, struct sink **out_sink, struct err *err) CV_MUST_CHECK;
void sink_close(struct sink *sink);

/* Borrows the event. CV_OK, CV_RETRY (the service is away, or a stop was asked for) or CV_FATAL. */
enum cv_status sink_put(struct sink *sink, const json_t *event, struct err *err) CV_MUST_CHECK;
uint64_t sink_count(const struct sink *sink); /* events put */
void sink_poll(struct sink *sink);            /* serves the library's callbacks, without waiting */
/* All that was put is where it belongs. CV_OK, CV_RETRY (some were not delivered) or CV_FATAL (the file is full). */
enum cv_status sink_drain(struct sink *sink, struct err *err) CV_MUST_CHECK;

#endif
