/*
 * No snapshot is open while the log is read: every batch updates a cursor's row, and an open snapshot would keep
 * PostgreSQL from removing the dead versions. So rows may be newer than the history that they are compared with. The
 * outcome is correct nevertheless:
 *
 *   1. A short snapshot gives the cursors and the left-out records. The log is folded up to these cursors; records
 *      beyond them are noted per key as `ahead`.
 *   2. The tables are compared page by page, each page in a short snapshot. A row that agrees is right, if its key has
 *      no records ahead or the cursors have not moved. Any other row, and any key that should have a row and has none,
 *      is a suspect: nothing is reported about its state yet. Columns that depend only on the row's own state and the
 *      directory (flags, active_case, gates) are compared completely within the page's snapshot.
 *   3. A second short snapshot gives cursors, left-out records and the suspects' rows of one moment, which are copied.
 *      The history is brought to these cursors. State and row are now of the same moment: differences are reported.
 *   4. Rows with older names are compared again until their partition has applied all changes of the directory.
 *
 * An event that a worker loses while step 2 runs is found by the next verify. Memory: one state per key, and one more
 * per suspect.
 */
#include "workers/ops/commands.h"

#include "workers/ops/operation.h"
#include "workers/ops/verify_names.h"
#include "workers/ops/verify_parts.h"

#define NAMES_MAX_BYTES (256u << 20)
#define PAGE_MAX        (1u << 30)
#define STALE_NAMES_MS  15000

static const struct verify_part *const parts[] = {&verify_cases, &verify_agents, &verify_entities};

/* Folds the log up to the cursors of one moment, without an open snapshot. */
static enum cv_status read_log(struct verify *verify, struct err *err)
{
    enum cv_status status = history_reader_snapshot(verify->reader, err);
    if (status == CV_OK)
        status = verify_check_rendered(verify, err);
    if (status == CV_OK)
        status = history_reader_end(verify->reader, err);
    return status == CV_OK ? verify_history_read(verify->history, verify->reader, err) : status;
}

/* Compares all rows of a table; those that differ, and keys that lack a row, become suspects. */
static enum cv_status compare_table(struct verify *verify, const struct verify_part *part, struct err *err)
{
    const struct verify_set *set = &verify->history->sets[part->topic];
    enum cv_status status = verify_pages(verify, &part->table, err);
    for (size_t i = 0; i < set->count && status == CV_OK; i++)
        if (!set->all[i]->row_seen && part->lacks_row(verify, set->all[i]))
            verify_suspect(verify->history, part->topic, set->all[i]);
    return status;
}

static enum cv_status compare_tables(struct verify *verify, struct err *err)
{
    enum cv_status status = compare_table(verify, &verify_cases, err);
    if (status == CV_OK)
        status = verify_listed(verify, err);
    if (status == CV_OK)
        status = compare_table(verify, &verify_agents, err);
    if (status == CV_OK)
        status = compare_table(verify, &verify_entities, err);
    return status;
}

/* Keeps copies of the suspects' rows, in the open snapshot. */
static enum cv_status fetch_suspects(struct verify *verify, const struct verify_part *part, struct err *err)
{
    const struct verify_set *set = &verify->history->sets[part->topic];
    for (size_t at = 0; at < set->suspect_count; at += VERIFY_SLICE) {
        size_t left = set->suspect_count - at, count = left < VERIFY_SLICE ? left : VERIFY_SLICE;
        arena_reset(verify->arena);
        for (size_t i = 0; i < count; i++)
            verify_forget_row(set->suspects[at + i]);
        enum cv_status status = part->fetch(verify, set->suspects + at, count, err);
        if (status != CV_OK)
            return status;
    }
    return CV_OK;
}

/* Compares rows of one snapshot with the log up to its cursors. A mismatch here is a real difference. */
static enum cv_status recheck_suspects(struct verify *verify, struct err *err)
{
    const struct verify_set *sets = verify->history->sets;
    if (sets[TOPIC_CASES].suspect_count + sets[TOPIC_AGENTS].suspect_count + sets[TOPIC_DIRECTORY].suspect_count == 0)
        return CV_OK;
    enum cv_status status = history_reader_snapshot(verify->reader, err);
    for (size_t i = 0; i < ARRAY_LEN(parts) && status == CV_OK; i++)
        status = fetch_suspects(verify, parts[i], err);
    if (status == CV_OK)
        status = history_reader_end(verify->reader, err);
    if (status == CV_OK)
        status = verify_history_read(verify->history, verify->reader, err);
    for (size_t i = 0; i < ARRAY_LEN(parts) && status == CV_OK; i++) {
        const struct verify_set *set = &sets[parts[i]->topic];
        for (size_t k = 0; k < set->suspect_count; k++)
            verify_count_unknown(verify, parts[i]->recheck(verify, set->suspects[k]));
    }
    return status;
}

static enum cv_status run(struct verify *verify, struct err *err)
{
    enum cv_status status = read_log(verify, err);
    if (status == CV_OK)
        status = compare_tables(verify, err);
    if (status == CV_OK)
        status = recheck_suspects(verify, err);
    return status == CV_OK ? verify_stale_names(verify, STALE_NAMES_MS, err) : status;
}

int verify_main(const struct config *config)
{
    struct err err = ERR_INIT;
    struct verify_report report;
    struct verify_history history;
    struct verify verify = {.history = &history, .report = &report};
    report_init(&report, config_flag(config, "json"));
    report.sample = config_int(config, "sample");
    verify_history_init(&history, report.sample, &report);
    verify.names = names_new(NAMES_MAX_BYTES);
    verify.arena = arena_new(1u << 16, PAGE_MAX);
    enum cv_status status = history_reader_open(config, "verify", &verify.reader, &err);
    if (status == CV_OK)
        status = run(&verify, &err);
    int exit_code;
    if (status == CV_OK) {
        report_print(&report);
        exit_code = report.differences == 0 ? CV_EXIT_OK : CV_EXIT_NO;
    } else {
        exit_code = operation_failed("verify", status, &err);
    }
    history_reader_close(verify.reader);
    names_free(verify.names);
    arena_free(verify.arena);
    free(verify.stale);
    verify_history_done(&history);
    report_done(&report);
    return exit_code;
}
