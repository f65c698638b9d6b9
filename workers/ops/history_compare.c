#include "workers/ops/history_compare.h"

#include <inttypes.h>

#include "caseview/json.h"
#include "workers/ops/history_text.h"

#define TEXT_MAX (4u << 20)

uint64_t part_bit(int32_t part)
{
    return UINT64_C(1) << (part < 63 ? part : 63);
}

static void tell(const struct difference_sink *out, const char *field, struct str row, struct str log)
{
    out->tell(out->context, field, row, log);
}

static void tell_number(const struct difference_sink *out, const char *field, int64_t row, int64_t log)
{
    char a[24], b[24];
    if (row == log)
        return;
    snprintf(a, sizeof a, "%" PRId64, row);
    snprintf(b, sizeof b, "%" PRId64, log);
    tell(out, field, str_of(a), str_of(b));
}

static void tell_bool(const struct difference_sink *out, const char *field, bool row, bool log)
{
    if (row != log)
        tell(out, field, row ? STR("true") : STR("false"), log ? STR("true") : STR("false"));
}

static void tell_id(const struct difference_sink *out, const char *field, const struct uuid *row,
                    const struct uuid *log)
{
    char a[UUID_TEXT_LEN + 1], b[UUID_TEXT_LEN + 1];
    if (uuid_eq(row, log))
        return;
    uuid_format(row, a);
    uuid_format(log, b);
    tell(out, field, str_of(a), str_of(b));
}

static void tell_time(const struct difference_sink *out, const char *field, int64_t row, int64_t log)
{
    struct buf a CV_CLEANUP(buf_done), b CV_CLEANUP(buf_done);
    buf_init(&a, 64);
    buf_init(&b, 64);
    if (row == INT64_MIN || row == INT64_MAX)
        buf_puts(&a, "infinity"); /* no time of ours */
    else
        json_time(&a, row);
    json_time(&b, log);
    if (row != log)
        tell(out, field, (struct str){a.data, a.len}, (struct str){b.data, b.len});
}

static void tell_bytes(const struct difference_sink *out, const char *field, struct str row, struct str log)
{
    char a[48], b[48];
    if (row.len == log.len && (row.len == 0 || memcmp(row.ptr, log.ptr, row.len) == 0))
        return;
    snprintf(a, sizeof a, "%zu bytes", row.len);
    snprintf(b, sizeof b, row.len == log.len ? "%zu other bytes" : "%zu bytes", log.len);
    tell(out, field, str_of(a), str_of(b));
}

/* ---- cases ---- */

static void tell_group(const struct difference_sink *out, enum case_group group, const struct case_state *row,
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
    tell(out, field, (struct str){a.data, a.len}, (struct str){b.data, b.len});
}

static void tell_sequence(const struct difference_sink *out, const char *field, const struct sequence *row,
                          const struct sequence *log)
{
    struct buf a CV_CLEANUP(buf_done), b CV_CLEANUP(buf_done);
    buf_init(&a, TEXT_MAX);
    buf_init(&b, TEXT_MAX);
    sequence_put_text(row, &a);
    sequence_put_text(log, &b);
    tell(out, field, (struct str){a.data, a.len}, (struct str){b.data, b.len});
}

static bool same_state(struct str blob, const struct case_state *state)
{
    struct buf own CV_CLEANUP(buf_done);
    buf_init(&own, TEXT_MAX);
    case_store(state, &own);
    return str_eq(blob, (struct str){own.data, own.len});
}

struct counter {
    const struct difference_sink *out;
    size_t count;
};

static void count_and_tell(void *context, const char *field, struct str row, struct str log)
{
    struct counter *counter = context;
    counter->count++;
    tell(counter->out, field, row, log);
}

