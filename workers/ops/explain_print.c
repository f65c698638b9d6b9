#include "workers/ops/explain_print.h"

#include "caseview/clock.h"
#include "caseview/json.h"
#include "workers/ops/history_text.h"

/* "-": the record has no time, or one outside the years 1 to 9999. */
static struct str time_text(int64_t ms, char text[CLOCK_ISO_MAX])
{
    if (ms < 0 || ms > CLOCK_MAX_US / 1000)
        return STR("-");
    return (struct str){text, clock_iso(ms * 1000, text)};
}

static const char *type_of(const struct history_entry *entry)
{
    return entry->usable ? event_type_name(&entry->event) : "-";
}

/* ---- text ---- */

static void print_events(const struct explanation *e, struct buf *out)
{
    buf_printf(out, "%-27s %-22s %-29s %-26s %8s  %s\n", "record time", "partition@offset", "schema", "event", "number",
               "effect");
    for (size_t i = 0; i < e->key->count; i++) {
        const struct history_entry *entry = &e->key->entries[i];
        char time[CLOCK_ISO_MAX], place[48], number[24] = "-";
        struct str at = time_text(entry->timestamp_ms, time);
        snprintf(place, sizeof place, "%d@%" PRId64, entry->part, entry->offset);
        if (entry->usable)
            snprintf(number, sizeof number, "#%" PRId64, event_sequence(&entry->event));
        buf_printf(out, "%-27.*s %-22s %-29s %-26s %8s  %.*s%s\n", (int)at.len, at.ptr, place, entry->schema,
                   type_of(entry), number, (int)e->fold->effects[i].len, e->fold->effects[i].ptr,
                   entry->foreign ? " (its key is a different one)" : "");
    }
}

static void print_case(const struct case_state *state, struct buf *out)
{
    if (state->over)
        return;
    buf_puts(out, "sequence: ");
    sequence_put_text(&state->sequence, out);
    buf_puts(out, "\n");
    for (enum case_group group = 0; group < GROUP_COUNT; group++) {
        if (!state->group_sequence[group])
            continue;
        buf_printf(out, "  %-19s #%-8" PRId64 " ", group_name(group), state->group_sequence[group]);
        group_put(state, group, out);
        buf_puts(out, "\n");
    }
}

static void print_agent(const struct agent_state *state, struct buf *out)
{
    char text[UUID_TEXT_LEN + 1] = "none";
    buf_puts(out, "sequence: ");
    sequence_put_text(&state->sequence, out);
    if (state->has_unit)
        uuid_format(&state->unit_id, text);
    buf_printf(out, "\n  chosen unit #%" PRId64 " %s\n", state->unit_sequence, text);
    for (size_t i = 0; i < state->unit_count; i++) {
        uuid_format(&state->units[i].unit_id, text);
        buf_printf(out, "  unit %s ", text);
        agent_unit_put(&state->units[i], out);
        buf_puts(out, "\n");
    }
}

static void print_text(const struct explanation *e, struct buf *out)
{
    char id[UUID_TEXT_LEN + 1], organization[UUID_TEXT_LEN + 1] = "unknown";
    uuid_format(&e->key->id, id);
    if (e->key->has_organization)
        uuid_format(&e->key->organization_id, organization);
    buf_printf(out, "%s %s of organization %s, %zu events in %s\n\n", e->key->topic == TOPIC_CASES ? "case" : "agent",
               id, organization, e->key->count, e->topic);
    print_events(e, out);
    buf_puts(out, "\n");
    if (e->fold->known && e->key->topic == TOPIC_CASES)
        print_case(&e->fold->c, out);
    else if (e->fold->known)
        print_agent(&e->fold->a, out);
    buf_printf(out, "\n%.*s\n%.*s\n", (int)e->verdict.len, e->verdict.data, (int)e->row.len, e->row.data);
    for (size_t i = 0; i < e->check->difference_count; i++) {
        const struct history_difference *d = &e->check->differences[i];
        buf_printf(out, "  %s: the row says %.*s, the log says %.*s\n", d->field, (int)d->row.len, d->row.ptr,
                   (int)d->log.len, d->log.ptr);
    }
    if (e->fold->not_yet > 0)
        buf_printf(out, "%zu of the events are not folded yet: `caseview status` shows the lag.\n", e->fold->not_yet);
    if (e->check->start_gone)
        buf_puts(out, "The start of the log is gone: the row may contain earlier events that are missing here.\n");
}

/* ---- JSON ---- */

