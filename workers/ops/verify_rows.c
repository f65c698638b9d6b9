#include "workers/ops/verify_rows.h"

#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/stop.h"
#include "sql_worker.h"
#include "workers/ops/stored_rows.h"

#define SWEPT_AFTER_MS  (24 * 3600 * 1000) /* tombstone-days is one at least */
#define PAGE_STATES_MAX (256u << 20)

void verify_name(enum topic topic, const struct uuid *organization_id, const struct uuid *id, char out[VERIFY_NAME_MAX])
{
    char organization[UUID_TEXT_LEN + 1], text[UUID_TEXT_LEN + 1];
    uuid_format(id, text);
    if (topic == TOPIC_CASES) {
        snprintf(out, VERIFY_NAME_MAX, "case %s", text);
        return;
    }
    uuid_format(organization_id, organization);
    snprintf(out, VERIFY_NAME_MAX, "agent %s of organization %s", text, organization);
}

void verify_tell(void *context, const char *field, struct str row, struct str log)
{
    const struct verify_teller *teller = context;
    report_difference(teller->report, teller->key, field, row, log);
}

enum cv_status verify_table_compare(struct verify_rows *rows, const struct verify_table *table, struct err *err)
{
    struct uuid last[2] = {{{0}}, {{0}}};
    int16_t kind = INT16_MIN;
    bool first = true;
    for (int count = 1; count > 0; first = false) {
        struct db_args args;
        struct db_result *page;
        arena_reset(rows->arena);
        db_args_init(&args, rows->arena);
        if (table->has_kind)
            db_arg_int4(&args, kind);
        for (int i = 0; i < table->ids; i++)
            db_arg_uuid(&args, &last[i]);
        if (!table->has_kind) /* no kind is that small: the first page needs no word of its own */
            db_arg_bool(&args, first);
        enum cv_status status = db_exec(rows->reader->db, &table->statement, &args, HISTORY_QUERY_TIMEOUT_MS, &page,
                                        err);
        if (status != CV_OK)
            return status;
        count = db_rows(page);
        if (count > 0 && table->has_kind)
            kind = db_int2(page, count - 1, 0);
        for (int i = 0; i < table->ids && count > 0; i++)
            last[i] = db_uuid(page, count - 1, table->has_kind + i);
        status = table->compare_page(rows, page, err);
        db_result_free(page);
        if (status == CV_OK && stop_requested()) {
            err_set(err, "stopped");
            status = CV_RETRY;
        }
        if (status != CV_OK)
            return status;
    }
    return CV_OK;
}

/* ---- case_state ---- */

static bool may_be_swept(const struct verify_entry *entry)
{
    return entry->over_ms >= 0 && entry->over_ms < clock_wall_us() / 1000 - SWEPT_AFTER_MS;
}

/* True when the log cannot say whether the row is right. */
static bool history_is_older(struct verify_rows *rows, const struct verify_entry *entry, bool start_gone)
{
    if (entry && entry->state.ptr)
        return false;
    if (!start_gone && !(entry && entry->ahead))
        return false;
    rows->report->unknown[start_gone ? UNKNOWN_HISTORY : UNKNOWN_AHEAD]++;
    return true;
}

