#include "workers/ops/history_compare.h"

#include "caseview/json.h"
#include "workers/ops/history_text.h"

#define TEXT_MAX (4u << 20)

static void count_difference(void *context, const char *field, struct str row, struct str log)
{
    struct difference_counter *counter = context;
    counter->count++;
    if (counter->next != NULL)
        counter->next->report(counter->next->context, field, row, log);
}

struct difference_sink difference_counter_sink(struct difference_counter *counter)
{
    return (struct difference_sink){count_difference, counter};
}

uint64_t part_bit(int32_t part)
{
    return UINT64_C(1) << (part < 63 ? part : 63);
}

static void report(const struct difference_sink *out, const char *field, struct str row, struct str log)
{
    out->report(out->context, field, row, log);
}

static void report_number(const struct difference_sink *out, const char *field, int64_t row, int64_t log)
{
    char a[24], b[24];
    if (row == log)
        return;
    snprintf(a, sizeof a, "%" PRId64, row);
    snprintf(b, sizeof b, "%" PRId64, log);
    report(out, field, str_of(a), str_of(b));
}

static void report_bool(const struct difference_sink *out, const char *field, bool row, bool log)
{
    if (row != log)
        report(out, field, row ? STR("true") : STR("false"), log ? STR("true") : STR("false"));
}

static void report_id(const struct difference_sink *out, const char *field, const struct uuid *row,
                      const struct uuid *log)
{
    char a[UUID_TEXT_LEN + 1], b[UUID_TEXT_LEN + 1];
    if (uuid_eq(row, log))
        return;
    uuid_format(row, a);
    uuid_format(log, b);
    report(out, field, str_of(a), str_of(b));
}

static void report_time(const struct difference_sink *out, const char *field, int64_t row, int64_t log)
{
    struct buf a CV_CLEANUP(buf_done), b CV_CLEANUP(buf_done);
    buf_init(&a, 64);
    buf_init(&b, 64);
    if (row == INT64_MIN || row == INT64_MAX)
        buf_puts(&a, "infinity"); /* no event has such a time */
    else
        json_time(&a, row);
    json_time(&b, log);
    if (row != log)
        report(out, field, (struct str){a.data, a.len}, (struct str){b.data, b.len});
}

static void report_bytes(const struct difference_sink *out, const char *field, struct str row, struct str log)
{
    char a[48], b[48];
    if (row.len == log.len && (row.len == 0 || memcmp(row.ptr, log.ptr, row.len) == 0))
        return;
    snprintf(a, sizeof a, "%zu bytes", row.len);
    snprintf(b, sizeof b, row.len == log.len ? "%zu other bytes" : "%zu bytes", log.len);
    report(out, field, str_of(a), str_of(b));
}

/* ---- cases ---- */

static void report_group(const struct difference_sink *out, enum case_group group, const struct case_state *row,
                         const struct case_state *log)
{
    struct buf a CV_CLEANUP(buf_done), b CV_CLEANUP(buf_done);
    char field[48];
    buf_init(&a, TEXT_MAX);
    buf_init(&b, TEXT_MAX);
    group_put(row, group, &a);
    group_put(log, group, &b);
    bool same = a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
    if (same && row->group_sequence[group] == log->group_sequence[group])
        return;
    buf_printf(&a, " #%" PRId64, row->group_sequence[group]);
    buf_printf(&b, " #%" PRId64, log->group_sequence[group]);
    snprintf(field, sizeof field, "case_state.state %s", group_name(group));
    report(out, field, (struct str){a.data, a.len}, (struct str){b.data, b.len});
}

static void report_sequence(const struct difference_sink *out, const char *field, const struct sequence *row,
                            const struct sequence *log)
{
    struct buf a CV_CLEANUP(buf_done), b CV_CLEANUP(buf_done);
    buf_init(&a, TEXT_MAX);
    buf_init(&b, TEXT_MAX);
    sequence_put_text(row, &a);
    sequence_put_text(log, &b);
    report(out, field, (struct str){a.data, a.len}, (struct str){b.data, b.len});
}

static bool same_state(struct str blob, const struct case_state *state)
{
    struct buf own CV_CLEANUP(buf_done);
    buf_init(&own, TEXT_MAX);
    case_store(state, &own);
    return str_eq(blob, (struct str){own.data, own.len});
}

