/*
 * halt_reason.h: why a partition halts: one table of names, texts and advice, for the worker that halts it and for
 * `caseview status`. The name is stored in ctl.cursor.reason. Pure.
 */
#ifndef CASEVIEW_SINK_HALT_REASON_H
#define CASEVIEW_SINK_HALT_REASON_H

#include "caseview/base.h"

enum halt_reason {
    HALT_RECREATED,               /* the topic is a new one with the same name */
    HALT_RETENTION_GAP,           /* retention removed records that were not read */
    HALT_BEYOND_END,              /* the cursor is beyond the end of the log */
    HALT_DIRECTORY_REPARTITIONED, /* the directory topic's partition count changed */
    HALT_POISON_FLOOD,            /* too many records were parked within a minute */
    HALT_REFUSED_BY_DATABASE,     /* the database refuses to store a record, even as a parked one */
    HALT_REASON_COUNT,
};

const char *halt_reason_name(enum halt_reason reason); /* "retention-gap" */
/* False: the text names none of them, for instance because an operator paused the partition. */
bool halt_reason_parse(struct str name, enum halt_reason *out_reason) CV_MUST_CHECK;

const char *halt_reason_detail(enum halt_reason reason); /* what happened, for the log line: a clause */
const char *halt_reason_advice(enum halt_reason reason); /* what to do before `caseview resume`: an imperative clause */
/* True: the partition has to be read again from its start, with `caseview cursor set`, before it is resumed. */
bool halt_reason_from_start(enum halt_reason reason);

#endif
