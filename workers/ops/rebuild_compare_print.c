#include "workers/ops/rebuild_compare_print.h"

#include <stdio.h>

#include "caseview/json.h"

#define LINE_MAX_BYTES (1u << 20)
#define KEY_MAX        400

void compare_count(const struct compare_suspects *suspects, struct compare_report *report)
{
    memset(report->counts, 0, sizeof report->counts);
    report->differences = 0;
    for (size_t i = 0; i < suspects->count; i++) {
        const struct compare_suspect *suspect = &suspects->items[i];
        if (suspect->state == SUSPECT_EQUAL)
            continue;
        report->counts[suspect->key.view][compare_kind_of(suspect)]++;
        report->differences++;
    }
}

/* The id of the case, user or application; "topic/partition/offset" of a parked record. */
static void format_key(const struct compare *compare, const struct compare_key *key, char out[KEY_MAX])
{
    char id[UUID_TEXT_LEN + 1];
    const struct compare_partition *partition = &compare->moments.partitions[key->partition];
    uuid_format(&key->id, id);
    if (key->view == VIEW_PARKED)
        snprintf(out, KEY_MAX, PARTITION_FMT "/%" PRId64, PARTITION_ARG(partition->topic, partition->part),
                 key->offset);
    else
        snprintf(out, KEY_MAX, "%s", id);
}

/* The names of the columns that differ, one after the other: NULL ends them. */
static const char *next_column(const struct compare_suspect *suspect, size_t *at)
{
    const char *const *columns = compare_views[suspect->key.view].columns;
    for (; columns[*at] != NULL; (*at)++)
        if (suspect->columns & 1u << *at)
            return columns[(*at)++];
    return NULL;
}

/* ---- text ---- */

static void print_summary(const struct compare *compare, const struct compare_report *report)
{
    printf("generation %d compared with generation %d (live)\n\n%-12s %10s %10s %10s %10s %10s %10s\n",
           compare->gens[COMPARE_OTHER], compare->gens[COMPARE_LIVE], "view", "live", "other", "only live",
           "only other", "different", "undecided");
    for (enum compare_view view = VIEW_ACTIVE_CASE; view < VIEW_COUNT; view++) {
        const int64_t *counts = report->counts[view];
        printf("%-12s %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64 "\n",
               compare_views[view].name, compare->rows[view][COMPARE_LIVE], compare->rows[view][COMPARE_OTHER],
               counts[KIND_ONLY_LIVE], counts[KIND_ONLY_OTHER], counts[KIND_DIFFERENT], counts[KIND_UNDECIDED]);
    }
    for (size_t i = 0; i < report->step_count; i++)
        printf("%s%s: %" PRId64 " rows read, %" PRId64 " written\n", i == 0 ? "\n" : "", report->steps[i].name,
               report->steps[i].seen, report->steps[i].changed);
}

static void print_finding(const struct compare *compare, const struct compare_finding *finding)
{
    const struct compare_suspect *suspect = finding->suspect;
    char key[KEY_MAX], organization[UUID_TEXT_LEN + 1] = "unknown";
    size_t at = 0;
    format_key(compare, &suspect->key, key);
    if (suspect->has_organization)
        uuid_format(&suspect->organization_id, organization);
    printf("%s %s of organization %s: %s", compare_views[suspect->key.view].name, key, organization,
           compare_kind_name(compare_kind_of(suspect)));
    const char *separator = " in ";
    for (const char *column; (column = next_column(suspect, &at)) != NULL; separator = ", ")
        printf("%s%s", separator, column);
    printf(": %.*s\n", (int)finding->reason.len, finding->reason.len > 0 ? finding->reason.ptr : "");
}

static size_t shown_users(const struct compare_report *report)
{
    return report->user_count < report->limit ? report->user_count : report->limit;
}

