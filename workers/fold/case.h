/*
 * case.h: the fold of one case (contract, sections 3 and 4). Pure: (state, event) → state. The order of the events does
 * not matter: in each group of fields the last writer wins, and a case that is over stays over.
 *
 * A state in memory borrows every text from the blob it was loaded from and from the events folded since; both must
 * outlive it. case_store() writes a new blob in canonical form, so that equal states have equal bytes.
 */
#ifndef CASEVIEW_FOLD_CASE_H
#define CASEVIEW_FOLD_CASE_H

#include "caseview/buf.h"
#include "workers/fold/event.h"
#include "workers/fold/sequence.h"

struct case_state {
    struct uuid organization_id;
    bool over;         /* if true, nothing else is kept */
    bool has_snapshot; /* sequence.base > 0 */
    struct sequence sequence;
    int64_t group_sequence[GROUP_COUNT]; /* 0: never set */
    struct case_fields fields;
};

/* A case without events; organization_id is that of its first event. */
void case_init(struct case_state *state, const struct uuid *organization_id);
enum fold_outcome case_apply(struct case_state *state, const struct case_event *event);

/*
 * Adds the events that from has folded: into is then the state of both sets of events, however they overlap, and is
 * stored as the same bytes; only the missing numbers beyond the limit of gaps are what sequence_merge() says. False:
 * into knew all events and is unchanged. into borrows texts from what from borrows them from.
 *
 * An event whose type was unknown when it was folded has no effect, unless the other state has folded it with its type.
 * Of two events with one number, which the contract excludes, either may count.
 *
 * If the organizations differ, there is no state of both: the first to arrive keeps the case (contract, section 3). So
 * from must be the state with the longer history, and into becomes a copy of it.
 */
bool case_merge(struct case_state *into, const struct case_state *from);

bool case_is_listed(
    const struct case_state *state); /* has a snapshot, not over, status is exactly "Active", lockedBy is set */
bool case_is_incomplete(const struct case_state *state); /* no snapshot yet and not over */
bool case_is_degraded(const struct case_state *state);   /* has a snapshot, not over, a sequence number is missing */

/*
 * The first byte of a blob is the version of its form, and case_load() reads that version only. To change the form or
 * the meaning of a value: raise the version, and let case_load() accept the previous one too, through a reader that
 * fills the same struct. States that the previous program wrote can then be merged into those of a new generation. That
 * reader is removed when the version is raised again. The same holds for agents.
 */
void case_store(const struct case_state *state, struct buf *out);
/* False: not a blob that case_store() wrote; out_state is then undefined. */
bool case_load(struct str blob, struct case_state *out_state) CV_MUST_CHECK;

/* The directory entities whose texts a case shows, one slot each. */
enum name_slot {
    NAME_SERVICE_CATEGORY,
    NAME_SERVICE_TYPE,
    NAME_UNIT,
    NAME_INBOX,
    NAME_WORKSTATION,
    NAME_ASSIGNED_TO,
    NAME_LOCKED_BY,
    NAME_CUSTOMER,
    NAME_SLOT_COUNT,
};

struct entity_ref {
    bool present;
    enum entity_kind kind;
    struct uuid id;
};

/* The entity that each slot refers to. */
void case_names_wanted(const struct case_state *state, struct entity_ref out_refs[NAME_SLOT_COUNT]);

/* caseTimestamp and statusDate for the view's columns are state->fields.*; its user is fields.locked_by.id. */

#endif