static void put_event(struct json_writer *json, const struct explanation *e, size_t i)
{
    const struct history_entry *entry = &e->key->entries[i];
    char time[CLOCK_ISO_MAX];
    struct str at = time_text(entry->timestamp_ms, time);
    json_open_object(json, NULL);
    json_put_text(json, "topic", e->topic);
    json_put_int(json, "partition", entry->part);
    json_put_int(json, "offset", entry->offset);
    json_put_str(json, "record_time", str_eq(at, STR("-")) ? STR_NULL : at);
    json_put_text(json, "schema", entry->schema);
    json_put_text(json, "type", entry->usable ? event_type_name(&entry->event) : NULL);
    if (entry->usable)
        json_put_int(json, "sequence", event_sequence(&entry->event));
    else
        json_put_null(json, "sequence");
    json_put_bool(json, "folded", history_entry_counts(entry));
    json_put_text(json, "parked",
                  entry->left_out != NULL && !entry->left_out->skipped ? entry->left_out->reason : NULL);
    json_put_text(json, "skipped",
                  entry->left_out != NULL && entry->left_out->skipped ? entry->left_out->reason : NULL);
    json_put_bool(json, "foreign_key", entry->foreign);
    json_put_str(json, "effect", e->fold->effects[i]);
    json_close(json);
}

static void put_buf(struct json_writer *json, const char *key, const struct buf *value)
{
    json_put_str(json, key, (struct str){value->len ? value->data : "", value->len});
}

static void put_case(struct json_writer *json, const struct case_state *state)
{
    struct buf text CV_CLEANUP(buf_done);
    buf_init(&text, 4u << 20);
    json_put_bool(json, "listed", case_is_listed(state));
    json_put_bool(json, "over", state->over);
    json_put_bool(json, "degraded", case_is_degraded(state));
    json_put_bool(json, "incomplete", case_is_incomplete(state));
    sequence_put_text(&state->sequence, &text);
    put_buf(json, "numbers", &text);
    json_open_array(json, "groups");
    for (enum case_group group = 0; group < GROUP_COUNT; group++) {
        if (!state->group_sequence[group])
            continue;
        buf_reset(&text);
        group_put(state, group, &text);
        json_open_object(json, NULL);
        json_put_text(json, "group", group_name(group));
        json_put_int(json, "sequence", state->group_sequence[group]);
        put_buf(json, "value", &text);
        json_close(json);
    }
    json_close(json);
}

static void put_agent(struct json_writer *json, const struct agent_state *state)
{
    struct buf text CV_CLEANUP(buf_done);
    buf_init(&text, 4u << 20);
    json_put_bool(json, "degraded", agent_is_degraded(state));
    sequence_put_text(&state->sequence, &text);
    put_buf(json, "numbers", &text);
    json_put_uuid(json, "chosen_unit", state->has_unit ? &state->unit_id : NULL);
    json_put_int(json, "chosen_at", state->unit_sequence);
    json_open_array(json, "units");
    for (size_t i = 0; i < state->unit_count; i++) {
        const struct agent_unit *unit = &state->units[i];
        json_open_object(json, NULL);
        json_put_uuid(json, "unit", &unit->unit_id);
        json_put_int(json, "set", unit->set_sequence);
        json_put_int(json, "revoked", unit->revoked_sequence);
        json_open_array(json, "workspaces");
        for (size_t w = 0; w < unit->workspace_count; w++)
            json_put_uuid(json, NULL, &unit->workspace_ids[w]);
        json_close(json);
        json_close(json);
    }
    json_close(json);
}

static void print_json(const struct explanation *e, struct buf *out)
{
    struct json_writer json;
    json_begin(&json, out);
    json_open_object(&json, NULL);
    json_put_text(&json, "kind", e->key->topic == TOPIC_CASES ? "case" : "agent");
    json_put_uuid(&json, "id", &e->key->id);
    json_put_uuid(&json, "organization", e->key->has_organization ? &e->key->organization_id : NULL);
    json_open_array(&json, "events");
    for (size_t i = 0; i < e->key->count; i++)
        put_event(&json, e, i);
    json_close(&json);
    if (e->fold->known) {
        json_open_object(&json, "state");
        if (e->key->topic == TOPIC_CASES)
            put_case(&json, &e->fold->c);
        else
            put_agent(&json, &e->fold->a);
        json_close(&json);
    } else {
        json_put_null(&json, "state");
    }
    put_buf(&json, "verdict", &e->verdict);
    put_buf(&json, "row", &e->row);
    json_put_bool(&json, "row_agrees", e->row_agrees);
    json_put_int(&json, "not_folded_yet", (int64_t)e->fold->not_yet);
    json_put_bool(&json, "start_of_log_gone", e->check->start_gone);
    json_open_array(&json, "differences");
    for (size_t i = 0; i < e->check->difference_count; i++) {
        json_open_object(&json, NULL);
        json_put_text(&json, "field", e->check->differences[i].field);
        json_put_str(&json, "row", e->check->differences[i].row);
        json_put_str(&json, "log", e->check->differences[i].log);
        json_close(&json);
    }
    json_close(&json);
    json_close(&json);
    buf_byte(out, '\n');
}

void explain_print(const struct explanation *explanation, bool json, struct buf *out)
{
    if (json)
        print_json(explanation, out);
    else
        print_text(explanation, out);
}
