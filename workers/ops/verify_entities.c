#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "sql_worker.h"
#include "workers/ops/verify_rows.h"

enum {
    COL_KIND,
    COL_ORGANIZATION,
    COL_ENTITY,
    COL_STATUS,
    COL_VERSION,
    COL_CHANGE,
    COL_NAME,
    COL_DETAIL,
    COL_PICTURE,
    COL_PARENT,
    COL_ROLES,
    COL_ENABLED
};

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
    snprintf(out, VERIFY_NAME_MAX, "%s %s of organization %s", name ? name : "entity", entity, organization);
}

/* A JSON array of texts, as rows have it. */
static void put_roles(const struct entity_fields *fields, struct buf *out)
{
    struct json_writer json;
    json_begin(&json, out);
    json_open_array(&json, NULL);
    for (size_t i = 0; i < fields->role_count; i++)
        json_put_str(&json, NULL, fields->roles[i]);
    json_close(&json);
}

static bool same_roles(struct str row, const struct entity_fields *fields)
{
    json_t *roles = row.ptr ? json_loadb(row.ptr, row.len, 0, NULL) : NULL;
    bool same = json_array_size(roles) == fields->role_count;
    for (size_t i = 0; same && i < fields->role_count; i++) {
        const json_t *item = json_array_get(roles, i);
        same = str_eq((struct str){json_string_value(item), json_string_length(item)}, fields->roles[i]);
    }
    json_decref(roles);
    return same;
}

static void tell_text(struct verify_report *report, const char *name, const char *field, struct str row, struct str log)
{
    if (!str_eq(row, log))
        report_difference(report, name, field, row, log);
}

static void compare_fields(struct verify_rows *rows, const char *name, const struct db_result *result, int row,
                           const struct directory_state *log)
{
    const struct entity_fields *fields = &log->fields;
    struct verify_report *report = rows->report;
    char a[UUID_TEXT_LEN + 1] = "null", b[UUID_TEXT_LEN + 1] = "null";
    tell_text(report, name, "directory.name", db_str(result, row, COL_NAME), fields->name);
    tell_text(report, name, "directory.detail", db_str(result, row, COL_DETAIL), fields->detail);
    tell_text(report, name, "directory.picture", db_str(result, row, COL_PICTURE), fields->picture);
    if (!db_is_null(result, row, COL_PARENT)) {
        struct uuid parent = db_uuid(result, row, COL_PARENT);
        uuid_format(&parent, a);
    }
    if (fields->has_parent)
        uuid_format(&fields->parent_id, b);
    tell_text(report, name, "directory.parent_id", str_of(a), str_of(b));
    if (db_bool(result, row, COL_ENABLED) != fields->enabled)
        report_difference(report, name, "directory.enabled", fields->enabled ? STR("false") : STR("true"),
                          fields->enabled ? STR("true") : STR("false"));
    if (!same_roles(db_str(result, row, COL_ROLES), fields)) {
        struct buf text CV_CLEANUP(buf_done);
        buf_init(&text, 1u << 20);
        put_roles(fields, &text);
        report_difference(report, name, "directory.roles", db_str(result, row, COL_ROLES),
                          (struct str){text.data, text.len});
    }
}

static void tell_number(struct verify_report *report, const char *name, const char *field, int64_t row,
                        const char *prefix, int64_t log)
{
    char a[24], b[64];
    snprintf(a, sizeof a, "%" PRId64, row);
    snprintf(b, sizeof b, "%s%" PRId64, prefix, log);
    report_difference(report, name, field, str_of(a), str_of(b));
}

