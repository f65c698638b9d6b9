#include "workers/ops/verify_parts.h"

#include <stdio.h>

#include "sql_worker.h"
#include "workers/ops/history_compare.h"
#include "workers/sink/entity.h"

static const char *status_name(enum entity_status status)
{
    switch (status) {
    case ENTITY_FORGOTTEN:
        return "forgotten";
    case ENTITY_KNOWN:
        return "known";
    case ENTITY_REMOVED:
        return "removed";
    }
    return "no status";
}

static void name_entity(enum entity_kind kind, const struct uuid *organization_id, const struct uuid *entity_id,
                        char out[VERIFY_NAME_MAX])
{
    char organization[UUID_TEXT_LEN + 1], entity[UUID_TEXT_LEN + 1];
    const char *name = entity_kind_name(kind);
    uuid_format(organization_id, organization);
    uuid_format(entity_id, entity);
    snprintf(out, VERIFY_NAME_MAX, "%s %s of organization %s", name != NULL ? name : "entity", entity, organization);
}

/* ---- comparison ---- */

static void report_text(const struct difference_sink *out, const char *field, struct str row, struct str log)
{
    if (!str_eq(row, log))
        out->report(out->context, field, row, log);
}

static void report_number(const struct difference_sink *out, const char *field, int64_t row, const char *prefix,
                          int64_t log)
{
    char a[24], b[64];
    snprintf(a, sizeof a, "%" PRId64, row);
    snprintf(b, sizeof b, "%s%" PRId64, prefix, log);
    out->report(out->context, field, str_of(a), str_of(b));
}

static void put_roles(const struct entity_fields *fields, struct buf *out)
{
    struct json_writer json;
    json_begin(&json, out);
    json_open_array(&json, NULL);
    for (size_t i = 0; i < fields->role_count; i++)
        json_put_str(&json, NULL, fields->roles[i]);
    json_close(&json);
}

static void report_roles(const struct difference_sink *out, const struct entity_fields *row,
                         const struct entity_fields *log)
{
    struct buf a CV_CLEANUP(buf_done), b CV_CLEANUP(buf_done);
    buf_init(&a, 1u << 22);
    buf_init(&b, 1u << 22);
    put_roles(row, &a);
    put_roles(log, &b);
    report_text(out, "directory.roles", (struct str){a.data, a.len}, (struct str){b.data, b.len});
}

static void compare_fields(const struct entity_fields *row, const struct entity_fields *log,
                           const struct difference_sink *out)
{
    char a[UUID_TEXT_LEN + 1] = "null", b[UUID_TEXT_LEN + 1] = "null";
    report_text(out, "directory.name", row->name, log->name);
    report_text(out, "directory.detail", row->detail, log->detail);
    report_text(out, "directory.picture", row->picture, log->picture);
    if (row->has_parent)
        uuid_format(&row->parent_id, a);
    if (log->has_parent)
        uuid_format(&log->parent_id, b);
    report_text(out, "directory.parent_id", str_of(a), str_of(b));
    report_text(out, "directory.enabled", row->enabled ? STR("true") : STR("false"),
                log->enabled ? STR("true") : STR("false"));
    report_roles(out, row, log);
}

static bool is_known(const struct directory_state *state)
{
    return state != NULL && state->status != ENTITY_FORGOTTEN;
}

/* Why the history cannot tell whether a row is right; UNKNOWN_COUNT: it can. row NULL: there is none. */
static enum verify_unknown compare_entity(const struct verify *verify, const struct verify_entry *entry,
                                          const struct directory_state *row, const struct difference_sink *out)
{
    const struct verify_set *set = &verify->history->sets[TOPIC_DIRECTORY];
    const struct directory_state *log = entry->directory;
    /* Of an application there may also be the forgotten row of a former owner. */
    if (row == NULL ||
        (row->status == ENTITY_FORGOTTEN && is_known(log) && !uuid_eq(&row->organization_id, &log->organization_id))) {
        if (is_known(log))
            out->report(out->context, "directory", STR("no row"), STR("an entity"));
        return UNKNOWN_COUNT;
    }
    if (!is_known(log)) {
        if (row->status == ENTITY_FORGOTTEN)
            return UNKNOWN_COUNT;
        if (entry->ahead || set->start_gone)
            return entry->ahead ? UNKNOWN_AHEAD : UNKNOWN_HISTORY;
        out->report(out->context, "directory", STR("a row"), log != NULL ? STR("forgotten") : STR("no event"));
        return UNKNOWN_COUNT;
    }
    if (!uuid_eq(&row->organization_id, &log->organization_id)) {
        out->report(out->context, "directory.organization_id", STR("another owner"), STR("its owner"));
        return UNKNOWN_COUNT;
    }
    if (row->version > log->version && (entry->ahead || set->has_holes))
        return entry->ahead ? UNKNOWN_AHEAD : UNKNOWN_COMPACTED;
    if (row->version != log->version && row->status != ENTITY_FORGOTTEN)
        report_number(out, "directory.version", row->version, "", log->version);
    if (row->status == log->status)
        compare_fields(&row->fields, &log->fields, out);
    else
        report_text(out, "directory.status", str_of(status_name(row->status)), str_of(status_name(log->status)));
    return UNKNOWN_COUNT;
}

