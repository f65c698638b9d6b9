/*
 * consume.h: what the nodes of a plan do with the values that the Avro library hands them, and one decoding from start
 * to end. Private to workers/source.
 *
 * The library allocates each string that it reads. While a decoding runs, its allocator is ours: texts of the event are
 * laid one behind the other, all other strings over one another, and nothing is freed, so that nothing can leak.
 */
#ifndef CASEVIEW_SOURCE_CONSUME_H
#define CASEVIEW_SOURCE_CONSUME_H

#include <avro.h>

#include "caseview/arena.h"
#include "caseview/err.h"
#include "workers/source/reader.h"

struct plan_node {
    avro_consumer_t consumer; /* first, so that the library's callbacks find the node */
    const char *path;         /* "payload.CaseMoved.rank", for texts; NULL: ignored */
    uint32_t offset;          /* of the value in struct decoded */
    uint32_t flag;            /* one more than the offset of a bool to set; 0: none */
    uint32_t given;           /* groups to add to case_event.given */
    bool keep;                /* its string is a text of the event and outlives the decoding */
    const struct reader_payload *payload;
    size_t child_count; /* fields, branches, or one item; an ignored enum: its symbols */
    struct plan_node **children;
    const char **mismatches; /* of a union: why a branch cannot be read, NULL where it can */
};

struct decoder;
struct schemas;

struct decoder *decoder_new(void);
void decoder_free(struct decoder *decoder);

/*
 * Decodes a body by its plan's root and checks every value of it. out_decoded and its texts are borrowed until the next
 * call; it is set also when only values were bad. CV_OK, or CV_PARK with out_reason and err: of several faults the
 * first in the order of enum park_reason.
 */
enum cv_status decoder_run(struct decoder *decoder, struct plan_node *root, enum topic topic, struct str body,
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
