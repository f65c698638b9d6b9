/* `caseview rebuild abort` and `drop`: remove the waiting generation, or one that is past. */
#include <stdio.h>

#include "caseview/failpoint.h"
#include "workers/ops/rebuild_command.h"

#define TRIES 20

/* Chooses the generation; refuses what may not be dropped by this command. */
typedef enum cv_status choose_fn(struct rebuild *rebuild, const struct generation **out_generation, struct err *err);

static enum cv_status choose_waiting(struct rebuild *rebuild, const struct generation **out_generation, struct err *err)
{
    *out_generation = generation_in_state(&rebuild->list, GENERATION_WAITING);
    if (*out_generation != NULL)
        return CV_OK;
    err_set(err, "no generation is waiting");
    return CV_FATAL;
}

static enum cv_status choose_past(struct rebuild *rebuild, const struct generation **out_generation, struct err *err)
{
    const struct generation *waiting = generation_in_state(&rebuild->list, GENERATION_WAITING);
    enum cv_status status = rebuild_operand(rebuild, out_generation, err);
    if (status == CV_OK && waiting != NULL && !waiting->prepared &&
        waiting->carry_over_from == (*out_generation)->gen) {
        err_set(err, "generation %d carries over from generation %d: caseview rebuild prepare, or abort, first",
                waiting->gen, (*out_generation)->gen);
        return CV_FATAL;
    }
    if (status != CV_OK || (*out_generation)->state == GENERATION_PAST)
        return status;
    if ((*out_generation)->state == GENERATION_LIVE)
        err_set(err, "generation %d is live: switch to another one first (caseview rebuild switch)",
                (*out_generation)->gen);
    else
        err_set(err, "generation %d is waiting: caseview rebuild abort", (*out_generation)->gen);
    return CV_FATAL;
}

struct dropping {
    choose_fn *choose;
    int32_t gen; /* chosen */
};

static enum cv_status drop_once(struct rebuild *rebuild, void *context, struct err *err)
{
    struct dropping *dropping = context;
    const struct generation *generation;
    struct str dependents = STR_NULL;
    enum cv_status status = rebuild_begin(rebuild, err);
    if (status == CV_OK)
        status = dropping->choose(rebuild, &generation, err);
    if (status != CV_OK)
        return status;
    dropping->gen = generation->gen;
    status = generation_drop(rebuild->operation.db, rebuild->arena, dropping->gen, &dependents, err);
    if (status == CV_OK && dependents.ptr != NULL) {
        err_set(err, "other objects depend on generation %d; drop or move them first: %.*s", dropping->gen,
                (int)dependents.len, dependents.ptr);
        return CV_FATAL;
    }
    if (status == CV_OK)
        status = rebuild_audit(rebuild, dropping->gen, NULL, err);
    FAIL_POINT("drop.before");
    if (status == CV_OK)
        status = rebuild_commit(rebuild, err);
    FAIL_POINT("drop.after");
    return status;
}

/*
 * A worker may read a table, or write a batch, while its table is to be dropped: one of the two waits, or is refused.
 */
static enum cv_status drop(struct rebuild *rebuild, choose_fn *choose, int *out_exit_code, struct err *err)
{
    struct dropping dropping = {.choose = choose};
    enum cv_status status = rebuild_repeat(rebuild, drop_once, &dropping, TRIES, err);
    if (status != CV_OK)
        return status;
    bool json = config_flag(rebuild->operation.config, "json");
    printf(json ? "{\"generation\":%d,\"state\":\"dropped\"}\n"
                : "generation %d is dropped; its workers can be stopped\n",
           dropping.gen);
    *out_exit_code = CV_EXIT_OK;
    return CV_OK;
}

enum cv_status rebuild_abort(struct rebuild *rebuild, int *out_exit_code, struct err *err)
{
    return drop(rebuild, choose_waiting, out_exit_code, err);
}

enum cv_status rebuild_drop(struct rebuild *rebuild, int *out_exit_code, struct err *err)
{
    return drop(rebuild, choose_past, out_exit_code, err);
}
