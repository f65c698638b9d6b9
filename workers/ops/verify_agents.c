#include "workers/ops/verify_parts.h"

#include "sql_worker.h"
#include "workers/ops/history_compare.h"
#include "workers/ops/verify_names.h"

#define STATES_MAX (256u << 20)

static const struct uuid *key_of(const struct verify_entry *entry)
{
    return (const struct uuid *)entry->entry.key; /* organization, user */
}

/* Why the history cannot tell whether a row is right; UNKNOWN_COUNT: it can. */
static enum verify_unknown compare_state(struct verify *verify, const struct verify_entry *entry,
                                         const struct stored_agent *row, const struct difference_sink *out)
{
    bool start_gone = verify->history->sets[TOPIC_AGENTS].start_gone;
    struct agent_state history;
    if (entry->state.ptr == NULL) {
        if (start_gone || entry->ahead)
            return start_gone ? UNKNOWN_HISTORY : UNKNOWN_AHEAD;
        out->report(out->context, "agent", STR("a row"), STR("no event"));
        return UNKNOWN_COUNT;
    }
    arena_reset(verify->history->scratch);
    bool loaded = agent_load(entry->state, verify->history->scratch, &history);
    assert(loaded); /* agent_store() made it */
    const struct history_knowledge knowledge = {entry->parts, start_gone || entry->ahead};
    if (!compare_agent(row, &history, &knowledge, out))
        return UNKNOWN_COUNT;
    return entry->ahead && !start_gone ? UNKNOWN_AHEAD : UNKNOWN_HISTORY;
}

/* ---- pages ---- */

static void compare_row(struct verify *verify, const struct uuid key[2], const struct stored_agent *row)
{
    struct verify_entry *entry = verify_find_or_add(verify->history, TOPIC_AGENTS, key);
    struct difference_counter counter = {NULL, 0};
    const struct difference_sink counting = difference_counter_sink(&counter);
    enum verify_unknown unknown = compare_state(verify, entry, row, &counting);
    verify_judge(verify, TOPIC_AGENTS, entry, counter.count, unknown);
    verify->report->agents++;
}

struct agent_work {
    struct uuid key[2];
    struct stored_agent row;
    struct agent_state state;
};

static enum cv_status compare_gates(struct verify *verify, const struct db_result *page, struct arena *arena,
                                    struct err *err)
{
    size_t count = 0;
    struct agent_work *works = arena_alloc(arena, ((size_t)db_rows(page) + 1) * sizeof *works);
    for (int row = 0; row < db_rows(page) && works != NULL; row++) {
        struct agent_work *work = &works[count];
        stored_agent_read(page, row, work->key, &work->row);
        if (!verify_wants(verify->history, &work->key[1]))
            continue;
        compare_row(verify, work->key, &work->row);
        if (!agent_load(work->row.state, arena, &work->state))
            continue; /* reported as a difference of the state */
        agent_want_names(&work->key[0], &work->state, verify->names);
        count++;
    }
    if (arena_full(arena)) {
        err_set(err, "a page of agent needs more than %u MiB of memory", STATES_MAX >> 20);
        return CV_FATAL;
    }
    enum cv_status status = names_load(verify->names, verify->reader->db, verify->arena, err);
    for (size_t i = 0; i < count && status == CV_OK; i++)
        verify_gates(verify, works[i].key, &works[i].row, &works[i].state);
    return status;
}

static enum cv_status compare_page(struct verify *verify, const struct db_result *page, struct err *err)
{
    struct arena *arena = arena_new(1u << 16, STATES_MAX);
    enum cv_status status = compare_gates(verify, page, arena, err);
    arena_free(arena);
    return status;
}

static bool lacks_row(struct verify *verify CV_UNUSED, const struct verify_entry *entry)
{
    return entry->state.ptr != NULL;
}

/* ---- suspects ---- */

static enum cv_status fetch(struct verify *verify, struct verify_entry *const *entries, size_t count, struct err *err)
{
    struct uuid keys[VERIFY_SLICE][2];
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    for (size_t i = 0; i < count; i++)
        memcpy(keys[i], key_of(entries[i]), sizeof keys[i]);
    db_args_init(&args, verify->arena);
    db_arg_uuid_array(&args, &keys[0][0], sizeof keys[0], count);
    db_arg_uuid_array(&args, &keys[0][1], sizeof keys[0], count);
    enum cv_status status = db_exec(verify->reader->db, &stored_agents_statement, &args, HISTORY_QUERY_TIMEOUT_MS,
                                    &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++) {
        struct stored_agent stored;
        struct uuid key[2];
        stored_agent_read(result, row, key, &stored);
        struct verify_entry *entry = verify_find(verify->history, TOPIC_AGENTS, key);
        assert(entry != NULL); /* it was queried by its key */
        verify_keep_row(entry, stored.part, stored.state);
    }
    return CV_OK;
}

static enum verify_unknown recheck(struct verify *verify, const struct verify_entry *entry)
{
    char name[VERIFY_NAME_MAX];
    verify_name(TOPIC_AGENTS, &key_of(entry)[0], &key_of(entry)[1], name);
    struct verify_key_report key_report = {verify->report, name};
    const struct difference_sink out = {verify_key_difference, &key_report};
    if (entry->row != NULL) {
        const struct stored_agent row = {.part = entry->row->part, .state = entry->row->state};
        return compare_state(verify, entry, &row, &out);
    }
    if (lacks_row(verify, entry))
        report_difference(verify->report, name, "agent", STR("no row"), STR("an agent"));
    return UNKNOWN_COUNT;
}

const struct verify_part verify_agents = {
    .topic = TOPIC_AGENTS,
    .table = {{"rows_agents", sql_rows_agents}, .ids = 2, .compare_page = compare_page},
    .lacks_row = lacks_row,
    .fetch = fetch,
    .recheck = recheck,
};
