#include "workers/ops/commands.h"

#include <stdio.h>

#include "caseview/output.h"
#include "workers/ops/explain_print.h"
#include "workers/ops/operation.h"
#include "workers/ops/stored_rows.h"
#include "workers/sink/rows.h"

#define OUTPUT_MAX   (256u << 20)
#define SENTENCE_MAX (16u << 10)

struct explain {
    struct history_reader *reader;
    struct history_key key;
    struct history_fold fold;
    struct history_check check;
    struct explanation out;
};

static const char *id_text(const struct uuid *id, char text[UUID_TEXT_LEN + 1])
{
    uuid_format(id, text);
    return text;
}

/* ---- cases ---- */

/* Whether the endpoint returns the case to the user who serves it, which depends on the row in agent. */
static enum cv_status judge_visibility(struct explain *explain, const struct case_state *state, struct err *err)
{
    struct buf *out = &explain->out.verdict;
    char user[UUID_TEXT_LEN + 1], unit[UUID_TEXT_LEN + 1], current[UUID_TEXT_LEN + 1];
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    if (!explain->reader->rendered) {
        buf_printf(out, "To be listed for user %s in unit %s once the generation is prepared.",
                   id_text(&state->fields.locked_by.id, user), id_text(&state->fields.unit.id, unit));
        return CV_OK;
    }
    enum cv_status status = stored_agent_find(explain->reader->db, explain->reader->arena, &state->organization_id,
                                              &state->fields.locked_by.id, &result, err);
    if (status != CV_OK)
        return status;
    buf_printf(out, "Listed for user %s in unit %s", id_text(&state->fields.locked_by.id, user),
               id_text(&state->fields.unit.id, unit));
    struct stored_agent agent = {0};
    struct uuid key[2];
    if (db_rows(result) == 1)
        stored_agent_read(result, 0, key, &agent);
    if (!agent.has_unit)
        buf_puts(out, ", but that user has no current unit, so the endpoint does not return it now.");
    else if (!uuid_eq(&agent.current_unit_id, &state->fields.unit.id))
        buf_printf(out, ", but that user's current unit is %s, so the endpoint does not return it now.",
                   id_text(&agent.current_unit_id, current));
    else if (!agent.has_workspaces)
        buf_puts(out, ", but that user has no current workspaces, so the endpoint does not return it now.");
    else
        buf_puts(out, ", which is that user's current unit.");
    return CV_OK;
}

static enum cv_status judge_case(struct explain *explain, struct err *err)
{
    struct buf *out = &explain->out.verdict;
    const struct case_state *state = &explain->fold.c;
    if (!explain->fold.known)
        buf_puts(out, "Not listed: no event of it has been folded.");
    else if (state->over)
        buf_puts(out, "Not listed: the case is over; later events cannot change that.");
    else if (!state->has_snapshot)
        buf_puts(out, "Not listed: it is incomplete, no CaseQueued or AppointmentBooked of it has been folded.");
    else if (!str_eq(state->fields.status, STR("Active")))
        buf_printf(out, "Not listed: its status is \"%.*s\" (#%" PRId64 "), not \"Active\".",
                   (int)state->fields.status.len, state->fields.status.ptr, state->group_sequence[GROUP_STATUS]);
    else if (!state->fields.locked_by.present)
        buf_printf(out, "Not listed: it is Active, but not locked by a user (#%" PRId64 ").",
                   state->group_sequence[GROUP_LOCK]);
    else
        return judge_visibility(explain, state, err);
    return CV_OK;
}

/* ---- agents ---- */

static void judge_workspaces(struct explain *explain, const struct agent_gates *gates)
{
    struct buf *out = &explain->out.verdict;
    size_t count, removed = 0;
    const struct uuid *workspaces = agent_current_workspaces(&explain->fold.a, &count);
    for (size_t i = 0; i < count; i++)
        removed += names_is_removed(explain->check.names, &explain->key.organization_id, ENTITY_WORKSPACE,
                                    &workspaces[i]);
    if (count == 0)
        buf_puts(out, "no current workspaces: none are chosen for that unit.");
    else if (!gates->has_workspaces)
        buf_printf(out, "no current workspaces: the directory says that all %zu are removed.", count);
    else if (removed > 0)
        buf_printf(out, "%zu of its %zu workspaces are removed.", removed, count);
    else
        buf_printf(out, "%zu current workspaces: the user passes both gates.", count);
}

