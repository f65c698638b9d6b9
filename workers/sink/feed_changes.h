/*
 * feed_changes.h: the directory entities that changed in one round of the change feed (feed.h), and where the rows that
 * name them are to be looked for. One thread.
 *
 * Customers, and users as those who serve a case, are found by an index. The other entities are asked for in the table
 * `named` first: it has all that a listed case or an agent has ever named in another way, so that a change of any other
 * entity ends there. For the rest the rows of the organization are read, and their refs compared.
 */
#ifndef CASEVIEW_SINK_FEED_CHANGES_H
#define CASEVIEW_SINK_FEED_CHANGES_H

#include "caseview/arena.h"
#include "caseview/db.h"
#include "caseview/err.h"
#include "workers/fold/event.h"

#define FEED_CHANGES_MAX 1000

/* An entity that is not found by an index. */
struct feed_change {
    int64_t ref; /* names_hash() */
    struct uuid organization_id, id;
    enum entity_kind kind;
};

struct feed_changes {
    int64_t customers[FEED_CHANGES_MAX]; /* names_hash() */
    size_t customer_count;
    struct uuid users[FEED_CHANGES_MAX][2]; /* organization, user */
    size_t user_count;
    struct feed_change others[FEED_CHANGES_MAX]; /* ascending by ref; users among them */
    size_t other_count;
    struct uuid of_cases[FEED_CHANGES_MAX], of_agents[FEED_CHANGES_MAX]; /* organizations to read, ascending */
    size_t of_cases_count, of_agents_count;
};

void feed_changes_reset(struct feed_changes *changes);
void feed_changes_add(struct feed_changes *changes, enum entity_kind kind, const struct uuid *organization_id,
                      const struct uuid *id);
/* After all are added: leaves out the others that no row has ever named. CV_OK or CV_RETRY. */
enum cv_status feed_changes_look_up(struct feed_changes *changes, struct db *db, struct arena *arena,
                                    struct err *err) CV_MUST_CHECK;

/* Below, after feed_changes_look_up(). */

/* An index finds some of the rows, if there are any. */
bool feed_changes_has_found(const struct feed_changes *changes);
/* The first organization from `from` on whose cases (agents: whose agents) have to be read; NULL: none. */
const struct uuid *feed_changes_organization(const struct feed_changes *changes, bool agents, const struct uuid *from);
/* True if the refs of a row have one of the others. */
bool feed_changes_has_ref(const struct feed_changes *changes, struct str refs);

#endif