static void compare_case_row(struct verify_rows *rows, const struct uuid *case_id, const struct stored_case *row)
{
    struct verify_entry *entry = verify_find(rows->history, TOPIC_CASES, case_id);
    bool start_gone = history_reader_start_gone(rows->reader, TOPIC_CASES);
    char name[VERIFY_NAME_MAX];
    verify_name(TOPIC_CASES, NULL, case_id, name);
    const struct verify_teller teller = {rows->report, name};
    const struct difference_sink out = {verify_tell, (void *)(uintptr_t)&teller};
    struct case_state log, own;
    bool readable = case_load(row->state, &own);
    rows->report->cases++;
    if (history_is_older(rows, entry, start_gone)) {
        entry = verify_find_or_add(rows->history, TOPIC_CASES, case_id);
        verify_take_row(entry, row->state);
    } else if (!entry || !entry->state.ptr) {
        report_difference(rows->report, name, "case_state", STR("a row"), STR("no event"));
        return;
    }
    entry->row_seen = true;
    entry->row_part = row->part;
    if (!readable) {
        report_difference(rows->report, name, "case_state.state", STR("bytes that this version cannot read"),
                          STR("a state"));
        return;
    }
    bool loaded = case_load(entry->state, &log);
    assert(loaded); /* from the fold, or readable */
    if (log.over && case_is_incomplete(&own) && may_be_swept(entry)) {
        /* Its row was deleted, and an event came later still. */
        rows->report->unknown[UNKNOWN_SWEPT]++;
        verify_take_row(entry, row->state);
        return;
    }
    const struct history_knowledge knowledge = {entry->parts, start_gone || entry->ahead || entry->from_row};
    if (compare_case(row, &log, &knowledge, &out)) {
        rows->report->unknown[entry->ahead && !start_gone ? UNKNOWN_AHEAD : UNKNOWN_HISTORY]++;
        verify_take_row(entry, row->state);
    }
}

static enum cv_status compare_case_page(struct verify_rows *rows, const struct db_result *page, struct err *err)
{
    (void)err;
    for (int row = 0; row < db_rows(page); row++) {
        struct stored_case found;
        struct uuid case_id = stored_case_read(page, row, &found);
        if (verify_wants(rows->history, &case_id))
            compare_case_row(rows, &case_id, &found);
    }
    return CV_OK;
}

/* ---- active_case ---- */

static bool names_are_current(const struct verify_rows *rows, enum topic topic, int32_t part)
{
    return history_reader_dir_no(rows->reader, topic, part) >= rows->reader->dir_clock;
}

/* What the log says of a listed row's case; false: it is told already, or not listed. */
static bool state_of(struct verify_rows *rows, const struct stored_listed *row, struct verify_entry **out_entry,
                     struct case_state *out_state)
{
    char name[VERIFY_NAME_MAX];
    struct verify_entry *entry = verify_find(rows->history, TOPIC_CASES, &row->case_id);
    verify_name(TOPIC_CASES, NULL, &row->case_id, name);
    if (!entry || !entry->state.ptr || !case_load(entry->state, out_state)) {
        report_difference(rows->report, name, "active_case", STR("listed"), STR("no event"));
        return false;
    }
    if (!case_is_listed(out_state)) {
        report_difference(rows->report, name, "active_case", STR("listed"), STR("not listed"));
        return false;
    }
    if (entry->listed_seen) {
        report_difference(rows->report, name, "active_case", STR("a second row"), STR("one row"));
        return false;
    }
    entry->listed_seen = true;
    *out_entry = entry;
    return true;
}

static void compare_listed_row(struct verify_rows *rows, const struct stored_listed *row,
                               const struct verify_entry *entry, const struct case_state *state)
{
    char name[VERIFY_NAME_MAX];
    struct listed_row expected;
    verify_name(TOPIC_CASES, NULL, &row->case_id, name);
    const struct verify_teller teller = {rows->report, name};
    const struct difference_sink out = {verify_tell, (void *)(uintptr_t)&teller};
    int32_t part = entry->row_seen ? entry->row_part : row->part;
    bool current = names_are_current(rows, TOPIC_CASES, part);
    listed_row_init(&expected);
    case_make_row(&row->case_id, state, rows->names, &expected);
    compare_listed(row, state, &expected, part, current, &out);
    if (!current && !str_eq(row->body, (struct str){expected.body.data, expected.body.len}))
        verify_suspect(rows, TOPIC_CASES, &state->organization_id, &row->case_id);
    listed_row_done(&expected);
}

struct listed_work {
    struct stored_listed row;
    struct verify_entry *entry;
    struct case_state state;
};

