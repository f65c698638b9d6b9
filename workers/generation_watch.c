#include "workers/generation_watch.h"

#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "caseview/stop.h"
#include "sql_worker.h"
#include "workers/ops/generation.h"

#define LOOK_MS          1000
#define QUERY_TIMEOUT_MS 5000
#define BURST_S          0.05 /* of the rate that may be folded at once */
#define RATE_WEIGHT      0.2  /* of the latest second in the rate that is shown */

static const struct db_statement watch_statement = {"generation_watch", sql_generation_watch};

static void set_option(struct generation_watch *watch)
{
    watch->option[0] = '\0';
    if (!watch->live)
        snprintf(watch->option, sizeof watch->option, " --generation %d", watch->gen);
}

void generation_watch_init(struct generation_watch *watch, int32_t gen, const struct config *config)
{
    *watch = (struct generation_watch){
        .gen = gen,
        .config = config,
        .arena = arena_new(1u << 12, 1u << 20),
        .deferred = true,
        .bulk_rate = config_int(config, "bulk-rate"),
        .allowed_us = clock_mono_us(),
        .counted_ms = clock_mono_ms(),
    };
    set_option(watch);
}

void generation_watch_done(struct generation_watch *watch)
{
    arena_free(watch->arena);
}

/* ---- the generation ---- */

static void reload_rate(struct generation_watch *watch)
{
    struct err err = ERR_INIT;
    int64_t rate;
    if (!stop_reload_requested(&watch->reloads))
        return;
    if (config_read_int_again(watch->config, "bulk-rate", &rate, &err) != CV_OK) {
        log_warn("SIGHUP: bulk-rate stays %" PRId64 ": %s", watch->bulk_rate, err.text);
        return;
    }
    if (rate != watch->bulk_rate)
        log_info("SIGHUP: bulk-rate is %" PRId64 " events/s, it was %" PRId64, rate, watch->bulk_rate);
    watch->bulk_rate = rate;
}

static void take(struct generation_watch *watch, const struct db_result *result)
{
    bool live = db_rows(result) == 1 && str_eq(db_str(result, 0, 0), STR("live"));
    bool deferred = db_rows(result) == 1 && db_bool(result, 0, 1);
    if (live && !watch->live)
        log_info("generation %d is live", watch->gen);
    else if (!live && watch->live)
        log_info("generation %d is no longer live", watch->gen);
    watch->live = live;
    set_option(watch);
    watch->deferred = deferred;
    watch->prepared = db_rows(result) == 1 && db_bool(result, 0, 3);
    int32_t version = db_rows(result) == 1 ? db_int4(result, 0, 2) : GENERATION_TEMPLATE;
    watch->fits = version == GENERATION_TEMPLATE;
    if (!watch->fits && !watch->misfit_reported)
        log_error(GENERATION_MISFIT "; claiming nothing: run the worker of that version", watch->gen, version,
                  GENERATION_TEMPLATE);
    watch->misfit_reported = !watch->fits;
}

enum cv_status generation_watch_look(struct generation_watch *watch, struct err *err)
{
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    int64_t now = clock_mono_ms();
    if (now < watch->next_look_ms || !writer_is_connected(watch->writer))
        return CV_OK;
    watch->next_look_ms = now + LOOK_MS;
    reload_rate(watch);
    arena_reset(watch->arena);
    db_args_init(&args, watch->arena);
    db_arg_int4(&args, watch->gen);
    enum cv_status status = db_exec(writer_loader(watch->writer), &watch_statement, &args, QUERY_TIMEOUT_MS, &result,
                                    err);
    if (status != CV_OK)
        return status;
    take(watch, result);
    return CV_OK;
}

bool generation_watch_fits(const struct generation_watch *watch)
{
    return watch->fits;
}

bool generation_watch_prepared(const struct generation_watch *watch)
{
    return watch->prepared;
}

bool generation_watch_defers(const struct generation_watch *watch)
{
    return watch->deferred;
}

/* ---- the rate ---- */

static bool is_limited(const struct generation_watch *watch)
{
    return watch->bulk_rate > 0 && !watch->live;
}

static void refill(struct generation_watch *watch)
{
    int64_t now_us = clock_mono_us();
    double burst = (double)watch->bulk_rate * BURST_S;
    watch->allowed += (double)watch->bulk_rate * (double)(now_us - watch->allowed_us) / 1e6;
    watch->allowed_us = now_us;
    if (burst < 1)
        burst = 1;
    if (watch->allowed > burst)
        watch->allowed = burst;
}

size_t generation_watch_allows(struct generation_watch *watch, size_t most)
{
    if (!is_limited(watch))
        return most;
    refill(watch);
    if (watch->allowed < 1)
        return 0;
    return watch->allowed < (double)most ? (size_t)watch->allowed : most;
}

void generation_watch_took(struct generation_watch *watch, size_t events)
{
    watch->counted += (int64_t)events;
    if (is_limited(watch))
        watch->allowed -= (double)events;
}

int generation_watch_wait_ms(struct generation_watch *watch)
{
    if (!is_limited(watch))
        return 0;
    refill(watch);
    return watch->allowed >= 1 ? 0 : 1 + (int)((1 - watch->allowed) * 1000 / (double)watch->bulk_rate);
}

void generation_watch_show(struct generation_watch *watch, int64_t behind)
{
    int64_t now = clock_mono_ms(), passed_ms = now - watch->counted_ms;
    if (passed_ms <= 0)
        return;
    double latest = (double)watch->counted * 1000.0 / (double)passed_ms;
    watch->rate = watch->rate > 0 ? RATE_WEIGHT * latest + (1 - RATE_WEIGHT) * watch->rate : latest;
    watch->counted = 0;
    watch->counted_ms = now;
    metric_set(watch->m->generation, watch->gen);
    metric_set(watch->m->generation_live, watch->live ? 1 : 0);
    metric_set(watch->m->generation_deferred, watch->deferred && !watch->live ? 1 : 0);
    metric_set(watch->m->fold_rate, watch->rate);
    metric_set(watch->m->seconds_left, behind == 0 ? 0 : watch->rate > 0 ? (double)behind / watch->rate : -1);
}