/* True when the state is right as far as the log can say, though it is not the same. */
static bool compare_state(const struct case_state *row, const struct case_state *log,
                          const struct history_knowledge *knowledge, const struct difference_sink *out)
{
    struct counter counter = {out, 0};
    const struct difference_sink counted = {count_and_tell, &counter};
    bool unknown = false;
    tell_id(&counted, "case_state.state organizationId", &row->organization_id, &log->organization_id);
    if (row->over != log->over) {
        if (row->over && knowledge->start_gone)
            return true;
        tell_bool(&counted, "case_state.state over", row->over, log->over);
        return false;
    }
    for (enum case_group group = 0; group < GROUP_COUNT; group++) {
        if (knowledge->start_gone && row->group_sequence[group] > log->group_sequence[group])
            unknown = true;
        else
            tell_group(&counted, group, row, log);
    }
    if (counter.count > 0 || unknown)
        return unknown && counter.count == 0;
    if (knowledge->start_gone || row->sequence.many_up_to || log->sequence.many_up_to)
        return true;
    tell_sequence(out, "case_state.state sequence", &row->sequence, &log->sequence);
    return false;
}

bool compare_case(const struct stored_case *found, const struct case_state *log,
                  const struct history_knowledge *knowledge, const struct difference_sink *out)
{
    struct case_state row;
    if (!case_load(found->state, &row)) {
        tell(out, "case_state.state", STR("bytes that this version cannot read"), STR("a state"));
        return false;
    }
    bool unknown = !same_state(found->state, log) && compare_state(&row, log, knowledge, out);
    /* The other columns follow from the state in the row. */
    tell_number(out, "case_state.flags", found->flags, case_row_flags(&row));
    tell_bool(out, "case_state.degraded_at", found->has_degraded_at, case_is_degraded(&row));
    tell_bool(out, "case_state.over_at", found->has_over_at, row.over);
    if (found->rev < 1)
        tell_number(out, "case_state.rev", found->rev, 1);
    if (!knowledge->start_gone && (found->part < 0 || !(knowledge->parts & part_bit(found->part)))) {
        char part[24];
        snprintf(part, sizeof part, "%d", found->part);
        tell(out, "case_state.part", str_of(part), STR("no event of it lies in that partition"));
    }
    return unknown;
}

void compare_listed(const struct stored_listed *found, const struct case_state *state, const struct listed_row *row,
                    int32_t part, bool names_too, const struct difference_sink *out)
{
    tell_id(out, "active_case.organization_id", &found->organization_id, &state->organization_id);
    tell_id(out, "active_case.user_id", &found->user_id, &state->fields.locked_by.id);
    tell_id(out, "active_case.unit_id", &found->unit_id, &state->fields.unit.id);
    tell_time(out, "active_case.status_date", found->status_date, state->fields.status_date);
    tell_time(out, "active_case.case_timestamp", found->case_timestamp, state->fields.case_timestamp);
    tell_bool(out, "active_case.degraded", found->degraded, case_is_degraded(state));
    tell_number(out, "active_case.part", found->part, part);
    tell_number(out, "active_case.customer_ref", found->customer_ref, row->customer_ref);
    tell_bytes(out, "active_case.refs", found->refs, (struct str){row->refs.data, row->refs.len});
    if (names_too && !str_eq(found->body, (struct str){row->body.data, row->body.len}))
        tell(out, "active_case.body", found->body, (struct str){row->body.data, row->body.len});
}

/* ---- agents ---- */

static const struct agent_unit *find_unit(const struct agent_state *state, const struct uuid *id)
{
    for (size_t i = 0; i < state->unit_count; i++)
        if (uuid_eq(&state->units[i].unit_id, id))
            return &state->units[i];
    return NULL;
}

static void tell_unit(const struct difference_sink *out, const struct agent_unit *row, const struct agent_unit *log)
{
    static const struct agent_unit none;
    struct buf a CV_CLEANUP(buf_done), b CV_CLEANUP(buf_done);
    char id[UUID_TEXT_LEN + 1], field[80];
    buf_init(&a, TEXT_MAX);
    buf_init(&b, TEXT_MAX);
    agent_unit_put(row ? row : &none, &a);
    agent_unit_put(log ? log : &none, &b);
    if (a.len == b.len && memcmp(a.data, b.data, a.len) == 0)
        return;
    uuid_format(row ? &row->unit_id : &log->unit_id, id);
    snprintf(field, sizeof field, "agent.state workspaces of unit %s", id);
    tell(out, field, (struct str){a.data, a.len}, (struct str){b.data, b.len});
}