static enum cv_status compare_listed_page(struct verify_rows *rows, const struct db_result *page, struct err *err)
{
    size_t count = 0;
    struct listed_work *works = arena_alloc(rows->arena, ((size_t)db_rows(page) + 1) * sizeof *works);
    if (!works) {
        err_set(err, "a page of active_case takes too much memory");
        return CV_FATAL;
    }
    for (int row = 0; row < db_rows(page); row++) {
        struct listed_work *work = &works[count];
        stored_listed_read(page, row, &work->row);
        if (!verify_wants(rows->history, &work->row.case_id))
            continue;
        rows->report->listed++;
        if (!state_of(rows, &work->row, &work->entry, &work->state))
            continue;
        case_want_names(&work->state, rows->names);
        count++;
    }
    enum cv_status status = names_load(rows->names, rows->reader->db, rows->arena, err);
    for (size_t i = 0; i < count && status == CV_OK; i++)
        compare_listed_row(rows, &works[i].row, works[i].entry, &works[i].state);
    if (status == CV_OK)
        names_trim(rows->names);
    return status;
}

/* ---- agent ---- */

static void count(void *context, const char *field, struct str row, struct str log)
{
    (void)field;
    (void)row;
    (void)log;
    ++*(size_t *)context;
}

static size_t count_differences(const struct stored_agent *row, const struct gate_row *expected, bool degraded)
{
    size_t differences = 0;
    const struct difference_sink out = {count, &differences};
    compare_gates(row, expected, degraded, &out);
    return differences;
}

static enum cv_status compare_agent_gates(struct verify_rows *rows, const struct uuid key[2],
                                          const struct stored_agent *row, const struct agent_state *state,
                                          const struct difference_sink *out, struct err *err)
{
    struct gate_row expected;
    bool degraded = agent_is_degraded(state);
    agent_want_names(&key[0], state, rows->names);
    enum cv_status status = names_load(rows->names, rows->reader->db, rows->arena, err);
    if (status != CV_OK)
        return status;
    gate_row_init(&expected);
    agent_make_row(&key[0], state, rows->names, &expected);
    if (names_are_current(rows, TOPIC_AGENTS, row->part))
        compare_gates(row, &expected, degraded, out);
    else if (count_differences(row, &expected, degraded) > 0)
        verify_suspect(rows, TOPIC_AGENTS, &key[0], &key[1]);
    gate_row_done(&expected);
    return CV_OK;
}

static enum cv_status compare_agent_row(struct verify_rows *rows, const struct uuid key[2],
                                        const struct stored_agent *row, struct err *err)
{
    struct verify_entry *entry = verify_find(rows->history, TOPIC_AGENTS, key);
    bool start_gone = history_reader_start_gone(rows->reader, TOPIC_AGENTS);
    char name[VERIFY_NAME_MAX];
    struct agent_state log;
    verify_name(TOPIC_AGENTS, &key[0], &key[1], name);
    const struct verify_teller teller = {rows->report, name};
    const struct difference_sink out = {verify_tell, (void *)(uintptr_t)&teller};
    rows->report->agents++;
    if (history_is_older(rows, entry, start_gone)) {
        entry = verify_find_or_add(rows->history, TOPIC_AGENTS, key);
        verify_take_row(entry, row->state);
    } else if (!entry || !entry->state.ptr) {
        report_difference(rows->report, name, "agent", STR("a row"), STR("no event"));
        return CV_OK;
    }
    entry->row_seen = true;
    struct arena *arena = arena_new(1u << 12, 64u << 20);
    enum cv_status status = CV_OK;
    if (!agent_load(entry->state, arena, &log)) {
        report_difference(rows->report, name, "agent.state", STR("bytes that this version cannot read"),
                          STR("unknown"));
    } else {
        const struct history_knowledge knowledge = {entry->parts, start_gone || entry->ahead || entry->from_row};
        bool readable = true;
        if (compare_agent(row, &log, &knowledge, &out)) {
            rows->report->unknown[entry->ahead && !start_gone ? UNKNOWN_AHEAD : UNKNOWN_HISTORY]++;
            readable = agent_load(row->state, arena, &log);
        }
        if (readable)
            status = compare_agent_gates(rows, key, row, &log, &out, err);
    }
    arena_free(arena);
    return status;
}

