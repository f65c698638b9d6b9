#include "workers/ops/explain.h"

#include <inttypes.h>
#include <stdio.h>

#include "workers/ops/explain_print.h"
#include "workers/ops/log_found.h"

#define OUTPUT_MAX      (256u << 20)
#define SENTENCE_MAX    (16u << 10)
#define NAMES_MAX_BYTES (64u << 20)

struct explain {
    struct log_reader *reader;
    struct log_key key;
    struct log_fold fold;
    struct explanation out;
    struct names *names;
    bool row_found;
};

static void keep_difference(void *context, const char *field, struct str row, struct str log)
{
    struct explain *explain = context;
    struct explanation *out = &explain->out;
    out->differences = cv_realloc(out->differences, (out->difference_count + 1) * sizeof *out->differences);
    struct explain_difference *d = &out->differences[out->difference_count++];
    snprintf(d->field, sizeof d->field, "%s", field);
    d->row = arena_str(explain->key.arena, row);
    d->log = arena_str(explain->key.arena, log);
}

static const char *id_text(const struct uuid *id, char text[UUID_TEXT_LEN + 1])
{
    uuid_format(id, text);
    return text;
}

/* ---- cases ---- */

/* Whether the agent who serves the case sees it: what the endpoint asks of the agent's row. */
static enum cv_status tell_who_sees(struct explain *explain, const struct case_state *state, struct err *err)
{
    struct buf *out = &explain->out.verdict;
    char user[UUID_TEXT_LEN + 1], unit[UUID_TEXT_LEN + 1], current[UUID_TEXT_LEN + 1];
    struct db_result *result;
    enum cv_status status = find_agent(explain->reader->db, explain->reader->arena, &state->organization_id,
                                       &state->fields.locked_by.id, &result, err);
    if (status != CV_OK)
        return status;
    buf_printf(out, "Listed for user %s in unit %s", id_text(&state->fields.locked_by.id, user),
               id_text(&state->fields.unit.id, unit));
    struct found_agent agent = {0};
    struct uuid key[2];
    if (db_rows(result) == 1)
        found_agent(result, 0, key, &agent);
    if (!agent.has_unit)
        buf_puts(out, ", but that user has no current unit, so nobody sees it now.");
    else if (!uuid_eq(&agent.current_unit_id, &state->fields.unit.id))
        buf_printf(out, ", but that user's current unit is %s, so nobody sees it now.",
                   id_text(&agent.current_unit_id, current));
    else if (!agent.has_workspaces)
        buf_puts(out, ", but that user has no current workspaces, so nobody sees it now.");
    else
        buf_puts(out, ", which is that user's current unit.");
    db_result_free(result);
    return CV_OK;
}

static enum cv_status judge_case(struct explain *explain, struct err *err)
{
    struct buf *out = &explain->out.verdict;
    const struct case_state *state = &explain->fold.c;
    if (!explain->fold.known)
        buf_puts(out, "Not listed: no event of it has been folded.");
    else if (state->over)
        buf_puts(out, "Not listed: the case is over, and stays so whatever comes.");
    else if (!state->has_snapshot)
        buf_puts(out, "Not listed: it is incomplete, no CaseQueued or AppointmentBooked of it has been folded.");
    else if (!str_eq(state->fields.status, STR("Active")))
        buf_printf(out, "Not listed: its status is \"%.*s\" (#%" PRId64 "), not \"Active\".",
                   (int)state->fields.status.len, state->fields.status.ptr, state->group_sequence[GROUP_STATUS]);
    else if (!state->fields.locked_by.present)
        buf_printf(out, "Not listed: it is Active, but locked by nobody (#%" PRId64 ").",
                   state->group_sequence[GROUP_LOCK]);
    else
        return tell_who_sees(explain, state, err);
    return CV_OK;
}

static bool names_are_current(const struct explain *explain, int32_t part)
{
    return log_reader_dir_no(explain->reader, explain->key.topic, part) >= explain->reader->dir_clock;
}

static enum cv_status compare_with_listed(struct explain *explain, const struct found_case *row, struct err *err)
{
    const struct log_differences differences = {keep_difference, explain};
    struct case_state state;
    struct listed_row expected;
    struct db_result *result;
    if (!case_load(row->state, &state))
        return CV_OK; /* told already */
    listed_row_init(&expected);
    case_want_names(&state, explain->names);
    enum cv_status status = names_load(explain->names, explain->reader->db, explain->reader->arena, err);
    if (status == CV_OK)
        status = find_listed(explain->reader->db, explain->reader->arena, &state.organization_id, &explain->key.id,
                             &result, err);
    if (status == CV_OK) {
        bool there = db_rows(result) == 1;
        if (there != case_is_listed(&state)) {
            keep_difference(explain, "active_case", there ? STR("listed") : STR("not listed"),
                            there ? STR("not listed") : STR("listed"));
        } else if (there) {
            struct found_listed listed;
            found_listed(result, 0, &listed);
            case_make_row(&explain->key.id, &state, explain->names, &expected);
            compare_listed(&listed, &state, &expected, row->part, names_are_current(explain, row->part), &differences);
        }
        db_result_free(result);
    }
    listed_row_done(&expected);
    return status;
}