static int64_t newest(const struct agent_unit *unit)
{
    return unit ? unit->set_sequence : 0;
}

static void tell_units(const struct agent_state *row, const struct agent_state *log, bool start_gone, bool *unknown,
                       const struct difference_sink *out)
{
    for (size_t i = 0; i < log->unit_count; i++) {
        const struct agent_unit *own = find_unit(row, &log->units[i].unit_id);
        if (start_gone && newest(own) > newest(&log->units[i]))
            *unknown = true;
        else
            tell_unit(out, own, &log->units[i]);
    }
    for (size_t i = 0; i < row->unit_count; i++) {
        if (find_unit(log, &row->units[i].unit_id))
            continue;
        if (start_gone)
            *unknown = true;
        else
            tell_unit(out, &row->units[i], NULL);
    }
}

static void tell_current(const struct difference_sink *out, const struct agent_state *row,
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
        tell(out, "agent.state current unit", str_of(x), str_of(y));
}

static bool compare_agent_state(const struct agent_state *row, const struct agent_state *log,
                                const struct history_knowledge *knowledge, const struct difference_sink *out)
{
    struct counter counter = {out, 0};
    const struct difference_sink counted = {count_and_tell, &counter};
    bool unknown = false;
    if (knowledge->start_gone && row->unit_sequence > log->unit_sequence)
        unknown = true;
    else
        tell_current(&counted, row, log);
    tell_units(row, log, knowledge->start_gone, &unknown, &counted);
    if (counter.count > 0 || unknown)
        return unknown && counter.count == 0;
    if (knowledge->start_gone || row->sequence.many_up_to || log->sequence.many_up_to)
        return true;
    tell_sequence(out, "agent.state sequence", &row->sequence, &log->sequence);
    return false;
}

bool compare_agent(const struct stored_agent *found, const struct agent_state *log,
                   const struct history_knowledge *knowledge, const struct difference_sink *out)
{
    struct arena *arena = arena_new(1u << 12, TEXT_MAX);
    struct buf own CV_CLEANUP(buf_done);
    struct agent_state row;
    bool unknown = false;
    buf_init(&own, TEXT_MAX);
    agent_store(log, &own);
    if (!agent_load(found->state, arena, &row))
        tell(out, "agent.state", STR("bytes that this version cannot read"), STR("a state"));
    else if (!str_eq(found->state, (struct str){own.data, own.len}))
        unknown = compare_agent_state(&row, log, knowledge, out);
    arena_free(arena);
    if (found->rev < 1)
        tell_number(out, "agent.rev", found->rev, 1);
    if (!knowledge->start_gone && (found->part < 0 || !(knowledge->parts & part_bit(found->part)))) {
        char part[24];
        snprintf(part, sizeof part, "%d", found->part);
        tell(out, "agent.part", str_of(part), STR("no event of it lies in that partition"));
    }
    return unknown;
}

void compare_gates(const struct stored_agent *found, const struct gate_row *row, bool degraded,
                   const struct difference_sink *out)
{
    static const struct uuid none;
    tell_bool(out, "agent.current_unit_id is there", found->has_unit, row->gates.has_unit);
    if (found->has_unit && row->gates.has_unit)
        tell_id(out, "agent.current_unit_id", &found->current_unit_id,
                row->gates.has_unit ? &row->gates.current_unit_id : &none);
    tell_bool(out, "agent.has_workspaces", found->has_workspaces, row->gates.has_workspaces);
    tell_bool(out, "agent.degraded", found->degraded, degraded);
    tell_bool(out, "agent.degraded_at", found->has_degraded_at, degraded);
    tell_bytes(out, "agent.refs", found->refs, (struct str){row->refs.data, row->refs.len});
}
