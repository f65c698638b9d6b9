/*
 * consume.h: what the nodes of a plan do with the values that the Avro library hands them, and one decoding from start
 * to end. Private to workers/source.
 *
 * The library allocates each string that it reads. While a decoding runs, its allocator is ours: texts of the event are
 * laid one behind the other, all other strings over one another, and nothing is freed, so that nothing can leak.
 */
#ifndef CASEVIEW_SOURCE_CONSUME_H
#define CASEVIEW_SOURCE_CONSUME_H

#include "caseview/arena.h"
#include "caseview/err.h"
#include "workers/source/plan.h"

struct decoder;
struct schemas;

struct decoder *decoder_new(void);
void decoder_free(struct decoder *decoder);

/*
 * Decodes a body and checks every value of it. out_decoded and its texts are borrowed until the next call; it is set
 * also when only values were bad.
 *   CV_OK
 *   CV_PARK   out_reason and err; the first in the order of enum park_reason when a record has several faults
 */
enum cv_status decoder_run(struct decoder *decoder, const struct schema_plan *plan, struct str body,
                           struct decoded **out_decoded, enum park_reason *out_reason, struct err *err) CV_MUST_CHECK;
/* Moves texts and lists of what was decoded into the arena. False: it is full. */
bool decoder_keep(struct decoder *decoder, struct arena *arena) CV_MUST_CHECK;

/* The one decoder of a set of schemas (schemas.c owns it). */
struct decoder *schemas_decoder(struct schemas *schemas);
const struct decoder *schemas_decoder_const(const struct schemas *schemas);

/* The organization of what decode_record() parked last: it outlives bad values behind it. */
void decoder_set_organization(struct decoder *decoder, const struct uuid *organization);
const struct uuid *decoder_organization(const struct decoder *decoder); /* NULL: unknown */

/* For plan.c: which callbacks a node has. The node's schema is set. */
void consume_value(struct plan_node *node, enum field_type type);
void consume_list_item(struct plan_node *node, enum field_type list_type);
void consume_record(struct plan_node *node);
void consume_payload(struct plan_node *node);
void consume_list(struct plan_node *node);
void consume_union(struct plan_node *node);
void consume_ignored(struct plan_node *node);

#endif