/* ---- pages ---- */

static void compare_row(struct verify *verify, const struct db_result *page, int row)
{
    enum entity_kind kind = (enum entity_kind)db_int2(page, row, ENTITY_KIND);
    struct uuid id = db_uuid(page, row, ENTITY_ID);
    int64_t change = db_int8(page, row, ENTITY_CHANGE);
    struct difference_counter counter = {NULL, 0};
    const struct difference_sink counting = difference_counter_sink(&counter);
    struct directory_state state;
    uint8_t key[ENTITY_KEY];
    char name[VERIFY_NAME_MAX];
    if (!verify_wants(verify->history, &id))
        return;
    entity_read(page, row, verify->arena, &state);
    name_entity(kind, &state.organization_id, &id, name);
    entity_key(kind, &state.organization_id, &id, key);
    verify->report->entities++;
    struct verify_key_report key_report = {verify->report, name};
    const struct difference_sink report = {verify_key_difference, &key_report};
    if (change < 1 || change > verify->reader->dir_clock)
        report_number(&report, "directory.change_no", change, "at most ", verify->reader->dir_clock);
    struct verify_entry *entry = verify_find_or_add(verify->history, TOPIC_DIRECTORY, key);
    if (state.status == ENTITY_FORGOTTEN && is_known(entry->directory) &&
        !uuid_eq(&state.organization_id, &entry->directory->organization_id))
        return; /* the row of a former owner */
    enum verify_unknown unknown = compare_entity(verify, entry, &state, &counting);
    verify_judge(verify, TOPIC_DIRECTORY, entry, counter.count, unknown);
}

static enum cv_status compare_page(struct verify *verify, const struct db_result *page, struct err *err)
{
    (void)err;
    for (int row = 0; row < db_rows(page); row++)
        compare_row(verify, page, row);
    return CV_OK;
}

static bool lacks_row(struct verify *verify CV_UNUSED, const struct verify_entry *entry)
{
    return is_known(entry->directory);
}

/* ---- suspects ---- */

static struct entity_columns columns_of(const struct verify_entry *entry)
{
    struct entity_columns columns = entity_key_columns(entry->entry.key);
    if (entry->directory != NULL) /* an application's key has no organization */
        columns.organization_id = entry->directory->organization_id;
    return columns;
}

static enum cv_status fetch(struct verify *verify, struct verify_entry *const *entries, size_t count, struct err *err)
{
    static const struct db_statement statement = {"suspects_entities", sql_suspects_entities};
    struct entity_columns keys[VERIFY_SLICE];
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    for (size_t i = 0; i < count; i++)
        keys[i] = columns_of(entries[i]);
    db_args_init(&args, verify->arena);
    db_arg_int2_array(&args, &keys->kind, sizeof *keys, count);
    db_arg_uuid_array(&args, &keys->organization_id, sizeof *keys, count);
    db_arg_uuid_array(&args, &keys->entity_id, sizeof *keys, count);
    enum cv_status status = db_exec(verify->reader->db, &statement, &args, HISTORY_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++) {
        struct directory_state state;
        struct uuid id = db_uuid(result, row, ENTITY_ID);
        uint8_t key[ENTITY_KEY];
        entity_read(result, row, verify->arena, &state);
        entity_key((enum entity_kind)db_int2(result, row, ENTITY_KIND), &state.organization_id, &id, key);
        struct verify_entry *entry = verify_find(verify->history, TOPIC_DIRECTORY, key);
        assert(entry != NULL); /* it was queried by its key */
        if (entry->row == NULL || state.status != ENTITY_FORGOTTEN)
            verify_keep_directory_row(entry, &state);
    }
    return CV_OK;
}

static enum verify_unknown recheck(struct verify *verify, const struct verify_entry *entry)
{
    const struct directory_state *row = entry->row != NULL ? entry->row->directory : NULL;
    struct entity_columns columns = columns_of(entry);
    char name[VERIFY_NAME_MAX];
    name_entity((enum entity_kind)columns.kind, row != NULL ? &row->organization_id : &columns.organization_id,
                &columns.entity_id, name);
    struct verify_key_report key_report = {verify->report, name};
    const struct difference_sink out = {verify_key_difference, &key_report};
    return compare_entity(verify, entry, row, &out);
}

const struct verify_part verify_entities = {
    .topic = TOPIC_DIRECTORY,
    .table = {{"rows_entities", sql_rows_entities}, .has_kind = true, .ids = 2, .compare_page = compare_page},
    .lacks_row = lacks_row,
    .fetch = fetch,
    .recheck = recheck,
};
