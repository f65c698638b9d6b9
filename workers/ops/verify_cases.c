#include "workers/ops/verify_parts.h"

#include "sql_worker.h"
#include "workers/ops/history_compare.h"

static const struct uuid *case_id_of(const struct verify_entry *entry)
{
    return (const struct uuid *)entry->entry.key;
}

/* Why the history cannot tell whether a row is right; UNKNOWN_COUNT: it can. */
static enum verify_unknown compare_state(const struct verify *verify, const struct verify_entry *entry,
                                         const struct stored_case *row, const struct difference_sink *out)
{
    bool start_gone = verify->history->sets[TOPIC_CASES].start_gone;
    struct case_state history, own;
    if (entry->state.ptr == NULL) {
        if (start_gone || entry->ahead)
            return start_gone ? UNKNOWN_HISTORY : UNKNOWN_AHEAD;
        out->report(out->context, "case_state", STR("a row"), STR("no event"));
        return UNKNOWN_COUNT;
    }
    bool loaded = case_load(entry->state, &history);
    assert(loaded); /* case_store() made it */
    /* The row was deleted after tombstone-days, and another event came even later. */
    if (history.over && verify_may_be_swept(entry) && case_load(row->state, &own) && case_is_incomplete(&own))
        return UNKNOWN_SWEPT;
    const struct history_knowledge knowledge = {entry->parts, start_gone || entry->ahead};
    if (!compare_case(row, &history, &knowledge, out))
        return UNKNOWN_COUNT;
    return entry->ahead && !start_gone ? UNKNOWN_AHEAD : UNKNOWN_HISTORY;
}

/* ---- pages ---- */

struct listed_keys {
    struct uuid *organization_ids, *case_ids;
    size_t count;
};

/* True: the row's own state says that the case is listed. */
static bool compare_row(struct verify *verify, const struct uuid *case_id, const struct stored_case *row,
                        struct case_state *out_state)
{
    struct verify_entry *entry = verify_find_or_add(verify->history, TOPIC_CASES, case_id);
    struct difference_counter counter = {NULL, 0};
    const struct difference_sink counting = difference_counter_sink(&counter);
    enum verify_unknown unknown = compare_state(verify, entry, row, &counting);
    verify_judge(verify, TOPIC_CASES, entry, counter.count, unknown);
    verify->report->cases++;
    if (!case_load(row->state, out_state))
        return false;
    char name[VERIFY_NAME_MAX];
    verify_name(TOPIC_CASES, NULL, case_id, name);
    struct verify_key_report key_report = {verify->report, name};
    const struct difference_sink out = {verify_key_difference, &key_report};
    compare_case_columns(row, out_state, &out);
    return case_is_listed(out_state);
}

/* Reports listed cases that have no row in active_case. */
static enum cv_status find_unlisted(struct verify *verify, const struct listed_keys *keys, struct err *err)
{
    static const struct db_statement statement = {"unlisted_cases", sql_unlisted_cases};
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    if (keys->count == 0)
        return CV_OK;
    db_args_init(&args, verify->arena);
    db_arg_uuid_array(&args, keys->organization_ids, sizeof *keys->organization_ids, keys->count);
    db_arg_uuid_array(&args, keys->case_ids, sizeof *keys->case_ids, keys->count);
    enum cv_status status = db_exec(verify->reader->db, &statement, &args, HISTORY_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++) {
        struct uuid case_id = db_uuid(result, row, 0);
        char name[VERIFY_NAME_MAX];
        verify_name(TOPIC_CASES, NULL, &case_id, name);
        report_difference(verify->report, name, "active_case", STR("not listed"), STR("listed"));
    }
    return CV_OK;
}

static enum cv_status compare_page(struct verify *verify, const struct db_result *page, struct err *err)
{
    size_t rows = (size_t)db_rows(page);
    struct listed_keys listed = {
        .organization_ids = arena_alloc(verify->arena, (rows + 1) * sizeof(struct uuid)),
        .case_ids = arena_alloc(verify->arena, (rows + 1) * sizeof(struct uuid)),
    };
    if (listed.organization_ids == NULL || listed.case_ids == NULL) {
        err_set(err, "a page of case_state needs too much memory");
        return CV_FATAL;
    }
    for (int row = 0; row < db_rows(page); row++) {
        struct stored_case stored;
        struct case_state state;
        struct uuid case_id = stored_case_read(page, row, &stored);
        if (!verify_wants(verify->history, &case_id) || !compare_row(verify, &case_id, &stored, &state))
            continue;
        listed.organization_ids[listed.count] = state.organization_id;
        listed.case_ids[listed.count++] = case_id;
    }
    return find_unlisted(verify, &listed, err);
}

/* Cases of the history without a row: their rows may have been deleted after tombstone-days. */
static bool was_swept(struct verify *verify, const struct verify_entry *entry)
{
    struct case_state state;
    if (!verify_may_be_swept(entry) || !case_load(entry->state, &state) || !state.over)
        return false;
    verify->report->unknown[UNKNOWN_SWEPT]++;
    return true;
}

static bool lacks_row(struct verify *verify, const struct verify_entry *entry)
{
    return entry->state.ptr != NULL && !was_swept(verify, entry);
}

/* ---- suspects ---- */

static enum cv_status fetch(struct verify *verify, struct verify_entry *const *entries, size_t count, struct err *err)
{
    struct uuid ids[VERIFY_SLICE];
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    for (size_t i = 0; i < count; i++)
        ids[i] = *case_id_of(entries[i]);
    db_args_init(&args, verify->arena);
    db_arg_uuid_array(&args, ids, sizeof *ids, count);
    enum cv_status status = db_exec(verify->reader->db, &stored_cases_statement, &args, HISTORY_QUERY_TIMEOUT_MS,
                                    &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++) {
        struct stored_case stored;
        struct uuid case_id = stored_case_read(result, row, &stored);
        struct verify_entry *entry = verify_find(verify->history, TOPIC_CASES, &case_id);
        assert(entry != NULL); /* it was queried by its key */
        verify_keep_row(entry, stored.part, stored.state);
    }
    return CV_OK;
}

static enum verify_unknown recheck(struct verify *verify, const struct verify_entry *entry)
{
    char name[VERIFY_NAME_MAX];
    struct case_state state;
    verify_name(TOPIC_CASES, NULL, case_id_of(entry), name);
    struct verify_key_report key_report = {verify->report, name};
    const struct difference_sink out = {verify_key_difference, &key_report};
    if (entry->row != NULL) {
        const struct stored_case row = {.part = entry->row->part, .state = entry->row->state};
        return compare_state(verify, entry, &row, &out);
    }
    if (lacks_row(verify, entry)) {
        bool over = case_load(entry->state, &state) && state.over;
        report_difference(verify->report, name, "case_state", STR("no row"), over ? STR("over") : STR("a case"));
    }
    return UNKNOWN_COUNT;
}

const struct verify_part verify_cases = {
    .topic = TOPIC_CASES,
    .table = {{"rows_cases", sql_rows_cases}, .ids = 1, .compare_page = compare_page},
    .lacks_row = lacks_row,
    .fetch = fetch,
    .recheck = recheck,
};