/* A row that somebody knows of, beside what the log says of it. */
static void compare_known(struct verify_rows *rows, const char *name, const struct verify_entry *entry,
                          const struct db_result *result, int row)
{
    const struct directory_state *log = entry->directory;
    int64_t version = db_int8(result, row, COL_VERSION);
    enum entity_status status = (enum entity_status)db_int2(result, row, COL_STATUS);
    struct uuid organization = db_uuid(result, row, COL_ORGANIZATION);
    if (!uuid_eq(&organization, &log->organization_id)) {
        report_difference(rows->report, name, "directory.organization_id", STR("another owner"), STR("its owner"));
        return;
    }
    if (version > log->version && (entry->ahead || history_reader_has_holes(rows->reader, TOPIC_DIRECTORY))) {
        rows->report->unknown[entry->ahead ? UNKNOWN_AHEAD : UNKNOWN_COMPACTED]++;
        return;
    }
    if (version != log->version)
        tell_number(rows->report, name, "directory.version", version, "", log->version);
    if (status != log->status)
        report_difference(rows->report, name, "directory.status", str_of(status_name(status)),
                          str_of(status_name(log->status)));
    else
        compare_fields(rows, name, result, row, log);
}

static void compare_row(struct verify_rows *rows, const struct db_result *result, int row)
{
    enum entity_kind kind = (enum entity_kind)db_int2(result, row, COL_KIND);
    struct uuid organization = db_uuid(result, row, COL_ORGANIZATION), id = db_uuid(result, row, COL_ENTITY);
    int64_t change = db_int8(result, row, COL_CHANGE);
    bool forgotten = db_int2(result, row, COL_STATUS) == ENTITY_FORGOTTEN;
    uint8_t key[VERIFY_DIRECTORY_KEY];
    char name[VERIFY_NAME_MAX];
    if (!verify_wants(rows->history, &id))
        return;
    name_entity(kind, &organization, &id, name);
    verify_directory_key(kind, &organization, &id, key);
    rows->report->entities++;
    if (change < 1 || change > rows->reader->dir_clock)
        tell_number(rows->report, name, "directory.change_no", change, "at most ", rows->reader->dir_clock);
    struct verify_entry *entry = verify_find(rows->history, TOPIC_DIRECTORY, key);
    bool known = entry && entry->directory && entry->directory->status != ENTITY_FORGOTTEN;
    if (forgotten) {
        /* Of an application it may be a former owner's, who gave it up. */
        if (known && uuid_eq(&entry->directory->organization_id, &organization)) {
            entry->row_seen = true;
            report_difference(rows->report, name, "directory.status", STR("forgotten"),
                              str_of(status_name(entry->directory->status)));
        }
        return;
    }
    if (known) {
        entry->row_seen = true;
        compare_known(rows, name, entry, result, row);
    } else if (entry && entry->ahead) {
        rows->report->unknown[UNKNOWN_AHEAD]++;
    } else if (history_reader_start_gone(rows->reader, TOPIC_DIRECTORY)) {
        rows->report->unknown[UNKNOWN_HISTORY]++;
    } else {
        report_difference(rows->report, name, "directory", STR("a row"),
                          entry && entry->directory ? STR("forgotten") : STR("no event"));
    }
}

static void tell_missing(struct verify_rows *rows)
{
    const struct verify_set *set = &rows->history->sets[TOPIC_DIRECTORY];
    for (size_t i = 0; i < set->count; i++) {
        const struct verify_entry *entry = set->all[i];
        char name[VERIFY_NAME_MAX];
        struct uuid id;
        if (entry->row_seen || !entry->directory || entry->directory->status == ENTITY_FORGOTTEN)
            continue;
        memcpy(id.b, entry->entry.key + 17, sizeof id.b);
        name_entity((enum entity_kind)entry->entry.key[0], &entry->directory->organization_id, &id, name);
        report_difference(rows->report, name, "directory", STR("no row"), STR("an entity"));
    }
}

static enum cv_status compare_page(struct verify_rows *rows, const struct db_result *page, struct err *err)
{
    (void)err;
    for (int row = 0; row < db_rows(page); row++)
        compare_row(rows, page, row);
    return CV_OK;
}

enum cv_status verify_entities_compare(struct verify_rows *rows, struct err *err)
{
    static const struct verify_table table = {
        {"rows_entities", sql_rows_entities}, .has_kind = true, .ids = 2, .compare_page = compare_page};
    enum cv_status status = verify_table_compare(rows, &table, err);
    if (status == CV_OK)
        tell_missing(rows);
    return status;
}