static enum cv_status compare_case_row(struct explain *explain, struct err *err)
{
    const struct log_differences differences = {keep_difference, explain};
    const struct log_knowledge knowledge = {explain->fold.parts, explain->out.start_gone};
    struct db_result *result;
    enum cv_status status = find_case(explain->reader->db, explain->reader->arena, &explain->key.id, &result, err);
    if (status != CV_OK)
        return status;
    explain->row_found = db_rows(result) == 1;
    if (explain->row_found) {
        struct found_case row;
        (void)found_case(result, 0, &row);
        if (explain->fold.known)
            (void)compare_case(&row, &explain->fold.c, &knowledge, &differences);
        else if (!explain->out.start_gone)
            keep_difference(explain, "case_state", STR("a row"), STR("no event"));
        status = compare_with_listed(explain, &row, err);
    } else if (explain->fold.known && !explain->fold.c.over) {
        keep_difference(explain, "case_state", STR("no row"), STR("a case"));
    }
    db_result_free(result);
    return status;
}

/* ---- agents ---- */

struct removed_look {
    struct names *names;
    const struct uuid *organization_id;
};

static bool is_removed(void *context, enum entity_kind kind, const struct uuid *id)
{
    const struct removed_look *look = context;
    return names_is_removed(look->names, look->organization_id, kind, id);
}

static void judge_gates(struct explain *explain)
{
    const struct agent_state *state = &explain->fold.a;
    struct buf *out = &explain->out.verdict;
    struct removed_look look = {explain->names, &explain->key.organization_id};
    struct agent_gates gates = agent_evaluate(state, is_removed, &look);
    struct uuid unit_id;
    char unit[UUID_TEXT_LEN + 1];
    size_t count, removed = 0;
    if (!state->unit_sequence) {
        buf_puts(out, "No current unit: none was ever chosen.");
    } else if (!state->has_unit) {
        buf_printf(out, "No current unit: it was cleared (#%" PRId64 ").", state->unit_sequence);
    } else if (!agent_current_unit(state, &unit_id)) {
        buf_printf(out, "No current unit: access to %s was revoked after it was chosen (#%" PRId64 ").",
                   id_text(&state->unit_id, unit), state->unit_sequence);
    } else if (!gates.has_unit) {
        buf_printf(out, "No current unit: the directory says that %s is removed.", id_text(&unit_id, unit));
    } else {
        const struct uuid *workspaces = agent_current_workspaces(state, &count);
        for (size_t i = 0; i < count; i++)
            removed += is_removed(&look, ENTITY_WORKSPACE, &workspaces[i]);
        buf_printf(out, "The current unit is %s; ", id_text(&unit_id, unit));
        if (count == 0)
            buf_puts(out, "no current workspaces: none of that unit are chosen.");
        else if (!gates.has_workspaces)
            buf_printf(out, "no current workspaces: the directory says that all %zu are removed.", count);
        else if (removed > 0)
            buf_printf(out, "of its %zu workspaces %zu are removed.", count, removed);
        else
            buf_printf(out, "%zu current workspaces: the user passes both gates.", count);
    }
}

static enum cv_status judge_agent(struct explain *explain, struct err *err)
{
    if (!explain->fold.known) {
        buf_puts(&explain->out.verdict, "No current unit: no event of the agent has been folded.");
        return CV_OK;
    }
    agent_want_names(&explain->key.organization_id, &explain->fold.a, explain->names);
    enum cv_status status = names_load(explain->names, explain->reader->db, explain->reader->arena, err);
    if (status == CV_OK)
        judge_gates(explain);
    return status;
}

static enum cv_status compare_own_gates(struct explain *explain, const struct found_agent *row, struct err *err)
{
    const struct log_differences differences = {keep_difference, explain};
    struct arena *arena = arena_new(1u << 12, 16u << 20);
    struct agent_state state;
    struct gate_row expected;
    enum cv_status status = CV_OK;
    gate_row_init(&expected);
    if (agent_load(row->state, arena, &state) && names_are_current(explain, row->part)) {
        agent_want_names(&explain->key.organization_id, &state, explain->names);
        status = names_load(explain->names, explain->reader->db, explain->reader->arena, err);
        if (status == CV_OK) {
            agent_make_row(&explain->key.organization_id, &state, explain->names, &expected);
            compare_gates(row, &expected, agent_is_degraded(&state), &differences);
        }
    }
    gate_row_done(&expected);
    arena_free(arena);
    return status;
}