/* True: the history cannot tell whether the row's state is right. Called for states that are not the same bytes. */
static bool compare_state(const struct case_state *row, const struct case_state *log,
                          const struct history_knowledge *knowledge, const struct difference_sink *out)
{
    struct difference_counter counter = {out, 0};
    const struct difference_sink counted = difference_counter_sink(&counter);
    bool unknown = false;
    report_id(&counted, "case_state.state organizationId", &row->organization_id, &log->organization_id);
    if (row->over != log->over) {
        if (row->over && knowledge->incomplete)
            return true;
        report_bool(&counted, "case_state.state over", row->over, log->over);
        return false;
    }
    for (enum case_group group = 0; group < GROUP_COUNT; group++) {
        if (knowledge->incomplete && row->group_sequence[group] > log->group_sequence[group])
            unknown = true;
        else
            report_group(&counted, group, row, log);
    }
    if (counter.count > 0 || unknown)
        return unknown && counter.count == 0;
    if (knowledge->incomplete || row->sequence.many_up_to || log->sequence.many_up_to)
        return true;
    report_sequence(out, "case_state.state sequence", &row->sequence, &log->sequence);
    return false;
}

static void report_part(const struct difference_sink *out, const char *field, int32_t part,
                        const struct history_knowledge *knowledge)
{
    char text[24];
    if (knowledge->incomplete || (part >= 0 && (knowledge->parts & part_bit(part))))
        return;
    snprintf(text, sizeof text, "%d", part);
    report(out, field, str_of(text), STR("no event of this key is in that partition"));
}

bool compare_case(const struct stored_case *row, const struct case_state *history,
                  const struct history_knowledge *knowledge, const struct difference_sink *out)
{
    struct case_state state;
    if (!case_load(row->state, &state)) {
        report(out, "case_state.state", STR("bytes that this version cannot read"), STR("a state"));
        return false;
    }
    bool unknown = !same_state(row->state, history) && compare_state(&state, history, knowledge, out);
    report_part(out, "case_state.part", row->part, knowledge);
    return unknown;
}

void compare_case_columns(const struct stored_case *row, const struct case_state *state,
                          const struct difference_sink *out)
{
    report_number(out, "case_state.flags", row->flags, case_row_flags(state));
    report_bool(out, "case_state.degraded_at", row->has_degraded_at, case_is_degraded(state));
    report_bool(out, "case_state.over_at", row->has_over_at, state->over);
    if (row->rev < 1)
        report_number(out, "case_state.rev", row->rev, 1);
}

void compare_listed(const struct stored_listed *row, const struct case_state *state, const struct listed_row *expected,
                    int32_t part, bool with_body, const struct difference_sink *out)
{
    const struct case_fields *fields = &state->fields;
    struct str body = {expected->body.data, expected->body.len};
    report_id(out, "active_case.organization_id", &row->organization_id, &state->organization_id);
    report_id(out, "active_case.user_id", &row->user_id, &fields->locked_by.id);
    report_id(out, "active_case.unit_id", &row->unit_id, &fields->unit.id);
    report_time(out, "active_case.status_date", row->status_date, fields->status_date);
    report_time(out, "active_case.case_timestamp", row->case_timestamp, fields->case_timestamp);
    report_bool(out, "active_case.degraded", row->degraded, case_is_degraded(state));
    report_number(out, "active_case.part", row->part, part);
    report_number(out, "active_case.customer_ref", row->customer_ref, expected->customer_ref);
    report_bytes(out, "active_case.refs", row->refs, (struct str){expected->refs.data, expected->refs.len});
    if (with_body && !str_eq(row->body, body))
        report(out, "active_case.body", row->body, body);
}

/* ---- agents ---- */

static const struct agent_unit *find_unit(const struct agent_state *state, const struct uuid *id)
{
    for (size_t i = 0; i < state->unit_count; i++)
        if (uuid_eq(&state->units[i].unit_id, id))
            return &state->units[i];
    return NULL;
}

static void report_unit(const struct difference_sink *out, const struct agent_unit *row, const struct agent_unit *log)
{
    static const struct agent_unit none;
    struct buf a CV_CLEANUP(buf_done), b CV_CLEANUP(buf_done);
    char id[UUID_TEXT_LEN + 1], field[80];
    buf_init(&a, TEXT_MAX);
    buf_init(&b, TEXT_MAX);
    agent_unit_put(row != NULL ? row : &none, &a);
    agent_unit_put(log != NULL ? log : &none, &b);
    if (a.len == b.len && memcmp(a.data, b.data, a.len) == 0)
        return;
    uuid_format(row != NULL ? &row->unit_id : &log->unit_id, id);
    snprintf(field, sizeof field, "agent.state workspaces of unit %s", id);
    report(out, field, (struct str){a.data, a.len}, (struct str){b.data, b.len});
}

