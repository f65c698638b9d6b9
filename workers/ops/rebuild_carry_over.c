#include "workers/ops/rebuild_carry_over.h"

#include <stdio.h>

#include "caseview/failpoint.h"
#include "caseview/log.h"
#include "caseview/retry.h"
#include "caseview/stop.h"
#include "workers/ops/carry_over_page.h"

#define NAMES_MAX ((size_t)16 << 20)
#define TRIES     50

/* ---- pages ---- */

/* A worker wrote one of the rows meanwhile (22012), or holds a lock for long. */
static bool is_transient(const struct err *err)
{
    return strcmp(err->sqlstate, "22012") == 0 || operation_may_repeat(err);
}

/* One page, again while workers write the same rows. */
static enum cv_status carry_page(struct carry_over *carry, struct rebuild_step *step, carry_over_fn *page,
                                 bool *out_more, struct err *err)
{
    const struct rebuild_step before = *step;
    struct retry retry;
    retry_init(&retry, 10, 1000);
    for (int try = 1;; try++) {
        arena_reset(carry->arena);
        enum cv_status status = page(carry, step, out_more, err);
        if (status == CV_OK)
            return CV_OK;
        if (status != CV_RETRY || !(is_transient(err) || carry->lags) || try == TRIES ||
            stop_wait(retry_failed(&retry)))
            return status;
        *step = before;
        carry->lags = false;
        struct err ignored = ERR_INIT;
        if (db_script(carry->target, "ROLLBACK", OPERATION_QUERY_TIMEOUT_MS, &ignored) != CV_OK)
            return status;
    }
}

static enum cv_status carry_all(struct carry_over *carry, const char *name, carry_over_fn *page, struct err *err)
{
    struct rebuild_step step;
    bool more = true;
    enum cv_status status = rebuild_step_open(carry->rebuild, carry->to, name, &step, err);
    if (status != CV_OK || step.finished)
        return status;
    while (more) {
        if (stop_requested()) {
            err_set(err, "stopped during %s; repeat the command to go on", name);
            return CV_FATAL;
        }
        status = carry_page(carry, &step, page, &more, err);
        if (status != CV_OK) {
            err_prefix(err, "%s", name);
            return status;
        }
        FAIL_POINT("carry.page");
        rebuild_step_report(&step);
    }
    return rebuild_step_finish(carry->rebuild, &step, err);
}

/* ---- all parts ---- */

static enum cv_status connect_source(struct carry_over *carry, struct err *err)
{
    const struct config *config = carry->rebuild->operation.config;
    char setup[64];
    snprintf(setup, sizeof setup, DB_SEARCH_PATH_FMT, carry->from);
    return db_open(config_text(config, "database"), "caseview rebuild prepare", setup,
                   (int)config_int(config, "connect-timeout-s") * 1000, &carry->source, err);
}

enum cv_status rebuild_carry_over(struct rebuild *rebuild, const struct generation *to, struct err *err)
{
    static const struct {
        const char *name;
        carry_over_fn *page;
    } parts[] = {
        /* Before states: `parked retry` moves a record from there into a state, which may have been read already. */
        {"carry-over parked", carry_over_parked},
        /* Before agents: their rows depend on it. */
        {"carry-over directory", carry_over_directory},
        {"carry-over cases", carry_over_cases},
        {"carry-over agents", carry_over_agents},
    };
    struct carry_over carry = {
        .rebuild = rebuild,
        .from = to->carry_over_from,
        .to = to->gen,
        .target = rebuild->operation.db,
        .arena = arena_new(1u << 18, CARRY_OVER_ARENA_MAX),
        .names = names_new(NAMES_MAX),
    };
    enum cv_status status = connect_source(&carry, err);
    if (status == CV_OK)
        status = operation_use_generation(carry.target, carry.to, err);
    for (size_t i = 0; i < ARRAY_LEN(parts) && status == CV_OK; i++)
        status = carry_all(&carry, parts[i].name, parts[i].page, err);
    db_close(carry.source);
    names_free(carry.names);
    arena_free(carry.arena);
    return status;
}
