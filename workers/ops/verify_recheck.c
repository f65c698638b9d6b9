/*
 * The second look: a row is rendered with new names a moment after the directory has them, so a difference in names
 * counts only when the partition says that all are shown.
 */
#include "caseview/clock.h"
#include "caseview/stop.h"
#include "workers/ops/stored_rows.h"
#include "workers/ops/verify_rows.h"

#define LOOK_MS 100

void verify_suspect(struct verify_rows *rows, enum topic topic, const struct uuid *organization_id,
                    const struct uuid *id)
{
    if (rows->suspect_count == rows->suspect_room) {
        rows->suspect_room = rows->suspect_room ? rows->suspect_room * 2 : 64;
        rows->suspects = cv_realloc(rows->suspects, rows->suspect_room * sizeof *rows->suspects);
    }
    rows->suspects[rows->suspect_count++] = (struct verify_suspect){topic, *organization_id, *id};
}

static bool names_are_current(const struct verify_rows *rows, enum topic topic, int32_t part)
{
    return history_reader_dir_no(rows->reader, topic, part) >= rows->reader->dir_clock;
}

/* *out_settled: it is right, gone, or told as a difference. The row is compared with its own state, of the same moment:
 * that this is the log's was seen in the first snapshot. */
static enum cv_status look_at_case(struct verify_rows *rows, const struct verify_suspect *suspect, bool *out_settled,
                                   struct err *err)
{
    struct db_result *state_row = NULL, *listed_row = NULL;
    struct stored_case found;
    struct stored_listed listed;
    struct case_state state;
    struct listed_row expected;
    *out_settled = true;
    enum cv_status status = stored_case_find(rows->reader->db, rows->arena, &suspect->id, &state_row, err);
    if (status == CV_OK)
        status = stored_listed_find(rows->reader->db, rows->arena, &suspect->organization_id, &suspect->id, &listed_row,
                                    err);
    bool there = status == CV_OK && db_rows(state_row) == 1 && db_rows(listed_row) == 1;
    if (there) {
        (void)stored_case_read(state_row, 0, &found);
        stored_listed_read(listed_row, 0, &listed);
        there = case_load(found.state, &state);
    }
    if (!there) {
        db_result_free(state_row);
        db_result_free(listed_row);
        return status;
    }
    listed_row_init(&expected);
    case_want_names(&state, rows->names);
    status = names_load(rows->names, rows->reader->db, rows->arena, err);
    if (status == CV_OK) {
        char name[VERIFY_NAME_MAX];
        case_make_row(&suspect->id, &state, rows->names, &expected);
        struct str body = {expected.body.data, expected.body.len};
        verify_name(TOPIC_CASES, NULL, &suspect->id, name);
        if (!str_eq(listed.body, body) && names_are_current(rows, TOPIC_CASES, found.part))
            report_difference(rows->report, name, "active_case.body", listed.body, body);
        else
            *out_settled = str_eq(listed.body, body);
    }
    listed_row_done(&expected);
    db_result_free(state_row);
    db_result_free(listed_row);
    return status;
}

static void count(void *context, const char *field, struct str row, struct str log)
{
    (void)field;
    (void)row;
    (void)log;
    ++*(size_t *)context;
}

static enum cv_status look_at_agent(struct verify_rows *rows, const struct verify_suspect *suspect, bool *out_settled,
                                    struct err *err)
{
    struct arena *arena = arena_new(1u << 12, 64u << 20);
    struct db_result *result = NULL;
    struct stored_agent found;
    struct agent_state state;
    struct uuid key[2];
    *out_settled = true;
    enum cv_status status = stored_agent_find(rows->reader->db, rows->arena, &suspect->organization_id, &suspect->id,
                                              &result, err);
    bool there = status == CV_OK && db_rows(result) == 1;
    if (there) {
        stored_agent_read(result, 0, key, &found);
        there = agent_load(found.state, arena, &state);
    }
    if (there) {
        agent_want_names(&key[0], &state, rows->names);
        status = names_load(rows->names, rows->reader->db, rows->arena, err);
    }
    if (there && status == CV_OK) {
        char name[VERIFY_NAME_MAX];
        struct gate_row expected;
        size_t differences = 0;
        verify_name(TOPIC_AGENTS, &key[0], &key[1], name);
        const struct verify_teller teller = {rows->report, name};
        const struct difference_sink counted = {count, &differences};
        const struct difference_sink told = {verify_tell, (void *)(uintptr_t)&teller};
        gate_row_init(&expected);
        agent_make_row(&key[0], &state, rows->names, &expected);
        compare_gates(&found, &expected, agent_is_degraded(&state), &counted);
        if (differences > 0 && names_are_current(rows, TOPIC_AGENTS, found.part))
            compare_gates(&found, &expected, agent_is_degraded(&state), &told);
        else
            *out_settled = differences == 0;
        gate_row_done(&expected);
    }
    db_result_free(result);
    arena_free(arena);
    return status;
}

enum cv_status verify_rows_recheck(struct verify_rows *rows, int timeout_ms, struct err *err)
{
    int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    while (rows->suspect_count > 0 && clock_mono_ms() < deadline_ms) {
        if (stop_wait(LOOK_MS)) {
            err_set(err, "stopped");
            return CV_RETRY;
        }
        names_clear(rows->names);
        enum cv_status status = history_reader_snapshot(rows->reader, err);
        size_t left = 0;
        for (size_t i = 0; i < rows->suspect_count && status == CV_OK; i++) {
            const struct verify_suspect suspect = rows->suspects[i];
            bool settled;
            arena_reset(rows->arena);
            status = suspect.topic == TOPIC_CASES ? look_at_case(rows, &suspect, &settled, err)
                                                  : look_at_agent(rows, &suspect, &settled, err);
            if (status == CV_OK && !settled)
                rows->suspects[left++] = suspect;
        }
        if (status != CV_OK)
            return status;
        rows->suspect_count = left;
    }
    rows->report->unknown[UNKNOWN_NAMES] += (int64_t)rows->suspect_count;
    return CV_OK;
}