/* One question for the names of a page: those of the rows, and of what the log says where it differs. */
static enum cv_status load_agent_names(struct verify_rows *rows, const struct db_result *page, struct err *err)
{
    struct arena *arena = arena_new(1u << 16, PAGE_STATES_MAX);
    for (int row = 0; row < db_rows(page); row++) {
        struct stored_agent found;
        struct uuid key[2];
        struct agent_state state;
        stored_agent_read(page, row, key, &found);
        if (!verify_wants(rows->history, &key[1]))
            continue;
        const struct verify_entry *entry = verify_find(rows->history, TOPIC_AGENTS, key);
        arena_reset(arena);
        if (agent_load(found.state, arena, &state))
            agent_want_names(&key[0], &state, rows->names);
        if (entry && entry->state.ptr && agent_load(entry->state, arena, &state))
            agent_want_names(&key[0], &state, rows->names);
    }
    arena_free(arena);
    return names_load(rows->names, rows->reader->db, rows->arena, err);
}

static enum cv_status compare_agent_page(struct verify_rows *rows, const struct db_result *page, struct err *err)
{
    enum cv_status status = load_agent_names(rows, page, err);
    for (int row = 0; row < db_rows(page) && status == CV_OK; row++) {
        struct stored_agent found;
        struct uuid key[2];
        stored_agent_read(page, row, key, &found);
        if (verify_wants(rows->history, &key[1]))
            status = compare_agent_row(rows, key, &found, err);
    }
    names_trim(rows->names);
    return status;
}

/* ---- what the log has and the tables have not ---- */

static void tell_missing_case(struct verify_rows *rows, const struct verify_entry *entry)
{
    const struct uuid *id = (const struct uuid *)entry->entry.key;
    char name[VERIFY_NAME_MAX];
    struct case_state state;
    verify_name(TOPIC_CASES, NULL, id, name);
    bool loaded = case_load(entry->state, &state);
    if (!loaded)
        return; /* a row's own, told already */
    if (!entry->row_seen && state.over && may_be_swept(entry))
        rows->report->unknown[UNKNOWN_SWEPT]++;
    else if (!entry->row_seen)
        report_difference(rows->report, name, "case_state", STR("no row"), state.over ? STR("over") : STR("a case"));
    if (case_is_listed(&state) && !entry->listed_seen)
        report_difference(rows->report, name, "active_case", STR("not listed"), STR("listed"));
}

static void tell_missing(struct verify_rows *rows)
{
    const struct verify_set *cases = &rows->history->sets[TOPIC_CASES], *agents = &rows->history->sets[TOPIC_AGENTS];
    for (size_t i = 0; i < cases->count; i++)
        if (cases->all[i]->state.ptr)
            tell_missing_case(rows, cases->all[i]);
    for (size_t i = 0; i < agents->count; i++) {
        const struct verify_entry *entry = agents->all[i];
        const struct uuid *key = (const struct uuid *)entry->entry.key;
        char name[VERIFY_NAME_MAX];
        if (!entry->state.ptr || entry->row_seen)
            continue;
        verify_name(TOPIC_AGENTS, &key[0], &key[1], name);
        report_difference(rows->report, name, "agent", STR("no row"), STR("an agent"));
    }
}

enum cv_status verify_rows_compare(struct verify_rows *rows, struct err *err)
{
    static const struct verify_table tables[] = {
        {{"rows_cases", sql_rows_cases}, .ids = 1, .compare_page = compare_case_page},
        {{"rows_listed", sql_rows_listed}, .ids = 2, .compare_page = compare_listed_page},
        {{"rows_agents", sql_rows_agents}, .ids = 2, .compare_page = compare_agent_page},
    };
    enum cv_status status = CV_OK;
    for (size_t i = 0; i < ARRAY_LEN(tables) && status == CV_OK; i++)
        status = verify_table_compare(rows, &tables[i], err);
    if (status == CV_OK)
        status = verify_entities_compare(rows, err);
    if (status == CV_OK)
        tell_missing(rows);
    return status;
}