static void judge_gates(struct explain *explain)
{
    const struct agent_state *state = &explain->fold.a;
    struct buf *out = &explain->out.verdict;
    struct gate_row row;
    struct uuid unit_id;
    char unit[UUID_TEXT_LEN + 1];
    gate_row_init(&row);
    agent_make_row(&explain->key.organization_id, state, explain->check.names, &row);
    if (!state->unit_sequence) {
        buf_puts(out, "No current unit: none was ever chosen.");
    } else if (!state->has_unit) {
        buf_printf(out, "No current unit: it was cleared (#%" PRId64 ").", state->unit_sequence);
    } else if (!agent_current_unit(state, &unit_id)) {
        buf_printf(out, "No current unit: access to %s was revoked after it was chosen (#%" PRId64 ").",
                   id_text(&state->unit_id, unit), state->unit_sequence);
    } else if (!row.gates.has_unit) {
        buf_printf(out, "No current unit: the directory says that %s is removed.", id_text(&unit_id, unit));
    } else {
        buf_printf(out, "The current unit is %s; ", id_text(&unit_id, unit));
        judge_workspaces(explain, &row.gates);
    }
    gate_row_done(&row);
}

static enum cv_status judge_agent(struct explain *explain, struct err *err)
{
    if (!explain->fold.known) {
        buf_puts(&explain->out.verdict, "No current unit: no event of the agent has been folded.");
        return CV_OK;
    }
    agent_want_names(&explain->key.organization_id, &explain->fold.a, explain->check.names);
    enum cv_status status = names_load(explain->check.names, explain->reader->db, explain->reader->arena, err);
    if (status == CV_OK)
        judge_gates(explain);
    return status;
}

/* ---- the command ---- */

static void put_repair(const struct explain *explain, struct buf *out)
{
    operation_put_command(explain->reader->config, out, "repair");
    if (explain->key.topic == TOPIC_CASES)
        operation_put_case(out, &explain->key.id);
    else
        operation_put_agent(out, &explain->key.organization_id, &explain->key.id);
}

static void judge_row(struct explain *explain)
{
    struct buf *out = &explain->out.row;
    explain->out.row_agrees = explain->check.difference_count == 0;
    if (!explain->out.row_agrees) {
        buf_puts(out, "The row in the database differs; repair it with `");
        put_repair(explain, out);
        buf_puts(out, "`.");
    } else if (explain->check.row_found) {
        buf_puts(out, "The row in the database agrees.");
    } else if (explain->fold.known) {
        buf_puts(out, "There is no row in the database: it was deleted tombstone-days after the case was over.");
    } else {
        buf_puts(out, "There is no row in the database.");
    }
    if (!explain->reader->rendered)
        buf_printf(out, " Only the state was compared: " HISTORY_NOT_RENDERED ".", explain->reader->gen);
}

static enum cv_status explain_key(struct explain *explain, struct err *err)
{
    bool is_case = explain->key.topic == TOPIC_CASES;
    enum cv_status status = history_key_read(&explain->key, explain->reader, err);
    if (status == CV_OK)
        status = history_fold_key(&explain->key, &explain->fold, err);
    if (status != CV_OK)
        return status;
    explain->out.topic = explain->reader->topics[explain->key.topic];
    history_check_init(&explain->check, explain->reader, &explain->key, &explain->fold);
    status = is_case ? judge_case(explain, err) : judge_agent(explain, err);
    if (status == CV_OK)
        status = history_check_row(&explain->check, err);
    if (status == CV_OK)
        status = history_reader_end(explain->reader, err);
    if (status == CV_OK)
        judge_row(explain);
    return status;
}

static int show(struct explain *explain, const struct config *config)
{
    struct buf out CV_CLEANUP(buf_done);
    bool known = history_key_is_known(&explain->key) || explain->check.row_found;
    char id[UUID_TEXT_LEN + 1];
    buf_init(&out, OUTPUT_MAX);
    if (!known && !config_flag(config, "json"))
        printf("%s has no event of %s %s\n", explain->out.topic, explain->key.topic == TOPIC_CASES ? "case" : "agent",
               id_text(&explain->key.id, id));
    if (known || config_flag(config, "json")) {
        explain_print(&explain->out, config_flag(config, "json"), &out);
        output_buf(&out);
    }
    return known ? CV_EXIT_OK : CV_EXIT_NO;
}

int explain_main(const struct config *config)
{
    struct err err = ERR_INIT;
    struct explain explain = {0};
    explain.out.key = &explain.key;
    explain.out.fold = &explain.fold;
    explain.out.check = &explain.check;
    buf_init(&explain.out.verdict, SENTENCE_MAX);
    buf_init(&explain.out.row, SENTENCE_MAX);
    enum cv_status status = history_key_init(&explain.key, config, &err);
    if (status == CV_OK)
        status = history_reader_open(config, "explain", &explain.reader, &err);
    if (status == CV_OK)
        status = explain_key(&explain, &err);
    int exit_code = status == CV_OK ? show(&explain, config) : operation_failed("explain", status, &err);
    history_check_done(&explain.check);
    history_reader_close(explain.reader);
    history_key_done(&explain.key);
    buf_done(&explain.out.verdict);
    buf_done(&explain.out.row);
    return exit_code;
}