void compare_print_text(const struct compare *compare, const struct compare_report *report)
{
    print_summary(compare, report);
    if (report->differences == 0) {
        printf("\nno difference\n");
        return;
    }
    printf("\n%" PRId64 " differences\n", report->differences);
    for (size_t i = 0; i < report->finding_count; i++)
        print_finding(compare, &report->findings[i]);
    if (report->differences > (int64_t)report->finding_count)
        printf("… and %" PRId64 " more (--limit)\n", report->differences - (int64_t)report->finding_count);
    printf("\n%zu users whose answer would change\n", report->user_count);
    for (size_t i = 0; i < shown_users(report); i++) {
        char organization[UUID_TEXT_LEN + 1], user[UUID_TEXT_LEN + 1];
        uuid_format(&report->users[i].organization_id, organization);
        uuid_format(&report->users[i].user_id, user);
        printf("user %s of organization %s\n", user, organization);
    }
    if (report->user_count > shown_users(report))
        printf("… and %zu more (--limit)\n", report->user_count - shown_users(report));
}

/* ---- JSON ---- */

static void print_line(struct buf *line)
{
    buf_byte(line, '\n');
    assert(!line->overflow); /* names, ids and one reason */
    fwrite(line->data, 1, line->len, stdout);
    buf_reset(line);
}

static void print_finding_json(const struct compare *compare, const struct compare_finding *finding, struct buf *line)
{
    const struct compare_suspect *suspect = finding->suspect;
    struct json_writer json;
    char key[KEY_MAX];
    size_t at = 0;
    format_key(compare, &suspect->key, key);
    json_begin(&json, line);
    json_open_object(&json, NULL);
    json_put_text(&json, "view", compare_views[suspect->key.view].name);
    json_put_uuid(&json, "organization", suspect->has_organization ? &suspect->organization_id : NULL);
    json_put_text(&json, "key", key);
    json_put_text(&json, "kind", compare_kind_name(compare_kind_of(suspect)));
    json_open_array(&json, "columns");
    for (const char *column; (column = next_column(suspect, &at)) != NULL;)
        json_put_text(&json, NULL, column);
    json_close(&json);
    json_put_str(&json, "reason", finding->reason);
    json_close(&json);
    print_line(line);
}

static void put_views(const struct compare *compare, const struct compare_report *report, struct json_writer *json)
{
    json_open_object(json, "views");
    for (enum compare_view view = VIEW_ACTIVE_CASE; view < VIEW_COUNT; view++) {
        json_open_object(json, compare_views[view].name);
        json_put_int(json, "live", compare->rows[view][COMPARE_LIVE]);
        json_put_int(json, "other", compare->rows[view][COMPARE_OTHER]);
        for (enum compare_kind kind = KIND_ONLY_LIVE; kind < KIND_COUNT; kind++)
            json_put_int(json, compare_kind_name(kind), report->counts[view][kind]);
        json_close(json);
    }
    json_close(json);
}

static void print_summary_json(const struct compare *compare, const struct compare_report *report, struct buf *line)
{
    struct json_writer json;
    json_begin(&json, line);
    json_open_object(&json, NULL);
    json_open_object(&json, "summary");
    json_put_int(&json, "live", compare->gens[COMPARE_LIVE]);
    json_put_int(&json, "other", compare->gens[COMPARE_OTHER]);
    json_put_bool(&json, "equal", report->differences == 0);
    json_put_int(&json, "differences", report->differences);
    json_put_int(&json, "users", (int64_t)report->user_count);
    put_views(compare, report, &json);
    json_open_array(&json, "carry_over");
    for (size_t i = 0; i < report->step_count; i++) {
        json_open_object(&json, NULL);
        json_put_text(&json, "step", report->steps[i].name);
        json_put_int(&json, "seen", report->steps[i].seen);
        json_put_int(&json, "changed", report->steps[i].changed);
        json_close(&json);
    }
    json_close(&json);
    json_close(&json);
    json_close(&json);
    print_line(line);
}

void compare_print_json(const struct compare *compare, const struct compare_report *report)
{
    struct buf line CV_CLEANUP(buf_done);
    buf_init(&line, LINE_MAX_BYTES);
    for (size_t i = 0; i < report->finding_count; i++)
        print_finding_json(compare, &report->findings[i], &line);
    for (size_t i = 0; i < shown_users(report); i++) {
        struct json_writer json;
        json_begin(&json, &line);
        json_open_object(&json, NULL);
        json_put_uuid(&json, "user", &report->users[i].user_id);
        json_put_uuid(&json, "organization", &report->users[i].organization_id);
        json_close(&json);
        print_line(&line);
    }
    print_summary_json(compare, report, &line);
}
