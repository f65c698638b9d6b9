/*
 * render.h: a case and the names of its entities → the Case object of the contract, section 2, byte for byte.
 */
#ifndef CASEVIEW_FOLD_RENDER_H
#define CASEVIEW_FOLD_RENDER_H

#include "caseview/buf.h"
#include "workers/fold/case.h"

/* The directory's texts of one entity that is KNOWN. */
struct entity_names {
    struct str name;           /* displayName of users and customers */
    struct str detail;         /* inbox: colorCode; user: initials */
    struct str picture;        /* user */
    struct uuid data_table_id; /* customer */
};

/* Appends the Case object. names[slot] NULL: the directory does not know the entity, the event's texts are used. */
void render_case(const struct uuid *case_id, const struct case_state *state,
                 const struct entity_names *const names[NAME_SLOT_COUNT], struct buf *out);

#endif
