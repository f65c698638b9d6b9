#include "workers/ops/verify_pages.h"

#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/stop.h"

#define SWEPT_AFTER_MS (24 * 3600 * 1000)

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

/* Without them each listed case would be a difference. */
enum cv_status verify_check_rendered(const struct verify *verify, struct err *err)
{
    if (verify->reader->rendered)
        return CV_OK;
    err_set(err, HISTORY_NOT_RENDERED ", or verify another generation (--generation)", verify->reader->gen);
    return CV_FATAL;
}

enum cv_status verify_begin(struct verify *verify, struct err *err)
{
    enum cv_status status = history_reader_begin(verify->reader, err);
    if (status == CV_OK)
        status = verify_check_rendered(verify, err);
    if (status != CV_OK)
        return status;
    if (verify->names_clock != verify->reader->dir_clock)
        names_clear(verify->names);
    verify->names_clock = verify->reader->dir_clock;
    return CV_OK;
}

struct page_key {
    bool first;
    int16_t kind;
    struct uuid ids[2];
};

static enum cv_status compare_next_page(struct verify *verify, const struct verify_table *table, struct page_key *key,
                                        int *out_count, struct err *err)
{
    struct db_args args;
    struct db_result *page CV_CLEANUP(db_result_done) = NULL;
    arena_reset(verify->arena);
    db_args_init(&args, verify->arena);
    if (table->has_kind)
        db_arg_int4(&args, key->kind);
    for (int i = 0; i < table->ids; i++)
        db_arg_uuid(&args, &key->ids[i]);
    if (!table->has_kind) /* no kind is as small as the first page's, so only uuids need this */
        db_arg_bool(&args, key->first);
    enum cv_status status = db_exec(verify->reader->db, &table->statement, &args, HISTORY_QUERY_TIMEOUT_MS, &page, err);
    if (status != CV_OK)
        return status;
    int last = db_rows(page) - 1;
    key->first = false;
    if (last >= 0 && table->has_kind)
        key->kind = db_int2(page, last, 0);
    for (int i = 0; i < table->ids && last >= 0; i++)
        key->ids[i] = db_uuid(page, last, table->has_kind + i);
    status = table->compare_page(verify, page, err);
    *out_count = last + 1;
    return status;
}

enum cv_status verify_pages(struct verify *verify, const struct verify_table *table, struct err *err)
{
    struct page_key key = {.first = true, .kind = INT16_MIN};
    int count = 1;
    while (count > 0) {
        enum cv_status status = verify_begin(verify, err);
        if (status == CV_OK)
            status = compare_next_page(verify, table, &key, &count, err);
        if (status == CV_OK)
            status = history_reader_end(verify->reader, err);
        if (status == CV_OK && stop_requested()) {
            err_set(err, "stopped");
            status = CV_RETRY;
        }
        if (status != CV_OK)
            return status;
        names_trim(verify->names);
    }
    return CV_OK;
}

void verify_count_unknown(struct verify *verify, enum verify_unknown unknown)
{
    if (unknown != UNKNOWN_COUNT)
        verify->report->unknown[unknown]++;
}

void verify_judge(struct verify *verify, enum topic topic, struct verify_entry *entry, size_t differences,
                  enum verify_unknown unknown)
{
    entry->row_seen = true;
    if (differences > 0 || (entry->ahead && !verify_history_is_at(verify->history, verify->reader, topic)))
        verify_suspect(verify->history, topic, entry);
    else
        verify_count_unknown(verify, unknown);
}

bool verify_may_be_swept(const struct verify_entry *entry)
{
    return entry->over_ms >= 0 && entry->over_ms < clock_wall_us() / 1000 - SWEPT_AFTER_MS;
}
