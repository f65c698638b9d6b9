/*
 * `caseview rebuild compare`: the rows of the views that differ between the live generation and another one. All rows
 * are read at one moment. Those that differ may only be ahead in one generation, so they are read again at later
 * moments until they are equal, or until both generations have read as far.
 */
#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "caseview/stop.h"
#include "sql_worker.h"
#include "workers/ops/broker_options.h"
#include "workers/ops/rebuild_compare_print.h"

#define SUSPECTS_MAX 1000000 /* about 230 MB */
#define LOOK_FOR_MS  30000   /* then the rest is undecided */
#define LOOK_MS      200

static const struct db_statement steps_statement = {"rebuild_steps", sql_rebuild_steps};

/* ---- before reading ---- */

static enum cv_status choose(struct compare *compare, struct err *err)
{
    struct rebuild *rebuild = compare->rebuild;
    const struct generation *other, *live = generation_in_state(&rebuild->list, GENERATION_LIVE);
    const char *organization = config_text(rebuild->operation.config, "organization");
    enum cv_status status = rebuild_choose(rebuild, &other, err);
    if (status != CV_OK)
        return status;
    if (live == NULL) {
        err_set(err, "no generation is live");
        return CV_FATAL;
    }
    if (live == other) {
        err_set(err, "generation %d is the live one: the others are compared with it", other->gen);
        return CV_FATAL;
    }
    if (!other->prepared || other->deferred) {
        err_set(err, "generation %d is not prepared: caseview rebuild prepare", other->gen);
        return CV_FATAL;
    }
    compare->has_organization = organization != NULL;
    if (organization != NULL && !uuid_parse(str_of(organization), &compare->organization_id)) {
        err_set(err, "--organization: \"%.60s\" is not a GUID: expected 8-4-4-4-12 hex digits", organization);
        return CV_FATAL;
    }
    compare->gens[COMPARE_LIVE] = live->gen;
    compare->gens[COMPARE_OTHER] = other->gen;
    return CV_OK;
}

/* Without the cursors of a topic nothing could tell that a generation lags. */
static enum cv_status check_topics(const struct compare *compare, struct err *err)
{
    for (enum topic topic = TOPIC_CASES; topic < TOPIC_COUNT; topic++) {
        if (compare_moments_has_topic(&compare->moments, COMPARE_LIVE, topic))
            continue;
        err_set(err, "no worker of generation %d has read topic %s: check --%s", compare->gens[COMPARE_LIVE],
                compare->moments.topics[topic], topic_options[topic]);
        return CV_FATAL;
    }
    return CV_OK;
}

/* ---- moments ---- */

static enum cv_status first_moment(struct compare *compare, struct err *err)
{
    enum cv_status status = compare_begin_moment(compare, err);
    if (status == CV_OK)
        status = check_topics(compare, err);
    if (status == CV_OK)
        status = compare_read_all(compare, err);
    return status == CV_OK ? compare_end(compare, err) : status;
}

static enum cv_status look_once(struct compare *compare, struct err *err)
{
    enum cv_status status = compare_begin_moment(compare, err);
    if (status == CV_OK)
        status = compare_look(compare, err);
    return status == CV_OK ? compare_end(compare, err) : status;
}

/* Until all suspects are decided, or the time is over. */
static enum cv_status look_again(struct compare *compare, struct err *err)
{
    int64_t deadline = clock_mono_ms() + LOOK_FOR_MS;
    while (compare->suspects.open > 0) {
        enum cv_status status = look_once(compare, err);
        if (status != CV_OK)
            return status;
        if (compare->suspects.open == 0 || clock_mono_ms() >= deadline)
            break;
        if (compare_may_report(compare))
            log_info("%zu rows differ and are read again: a generation may only be ahead", compare->suspects.open);
        if (stop_wait(LOOK_MS)) {
            err_set(err, "stopped");
            return CV_RETRY;
        }
    }
    return CV_OK;
}

/* ---- the report ---- */

static enum cv_status read_steps(struct compare *compare, struct compare_report *report, struct err *err)
{
    struct operation *operation = &compare->rebuild->operation;
    struct db_args args;
    struct db_result *result;
    arena_reset(operation->arena);
    db_args_init(&args, operation->arena);
    db_arg_int4(&args, compare->gens[COMPARE_OTHER]);
    enum cv_status status = db_exec(operation->db, &steps_statement, &args, OPERATION_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result) && report->step_count < COMPARE_STEPS_MAX; row++) {
        struct str name = db_str(result, row, 0);
        struct compare_step *step = &report->steps[report->step_count];
        if (name.len < sizeof "carry-over" - 1 || memcmp(name.ptr, "carry-over", sizeof "carry-over" - 1) != 0)
            continue;
        snprintf(step->name, sizeof step->name, "%.*s", (int)name.len, name.ptr);
        step->seen = db_int8(result, row, 1);
        step->changed = db_int8(result, row, 2);
        report->step_count++;
    }
    db_result_free(result);
    return CV_OK;
}

static enum cv_status report_differences(struct compare *compare, int *out_exit_code, struct err *err)
{
    const struct config *config = compare->rebuild->operation.config;
    struct compare_report report = {.limit = (size_t)config_int(config, "limit")};
    struct compare_finding *findings = NULL;
    compare_count(&compare->suspects, &report);
    enum cv_status status = compare_begin(compare, err);
    if (status == CV_OK)
        status = read_steps(compare, &report, err);
    if (status == CV_OK)
        status = compare_findings(compare, report.limit, &findings, &report.finding_count, err);
    if (status == CV_OK)
        status = compare_end(compare, err);
    if (status == CV_OK) {
        struct compare_user *users = compare_users(&compare->suspects, &report.user_count);
        report.findings = findings;
        report.users = users;
        if (config_flag(config, "json"))
            compare_print_json(compare, &report);
        else
            compare_print_text(compare, &report);
        *out_exit_code = report.differences == 0 ? CV_EXIT_OK : CV_EXIT_NO;
        free(users);
    }
    free(findings);
    return status;
}

enum cv_status rebuild_compare(struct rebuild *rebuild, int *out_exit_code, struct err *err)
{
    const struct config *config = rebuild->operation.config;
    const char *topics[TOPIC_COUNT];
    struct compare compare = {.rebuild = rebuild, .reported_ms = clock_mono_ms()};
    topic_names(config, topics);
    compare_moments_init(&compare.moments, topics);
    compare_suspects_init(&compare.suspects, SUSPECTS_MAX);
    enum cv_status status = choose(&compare, err);
    if (status == CV_OK)
        status = first_moment(&compare, err);
    if (status == CV_OK)
        status = look_again(&compare, err);
    if (status == CV_OK)
        status = report_differences(&compare, out_exit_code, err);
    compare_suspects_done(&compare.suspects);
    compare_moments_done(&compare.moments);
    return status;
}