static enum cv_status compare_agent_row(struct explain *explain, struct err *err)
{
    const struct log_differences differences = {keep_difference, explain};
    const struct log_knowledge knowledge = {explain->fold.parts, explain->out.start_gone};
    struct db_result *result;
    if (!explain->key.has_organization)
        return CV_OK;
    enum cv_status status = find_agent(explain->reader->db, explain->reader->arena, &explain->key.organization_id,
                                       &explain->key.id, &result, err);
    if (status != CV_OK)
        return status;
    explain->row_found = db_rows(result) == 1;
    if (explain->row_found) {
        struct found_agent row;
        struct uuid key[2];
        found_agent(result, 0, key, &row);
        if (explain->fold.known)
            (void)compare_agent(&row, &explain->fold.a, &knowledge, &differences);
        else if (!explain->out.start_gone)
            keep_difference(explain, "agent", STR("a row"), STR("no event"));
        status = compare_own_gates(explain, &row, err);
    } else if (explain->fold.known) {
        keep_difference(explain, "agent", STR("no row"), STR("an agent"));
    }
    db_result_free(result);
    return status;
}

/* ---- the command ---- */

static void tell_row(struct explain *explain)
{
    struct buf *out = &explain->out.row;
    char id[UUID_TEXT_LEN + 1];
    explain->out.row_agrees = explain->out.difference_count == 0;
    if (!explain->out.row_agrees)
        buf_printf(out, "The row in the database differs; mend it with `caseview repair --%s %s`.",
                   explain->key.topic == TOPIC_CASES ? "case" : "user", id_text(&explain->key.id, id));
    else if (explain->row_found)
        buf_puts(out, "The row in the database agrees.");
    else if (explain->fold.known)
        buf_puts(out, "There is no row in the database: it was deleted tombstone-days after the case was over.");
    else
        buf_puts(out, "There is no row in the database.");
}

static enum cv_status explain_key(struct explain *explain, struct err *err)
{
    bool is_case = explain->key.topic == TOPIC_CASES;
    explain->reader->to_end = true;
    enum cv_status status = log_reader_snapshot(explain->reader, err);
    if (status == CV_OK)
        status = log_key_read(&explain->key, explain->reader, err);
    if (status == CV_OK)
        status = log_fold_key(&explain->key, &explain->fold, err);
    if (status != CV_OK)
        return status;
    explain->out.topic = explain->reader->topics[explain->key.topic];
    explain->out.start_gone = log_reader_start_gone(explain->reader, explain->key.topic);
    status = is_case ? judge_case(explain, err) : judge_agent(explain, err);
    if (status == CV_OK)
        status = is_case ? compare_case_row(explain, err) : compare_agent_row(explain, err);
    if (status == CV_OK)
        status = log_reader_end_snapshot(explain->reader, err);
    if (status == CV_OK)
        tell_row(explain);
    return status;
}

static int show(struct explain *explain, const struct config *config)
{
    struct buf out CV_CLEANUP(buf_done);
    bool known = log_key_is_known(&explain->key) || explain->row_found;
    char id[UUID_TEXT_LEN + 1];
    buf_init(&out, OUTPUT_MAX);
    if (!known && !config_flag(config, "json"))
        printf("%s knows no %s %s\n", explain->out.topic, explain->key.topic == TOPIC_CASES ? "case" : "agent",
               id_text(&explain->key.id, id));
    if (known || config_flag(config, "json")) {
        explain_print(&explain->out, config_flag(config, "json"), &out);
        fwrite(out.data, 1, out.len, stdout);
    }
    return known ? CV_EXIT_OK : CV_EXIT_NO;
}

int explain_main(const struct config *config)
{
    struct err err = ERR_INIT;
    struct explain explain = {.names = names_new(NAMES_MAX_BYTES)};
    explain.out.key = &explain.key;
    explain.out.fold = &explain.fold;
    buf_init(&explain.out.verdict, SENTENCE_MAX);
    buf_init(&explain.out.row, SENTENCE_MAX);
    enum cv_status status = log_key_init(&explain.key, config, &err);
    if (status == CV_OK)
        status = log_reader_open(config, "explain", &explain.reader, &err);
    if (status == CV_OK)
        status = explain_key(&explain, &err);
    int exit_code = status == CV_OK ? show(&explain, config) : log_reader_failed("explain", status, &err);
    log_reader_close(explain.reader);
    log_key_done(&explain.key);
    names_free(explain.names);
    free(explain.out.differences);
    buf_done(&explain.out.verdict);
    buf_done(&explain.out.row);
    return exit_code;
}
