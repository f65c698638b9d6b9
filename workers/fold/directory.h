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

/*
 * Adds the events that from has folded; both are states of one entity. False: into is unchanged. out_visible: as in
 * directory_apply(), or the owner changed. Texts and roles are borrowed from what from borrows them from.
 *
 * The greater version counts, and a forgotten entity adds nothing. That is the state of both sets of events, whichever
 * is from, unless there is a null value among them, or two events have one version, or an application has two owners.
 * Then the order of the log decides, which versions do not tell, and from must have the longer history: it has folded
 * every record up to some offset, and into has folded none from that offset on (into may lack earlier ones, and
 * compaction may have removed them). When into then folds the rest of the log, its state is that of the whole log:
 *   - Two events with one version: the first counts, which is from's.
 *   - Two owners of an application: the first keeps it, which is from's, with any version. If the organization of into
 *     changes, the row of the former owner must say FORGOTTEN.
 *   - A null value that into has folded: what from has came after it.
 *   - A null value that only from has folded: into keeps what it has, until it reads that record.
 * If into has read further than from, an entity that was forgotten in between can reappear.
 */
bool directory_merge(struct directory_state *into, const struct directory_state *from, bool *out_visible);

#endif
