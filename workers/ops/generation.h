/*
 * generation.h: the generations of the view (ctl.generation): complete copies of it, each in a schema gen_N with its
 * own cursors. One is live, at most one is waiting (being filled), the others are past or dropped (contract, section
 * 7). Functions that write need the owner of the schemas. One thread.
 */
#ifndef CASEVIEW_OPS_GENERATION_H
#define CASEVIEW_OPS_GENERATION_H

#include "caseview/arena.h"
#include "caseview/buf.h"
#include "caseview/db.h"
#include "caseview/err.h"

/* The table layout and the stored states that this program writes: schemas/db/gen.sql. */
#define GENERATION_TEMPLATE 2
/* The oldest template whose states carry-over can still read. */
#define GENERATION_TEMPLATE_OLDEST 1

/* What to say of a generation with tables of another version; arguments: its number, its version, ours. */
#define GENERATION_MISFIT "generation %d has tables of version %d, this program writes version %d"

enum generation_state { GENERATION_LIVE, GENERATION_WAITING, GENERATION_PAST, GENERATION_DROPPED };

struct generation {
    int32_t gen;
    enum generation_state state;
    int32_t template_version;
    bool deferred;           /* workers render no rows for readers yet */
    int32_t carry_over_from; /* 0: none, the log has all */
    bool log_only;           /* the operator wants none */
    bool prepare_started, prepared;
    int64_t created_at; /* microseconds */
};

struct generation_list {
    struct generation *items; /* by number; memory of the arena */
    size_t count;
};

const char *generation_state_name(enum generation_state state);

/* CV_OK or CV_RETRY. */
enum cv_status generation_list_read(struct db *db, struct arena *arena, struct generation_list *out_list,
                                    struct err *err) CV_MUST_CHECK;
/*
 * Whether this program can work on the rows of a generation: CV_FATAL: its tables have another version; CV_RETRY. One
 * that does not exist fits: the statements that follow say so.
 */
enum cv_status generation_check_template(struct db *db, int32_t gen, struct err *err) CV_MUST_CHECK;
/* Whether the states of this one can be carried over: CV_OK, or CV_FATAL. */
enum cv_status generation_check_carry_over(const struct generation *from, struct err *err) CV_MUST_CHECK;
/* NULL: there is none. */
const struct generation *generation_find(const struct generation_list *list, int32_t gen);
const struct generation *generation_in_state(const struct generation_list *list, enum generation_state state);

/*
 * Creates the next generation in the transaction that is open: its row, schemas, tables and views. waiting: views
 * caseview_N, no indexes yet that filling does without, rendering deferred. Otherwise it is live, complete, and its
 * views are caseview. CV_OK or CV_RETRY.
 */
enum cv_status generation_create(struct db *db, int32_t gen, bool waiting, struct err *err) CV_MUST_CHECK;

/* Creates the indexes that filling does without, those that are missing. CV_OK or CV_RETRY. */
enum cv_status generation_create_indexes(struct db *db, int32_t gen, struct err *err) CV_MUST_CHECK;

/*
 * Drops schemas, tables, views and cursors in the transaction that is open; the row stays, as dropped. Never cascades:
 * *out_dependents lists other objects that depend on it, one per line, and then nothing was dropped; its memory is the
 * arena's, STR_NULL: dropped. CV_OK or CV_RETRY.
 */
enum cv_status generation_drop(struct db *db, struct arena *arena, int32_t gen, struct str *out_dependents,
                               struct err *err) CV_MUST_CHECK;

#endif
