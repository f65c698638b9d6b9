#include "workers/ops/history_check.h"

#include <stdio.h>

#include "sql_worker.h"
#include "workers/ops/history_compare.h"

#define NAMES_MAX_BYTES (64u << 20)

void history_check_init(struct history_check *check, struct history_reader *reader, const struct history_key *key,
                        const struct history_fold *fold)
{
    *check = (struct history_check){.reader = reader, .key = key, .fold = fold, .names = names_new(NAMES_MAX_BYTES)};
    check->start_gone = key->start_gone;
}

void history_check_done(struct history_check *check)
{
    names_free(check->names);
    free(check->differences);
}

/* After a cursor was set back, rows already contain events at or beyond it. */
static bool may_know_more(const struct history_check *check)
{
    return check->start_gone || check->fold->not_yet > 0;
}

static void keep_difference(void *context, const char *field, struct str row, struct str log)
{
    struct history_check *check = context;
    check->differences = cv_realloc(check->differences, (check->difference_count + 1) * sizeof *check->differences);
    struct history_difference *d = &check->differences[check->difference_count++];
    snprintf(d->field, sizeof d->field, "%s", field);
    d->row = arena_str(check->key->arena, row);
    d->log = arena_str(check->key->arena, log);
}

static void keep_row(struct history_check *check, int32_t rev, int32_t part, struct str state)
{
    check->rev = rev;
    check->part = part;
    check->state = arena_str(check->key->arena, state);
}

static enum cv_status find_strays(struct history_check *check, const struct uuid *organization_id, struct err *err)
{
    static const struct db_statement statement = {"listed_strays", sql_listed_strays};
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    db_args_init(&args, check->reader->arena);
    db_arg_uuid(&args, &check->key->id);
    db_arg_uuid(&args, organization_id);
    enum cv_status status = db_exec(check->reader->db, &statement, &args, HISTORY_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++)
        keep_difference(check, "active_case", STR("listed for another organization, too"), STR("not listed there"));
    return CV_OK;
}

static enum cv_status compare_with_listed(struct history_check *check, const struct stored_case *row, struct err *err)
{
    if (!check->reader->rendered)
        return CV_OK; /* workers have left the rows for readers out */
    const struct difference_sink differences = {keep_difference, check};
    struct case_state state;
    struct listed_row expected;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    /* The state folded from the log is the reference, unless the row may contain more events. */
    if (check->fold->known && !may_know_more(check))
        state = check->fold->c;
    else if (!case_load(row->state, &state))
        return CV_OK; /* reported already */
    listed_row_init(&expected);
    case_want_names(&state, check->names);
    enum cv_status status = names_load(check->names, check->reader->db, check->reader->arena, err);
    if (status == CV_OK)
        status = stored_listed_find(check->reader->db, check->reader->arena, &state.organization_id, &check->key->id,
                                    &result, err);
    if (status == CV_OK) {
        bool there = db_rows(result) == 1;
        if (there != case_is_listed(&state)) {
            keep_difference(check, "active_case", there ? STR("listed") : STR("not listed"),
                            there ? STR("not listed") : STR("listed"));
        } else if (there) {
            struct stored_listed listed;
            stored_listed_read(result, 0, &listed);
            case_make_row(&check->key->id, &state, check->names, &expected);
            compare_listed(&listed, &state, &expected, row->part,
                           history_reader_names_current(check->reader, check->key->topic, row->part), &differences);
        }
    }
    if (status == CV_OK)
        status = find_strays(check, &state.organization_id, err);
    listed_row_done(&expected);
    return status;
}

static enum cv_status compare_case_row(struct history_check *check, struct err *err)
{
    const struct difference_sink differences = {keep_difference, check};
    const struct history_knowledge knowledge = {check->fold->parts, may_know_more(check)};
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    enum cv_status status = stored_case_find(check->reader->db, check->reader->arena, &check->key->id, &result, err);
    if (status != CV_OK)
        return status;
    check->row_found = db_rows(result) == 1;
    if (check->row_found) {
        struct stored_case row;
        (void)stored_case_read(result, 0, &row);
        keep_row(check, row.rev, row.part, row.state);
        struct case_state own;
        if (case_load(row.state, &own))
            compare_case_columns(&row, &own, &differences);
        if (check->fold->known)
            (void)compare_case(&row, &check->fold->c, &knowledge, &differences);
        else if (!may_know_more(check))
            keep_difference(check, "case_state", STR("a row"), STR("no event"));
        status = compare_with_listed(check, &row, err);
    } else if (check->fold->known && !check->fold->c.over) {
        keep_difference(check, "case_state", STR("no row"), STR("a case"));
    }
    return status;
}

static enum cv_status compare_own_gates(struct history_check *check, const struct stored_agent *row, struct err *err)
{
    const struct difference_sink differences = {keep_difference, check};
    struct arena *arena = arena_new(1u << 12, 16u << 20);
    struct agent_state state;
    struct gate_row expected;
    enum cv_status status = CV_OK;
    gate_row_init(&expected);
    if (agent_load(row->state, arena, &state) &&
        history_reader_names_current(check->reader, check->key->topic, row->part)) {
        agent_want_names(&check->key->organization_id, &state, check->names);
        status = names_load(check->names, check->reader->db, check->reader->arena, err);
        if (status == CV_OK) {
            agent_make_row(&check->key->organization_id, &state, check->names, &expected);
            compare_agent_columns(row, &expected, agent_is_degraded(&state), &differences);
        }
    }
    gate_row_done(&expected);
    arena_free(arena);
    return status;
}

static enum cv_status compare_agent_row(struct history_check *check, struct err *err)
{
    const struct difference_sink differences = {keep_difference, check};
    const struct history_knowledge knowledge = {check->fold->parts, may_know_more(check)};
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    if (!check->key->has_organization)
        return CV_OK;
    enum cv_status status = stored_agent_find(check->reader->db, check->reader->arena, &check->key->organization_id,
                                              &check->key->id, &result, err);
    if (status != CV_OK)
        return status;
    check->row_found = db_rows(result) == 1;
    if (check->row_found) {
        struct stored_agent row;
        struct uuid key[2];
        stored_agent_read(result, 0, key, &row);
        keep_row(check, row.rev, row.part, row.state);
        if (check->fold->known)
            (void)compare_agent(&row, &check->fold->a, &knowledge, &differences);
        else if (!may_know_more(check))
            keep_difference(check, "agent", STR("a row"), STR("no event"));
        status = compare_own_gates(check, &row, err);
    } else if (check->fold->known) {
        keep_difference(check, "agent", STR("no row"), STR("an agent"));
    }
    return status;
}

enum cv_status history_check_row(struct history_check *check, struct err *err)
{
    return check->key->topic == TOPIC_CASES ? compare_case_row(check, err) : compare_agent_row(check, err);
}
