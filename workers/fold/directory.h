/*
 * directory.h: the fold of one directory entity: the greatest version wins; a null value forgets it (contract, section
 * 3). Pure. Texts are borrowed from the events and from the row that the state was loaded from.
 */
#ifndef CASEVIEW_FOLD_DIRECTORY_H
#define CASEVIEW_FOLD_DIRECTORY_H

#include "workers/fold/event.h"

enum entity_status {
    ENTITY_FORGOTTEN = 0, /* equal to an entity that never had an event */
    ENTITY_KNOWN = 1,
    ENTITY_REMOVED = 2,
};

struct directory_state {
    enum entity_status status;
    struct uuid organization_id; /* of an application: its owner, until it is forgotten */
    int64_t version;             /* 0 while forgotten */
    struct entity_fields fields; /* of the last upsert; blank unless KNOWN */
};

void directory_init(struct directory_state *state, const struct uuid *organization_id); /* FORGOTTEN */
/*
 * out_visible: texts or status changed, so rows that show the entity must be rendered again. An event with equal texts
 * only changes the version. An application of another owner is FOLD_KEY_MISMATCH.
 */
enum fold_outcome directory_apply(struct directory_state *state, const struct directory_event *event,
                                  bool *out_visible);

#endif
