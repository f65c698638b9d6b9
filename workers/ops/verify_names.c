#include "workers/ops/verify_names.h"

#include "caseview/clock.h"
#include "caseview/stop.h"
#include "sql_worker.h"
#include "workers/ops/history_compare.h"

#define RETRY_MS 100

static void add_stale(struct verify *verify, enum topic topic, const struct uuid *organization_id,
                      const struct uuid *id)
{
    verify->stale = cv_grow(verify->stale, verify->stale_count, &verify->stale_room, sizeof *verify->stale);
    verify->stale[verify->stale_count++] = (struct verify_stale){topic, *organization_id, *id};
}

/* ---- active_case ---- */

/* Columns of rows_listed.sql after those of active_case. */
enum { COL_CASE_PART = 11, COL_CASE_STATE };

struct listed_work {
    struct stored_listed row;
    int32_t part;
    struct case_state state;
};

/*
 * The state that the row belongs to. False: the row is reported, or its state is unreadable, which is reported there.
 */
static bool state_of(struct verify *verify, const struct db_result *page, int row, struct listed_work *work)
{
    char name[VERIFY_NAME_MAX];
    struct str log = STR("not listed");
    if (db_is_null(page, row, COL_CASE_STATE)) {
        log = STR("no row in case_state");
    } else {
        work->part = db_int4(page, row, COL_CASE_PART);
        if (!case_load(db_str(page, row, COL_CASE_STATE), &work->state))
            return false;
        if (case_is_listed(&work->state))
            return true;
    }
    verify_name(TOPIC_CASES, NULL, &work->row.case_id, name);
    report_difference(verify->report, name, "active_case", STR("listed"), log);
    return false;
}

static void compare_listed_row(struct verify *verify, const struct listed_work *work)
{
    char name[VERIFY_NAME_MAX];
    struct listed_row expected;
    bool current = history_reader_names_current(verify->reader, TOPIC_CASES, work->part);
    verify_name(TOPIC_CASES, NULL, &work->row.case_id, name);
    struct verify_key_report key_report = {verify->report, name};
    const struct difference_sink out = {verify_key_difference, &key_report};
    listed_row_init(&expected);
    case_make_row(&work->row.case_id, &work->state, verify->names, &expected);
    compare_listed(&work->row, &work->state, &expected, work->part, current, &out);
    if (!current && !str_eq(work->row.body, (struct str){expected.body.data, expected.body.len}))
        add_stale(verify, TOPIC_CASES, &work->row.organization_id, &work->row.case_id);
    listed_row_done(&expected);
}

static enum cv_status compare_listed_page(struct verify *verify, const struct db_result *page, struct err *err)
{
    size_t count = 0;
    struct listed_work *works = arena_alloc(verify->arena, ((size_t)db_rows(page) + 1) * sizeof *works);
    if (works == NULL) {
        err_set(err, "a page of active_case needs too much memory");
        return CV_FATAL;
    }
    for (int row = 0; row < db_rows(page); row++) {
        struct listed_work *work = &works[count];
        stored_listed_read(page, row, &work->row);
        if (!verify_wants(verify->history, &work->row.case_id))
            continue;
        verify->report->listed++;
        if (!state_of(verify, page, row, work))
            continue;
        case_want_names(&work->state, verify->names);
        count++;
    }
    enum cv_status status = names_load(verify->names, verify->reader->db, verify->arena, err);
    for (size_t i = 0; i < count && status == CV_OK; i++)
        compare_listed_row(verify, &works[i]);
    return status;
}

enum cv_status verify_listed(struct verify *verify, struct err *err)
{
    static const struct verify_table table = {
        {"rows_listed", sql_rows_listed}, .ids = 2, .compare_page = compare_listed_page};
    return verify_pages(verify, &table, err);
}

/* ---- agent ---- */

void verify_gates(struct verify *verify, const struct uuid key[2], const struct stored_agent *row,
                  const struct agent_state *state)
{
    char name[VERIFY_NAME_MAX];
    struct gate_row expected;
    verify_name(TOPIC_AGENTS, &key[0], &key[1], name);
    struct verify_key_report key_report = {verify->report, name};
    const struct difference_sink report = {verify_key_difference, &key_report};
    bool current = history_reader_names_current(verify->reader, TOPIC_AGENTS, row->part);
    struct difference_counter counter = {current ? &report : NULL, 0};
    const struct difference_sink out = difference_counter_sink(&counter);
    gate_row_init(&expected);
    agent_make_row(&key[0], state, verify->names, &expected);
    compare_agent_columns(row, &expected, agent_is_degraded(state), &out);
    if (!current && counter.count > 0)
        add_stale(verify, TOPIC_AGENTS, &key[0], &key[1]);
    gate_row_done(&expected);
}

