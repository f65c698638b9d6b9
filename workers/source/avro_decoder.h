/*
 * avro_decoder.h: decodes the bytes of a record's body along a compiled plan, checks every value, and stores the values
 * that the plan selects in an event. Private to workers/source.
 *
 * Only lists are copied; texts of the event are borrowed from the body.
 */
#ifndef CASEVIEW_SOURCE_AVRO_DECODER_H
#define CASEVIEW_SOURCE_AVRO_DECODER_H

#include "caseview/arena.h"
#include "caseview/err.h"
#include "workers/source/value_plan.h"

/* Items that a list of the contract may have. */
#define LIST_ITEMS_MAX 1000

/* One decoding. The caller sets nothing. */
struct avro_decoder {
    const struct reader_payload *payload; /* of the event; NULL: an unknown type */
    enum park_reason reason;              /* of the worst value */
    size_t item_count;                    /* of the event's only list, with those beyond LIST_ITEMS_MAX */
    bool items_are_texts;
    union {
        struct uuid ids[LIST_ITEMS_MAX];
        struct str texts[LIST_ITEMS_MAX];
    };
};

/*
 * Decodes a body, which must end with its value, into the memory that the plan's offsets are relative to: struct event,
 * or struct uuid for plan_branch.organization. Of an event only the fields of its payload are set and cleared.
 *   CV_OK
 *   CV_PARK  out_reason and err: the bytes are no such value, or of several bad values the first in the order of enum
 *            park_reason
 */
enum cv_status avro_decoder_run(struct avro_decoder *decoder, const struct plan_node *root, struct str body,
                                void *target, struct err *err) CV_MUST_CHECK;
/* Copies the decoded list into the arena and its address into the event. False: the arena is full. */
bool avro_decoder_keep_list(const struct avro_decoder *decoder, struct arena *arena, struct event *event) CV_MUST_CHECK;

#endif