static int64_t newest(const struct agent_unit *unit)
{
    return unit != NULL ? unit->set_sequence : 0;
}

static void report_units(const struct agent_state *row, const struct agent_state *log, bool incomplete, bool *unknown,
                         const struct difference_sink *out)
{
    for (size_t i = 0; i < log->unit_count; i++) {
        const struct agent_unit *own = find_unit(row, &log->units[i].unit_id);
        if (incomplete && newest(own) > newest(&log->units[i]))
            *unknown = true;
        else
            report_unit(out, own, &log->units[i]);
    }
    for (size_t i = 0; i < row->unit_count; i++) {
        if (find_unit(log, &row->units[i].unit_id) != NULL)
            continue;
        if (incomplete)
            *unknown = true;
        else
            report_unit(out, &row->units[i], NULL);
    }
}

static void report_current(const struct difference_sink *out, const struct agent_state *row,
                           const struct agent_state *log)
{
    char a[UUID_TEXT_LEN + 1] = "none", b[UUID_TEXT_LEN + 1] = "none", x[80], y[80];
    if (row->has_unit)
        uuid_format(&row->unit_id, a);
    if (log->has_unit)
        uuid_format(&log->unit_id, b);
    snprintf(x, sizeof x, "%s #%" PRId64, a, row->unit_sequence);
    snprintf(y, sizeof y, "%s #%" PRId64, b, log->unit_sequence);
    if (strcmp(x, y) != 0)
        report(out, "agent.state current unit", str_of(x), str_of(y));
}

static bool compare_agent_state(const struct agent_state *row, const struct agent_state *log,
                                const struct history_knowledge *knowledge, const struct difference_sink *out)
{
    struct difference_counter counter = {out, 0};
    const struct difference_sink counted = difference_counter_sink(&counter);
    bool unknown = false;
    if (knowledge->incomplete && row->unit_sequence > log->unit_sequence)
        unknown = true;
    else
        report_current(&counted, row, log);
    report_units(row, log, knowledge->incomplete, &unknown, &counted);
    if (counter.count > 0 || unknown)
        return unknown && counter.count == 0;
    if (knowledge->incomplete || row->sequence.many_up_to || log->sequence.many_up_to)
        return true;
    report_sequence(out, "agent.state sequence", &row->sequence, &log->sequence);
    return false;
}

bool compare_agent(const struct stored_agent *row, const struct agent_state *history,
                   const struct history_knowledge *knowledge, const struct difference_sink *out)
{
    struct arena *arena = arena_new(1u << 12, TEXT_MAX);
    struct buf own CV_CLEANUP(buf_done);
    struct agent_state state;
    bool unknown = false;
    buf_init(&own, TEXT_MAX);
    agent_store(history, &own);
    if (!agent_load(row->state, arena, &state))
        report(out, "agent.state", STR("bytes that this version cannot read"), STR("a state"));
    else if (!str_eq(row->state, (struct str){own.data, own.len}))
        unknown = compare_agent_state(&state, history, knowledge, out);
    arena_free(arena);
    report_part(out, "agent.part", row->part, knowledge);
    return unknown;
}

void compare_agent_columns(const struct stored_agent *row, const struct gate_row *expected, bool degraded,
                           const struct difference_sink *out)
{
    const struct agent_gates *gates = &expected->gates;
    report_bool(out, "agent.current_unit_id is there", row->has_unit, gates->has_unit);
    if (row->has_unit && gates->has_unit)
        report_id(out, "agent.current_unit_id", &row->current_unit_id, &gates->current_unit_id);
    report_bool(out, "agent.has_workspaces", row->has_workspaces, gates->has_workspaces);
    report_bool(out, "agent.degraded", row->degraded, degraded);
    report_bool(out, "agent.degraded_at", row->has_degraded_at, degraded);
    report_bytes(out, "agent.refs", row->refs, (struct str){expected->refs.data, expected->refs.len});
    if (row->rev < 1)
        report_number(out, "agent.rev", row->rev, 1);
}