/* ---- stale rows ---- */

static enum cv_status recheck_body(struct verify *verify, const struct verify_stale *stale,
                                   const struct db_result *case_row, const struct db_result *listed_row,
                                   struct err *err)
{
    struct listed_work work;
    struct stored_case stored;
    if (db_rows(case_row) == 0 || db_rows(listed_row) == 0)
        return CV_OK; /* not listed any more */
    (void)stored_case_read(case_row, 0, &stored);
    stored_listed_read(listed_row, 0, &work.row);
    work.part = stored.part;
    if (!case_load(stored.state, &work.state))
        return CV_OK; /* reported already */
    case_want_names(&work.state, verify->names);
    enum cv_status status = names_load(verify->names, verify->reader->db, verify->arena, err);
    if (status != CV_OK)
        return status;
    char name[VERIFY_NAME_MAX];
    struct listed_row expected;
    listed_row_init(&expected);
    case_make_row(&stale->id, &work.state, verify->names, &expected);
    struct str body = {expected.body.data, expected.body.len};
    verify_name(TOPIC_CASES, NULL, &stale->id, name);
    if (!str_eq(work.row.body, body)) {
        if (history_reader_names_current(verify->reader, TOPIC_CASES, work.part))
            report_difference(verify->report, name, "active_case.body", work.row.body, body);
        else
            add_stale(verify, TOPIC_CASES, &stale->organization_id, &stale->id);
    }
    listed_row_done(&expected);
    return CV_OK;
}

static enum cv_status recheck_case(struct verify *verify, const struct verify_stale *stale, struct err *err)
{
    struct db *db = verify->reader->db;
    struct db_result *case_row CV_CLEANUP(db_result_done) = NULL, *listed_row CV_CLEANUP(db_result_done) = NULL;
    enum cv_status status = stored_case_find(db, verify->arena, &stale->id, &case_row, err);
    if (status == CV_OK)
        status = stored_listed_find(db, verify->arena, &stale->organization_id, &stale->id, &listed_row, err);
    return status == CV_OK ? recheck_body(verify, stale, case_row, listed_row, err) : status;
}

static enum cv_status recheck_agent(struct verify *verify, const struct verify_stale *stale, struct err *err)
{
    struct db *db = verify->reader->db;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    enum cv_status status = stored_agent_find(db, verify->arena, &stale->organization_id, &stale->id, &result, err);
    if (status != CV_OK)
        return status;
    struct arena *arena = arena_new(1u << 12, 64u << 20);
    struct stored_agent row;
    struct agent_state state;
    struct uuid key[2];
    bool there = db_rows(result) == 1;
    if (there) {
        stored_agent_read(result, 0, key, &row);
        there = agent_load(row.state, arena, &state);
    }
    if (there) {
        agent_want_names(&key[0], &state, verify->names);
        status = names_load(verify->names, db, verify->arena, err);
        if (status == CV_OK)
            verify_gates(verify, key, &row, &state);
    }
    arena_free(arena);
    return status;
}

static enum cv_status recheck_all(struct verify *verify, struct err *err)
{
    struct verify_stale *list CV_CLEANUP(cv_free_ptr) = verify->stale;
    size_t count = verify->stale_count;
    verify->stale = NULL;
    verify->stale_count = verify->stale_room = 0;
    enum cv_status status = verify_begin(verify, err);
    for (size_t i = 0; i < count && status == CV_OK; i++) {
        arena_reset(verify->arena);
        status = list[i].topic == TOPIC_CASES ? recheck_case(verify, &list[i], err)
                                              : recheck_agent(verify, &list[i], err);
    }
    return status == CV_OK ? history_reader_end(verify->reader, err) : status;
}

enum cv_status verify_stale_names(struct verify *verify, int timeout_ms, struct err *err)
{
    int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    while (verify->stale_count > 0 && clock_mono_ms() < deadline_ms) {
        if (stop_wait(RETRY_MS)) {
            err_set(err, "stopped");
            return CV_RETRY;
        }
        enum cv_status status = recheck_all(verify, err);
        if (status != CV_OK)
            return status;
    }
    verify->report->unknown[UNKNOWN_NAMES] += (int64_t)verify->stale_count;
    return CV_OK;
}
