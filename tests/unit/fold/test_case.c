/* The effect of each event type on a case, the order of writers, and states that never change. */
#include "workers/fold/case.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/sample_case.h"

#define STATUS GROUP_BIT(GROUP_STATUS)
#define RANK   GROUP_BIT(GROUP_RANK)
#define TICKET GROUP_BIT(GROUP_TICKET)
#define LOCK   GROUP_BIT(GROUP_LOCK)
#define PLACE  GROUP_BIT(GROUP_PLACE)
#define TIME   GROUP_BIT(GROUP_TIMESTAMP)

static bool same_ref(const struct ref *a, const struct ref *b)
{
    return a->present == b->present && (!a->present || (uuid_eq(&a->id, &b->id) && str_eq(a->name, b->name)));
}

static bool same_user(const struct user_ref *a, const struct user_ref *b)
{
    if (!a->present || !b->present)
        return a->present == b->present;
    return uuid_eq(&a->id, &b->id) && str_eq(a->display_name, b->display_name) && str_eq(a->initials, b->initials) &&
           str_eq(a->picture, b->picture);
}

static bool same_ticket(const struct ticket *a, const struct ticket *b)
{
    return a->present == b->present && str_eq(a->prefix, b->prefix) && str_eq(a->suffix, b->suffix) &&
           a->number == b->number;
}

static bool same_customer(const struct customer_ref *a, const struct customer_ref *b)
{
    return a->present == b->present && uuid_eq(&a->data_table_id, &b->data_table_id) &&
           uuid_eq(&a->record_id, &b->record_id) && str_eq(a->display_name, b->display_name);
}

static bool same_group(enum case_group group, const struct case_fields *a, const struct case_fields *b)
{
    switch (group) {
    case GROUP_STATUS:
        return str_eq(a->status, b->status) && a->status_date == b->status_date;
    case GROUP_DATE_CLOSED:
        return a->has_date_closed == b->has_date_closed && a->date_closed == b->date_closed;
    case GROUP_RANK:
        return a->rank >= b->rank && a->rank <= b->rank;
    case GROUP_TICKET:
        return same_ticket(&a->ticket, &b->ticket);
    case GROUP_LOCK:
        return same_user(&a->locked_by, &b->locked_by) && same_ref(&a->workstation, &b->workstation);
    case GROUP_PLACE:
        return same_ref(&a->unit, &b->unit) && uuid_eq(&a->inbox.id, &b->inbox.id) &&
               str_eq(a->inbox.name, b->inbox.name) && str_eq(a->inbox.color_code, b->inbox.color_code);
    case GROUP_ASSIGNED:
        return same_user(&a->assigned_to, &b->assigned_to);
    case GROUP_CHANNEL:
        return str_eq(a->channel, b->channel);
    case GROUP_CUSTOMER:
        return same_customer(&a->customer, &b->customer);
    case GROUP_PHONE:
        return str_eq(a->contact_phone_number, b->contact_phone_number);
    case GROUP_EMAIL:
        return str_eq(a->contact_email, b->contact_email);
    case GROUP_PRINTED:
        return a->printed_ticket == b->printed_ticket;
    case GROUP_MEETING:
        return str_eq(a->online_meeting, b->online_meeting);
    case GROUP_TIMESTAMP:
        return a->case_timestamp == b->case_timestamp;
    case GROUP_REST:
        return same_ref(&a->service_category, &b->service_category) && same_ref(&a->service_type, &b->service_type) &&
               a->reference_date == b->reference_date && a->date_opened == b->date_opened &&
               str_eq(a->entry_mode, b->entry_mode);
    case GROUP_COUNT:
        break;
    }
    fail();
    return false;
}

/* Returns the state's stored bytes. The caller frees. */
static struct buf stored(const struct case_state *state)
{
    struct buf blob;
    buf_init(&blob, 1 << 20);
    case_store(state, &blob);
    assert_false(blob.overflow);
    return blob;
}

static void assert_same_state(const struct case_state *a, const struct case_state *b)
{
    struct buf left = stored(a);
    struct buf right = stored(b);
    assert_int_equal(left.len, right.len);
    assert_memory_equal(left.data, right.data, left.len);
    buf_done(&left);
    buf_done(&right);
}

/* A case after its snapshot, variant 0, at this sequence. */
static struct case_state after_snapshot(int64_t sequence)
{
    struct case_event event = sample_event(CASE_QUEUED, sequence, 0);
    struct case_state state;
    case_init(&state, &event.organization_id);
    assert_int_equal(case_apply(&state, &event), FOLD_APPLIED);
    return state;
}

struct type_row {
    enum case_event_type type;
    uint32_t given;           /* as the decoder found it */
    uint32_t sets;            /* groups that take the event's values */
    uint32_t clears;          /* groups that become null */
    const char *event_status; /* NULL: the sample's, "Waiting" */
    const char *status;       /* a status that the type implies */
    bool printed;
};

static const struct type_row type_rows[] = {
    {CASE_QUEUED, 0, GROUP_ALL, 0, NULL, NULL, false},
    {CASE_APPOINTMENT_BOOKED, 0, GROUP_ALL, 0, NULL, NULL, false},
    {CASE_APPOINTMENT_CHECKED_IN, 0, STATUS | RANK | TIME, 0, NULL, NULL, false},
    {CASE_APPOINTMENT_CHECKED_IN, TICKET, STATUS | RANK | TIME | TICKET, 0, NULL, NULL, false},
    {CASE_STATUS_CHANGED, 0, STATUS | TIME, LOCK, NULL, NULL, false},
    {CASE_STATUS_CHANGED, 0, STATUS | TIME, 0, "Active", NULL, false},
    {CASE_STATUS_CHANGED, 0, STATUS | TIME, LOCK, "active", NULL, false},
    {CASE_STATUS_CHANGED, 0, STATUS | TIME, LOCK, "Active ", NULL, false},
    {CASE_STATUS_CHANGED, 0, STATUS | TIME, LOCK, "", NULL, false},
    {CASE_SERVICE_STARTED, 0, STATUS | LOCK | TIME, 0, NULL, NULL, false},
    {CASE_RETURNED_TO_QUEUE, 0, STATUS | RANK | TIME, LOCK, NULL, NULL, false},
    {CASE_RETURNED_TO_QUEUE, 0, STATUS | RANK | TIME, LOCK, "Active", NULL, false},
    {CASE_MOVED, 0, STATUS | PLACE | RANK | LOCK | TIME, 0, NULL, NULL, false},
    {CASE_RESOLVED, 0, STATUS | TIME, LOCK, NULL, "Resolved", false},
    {CASE_RESOLVED, 0, STATUS | TIME, LOCK, "Active", "Resolved", false},
    {CASE_REOPENED, 0, STATUS | RANK | TIME, LOCK, NULL, NULL, false},
    {CASE_REOPENED, 0, STATUS | RANK | TIME, LOCK, "Active", NULL, false},
    {CASE_POSITION_CHANGED, 0, RANK | TIME, 0, NULL, NULL, false},
    {CASE_USER_ASSIGNED, 0, GROUP_BIT(GROUP_ASSIGNED) | TIME, 0, NULL, NULL, false},
    {CASE_USER_UNASSIGNED, 0, TIME, GROUP_BIT(GROUP_ASSIGNED), NULL, NULL, false},
    {CASE_UPDATED, 0, TIME, 0, NULL, NULL, false},
    {CASE_UPDATED, GROUP_BIT(GROUP_CHANNEL), TIME | GROUP_BIT(GROUP_CHANNEL), 0, NULL, NULL, false},
    {CASE_UPDATED, GROUP_BIT(GROUP_CUSTOMER), TIME | GROUP_BIT(GROUP_CUSTOMER), 0, NULL, NULL, false},
    {CASE_UPDATED, GROUP_BIT(GROUP_PHONE), TIME | GROUP_BIT(GROUP_PHONE), 0, NULL, NULL, false},
    {CASE_UPDATED, GROUP_BIT(GROUP_EMAIL), TIME | GROUP_BIT(GROUP_EMAIL), 0, NULL, NULL, false},
    {CASE_UPDATED, GROUP_ALL,
     TIME | GROUP_BIT(GROUP_CHANNEL) | GROUP_BIT(GROUP_CUSTOMER) | GROUP_BIT(GROUP_PHONE) | GROUP_BIT(GROUP_EMAIL), 0,
     NULL, NULL, false},
    {CASE_TICKET_PRINTED, GROUP_ALL, TIME, 0, NULL, NULL, true},
    {CASE_ONLINE_MEETING_SET, 0, GROUP_BIT(GROUP_MEETING) | TIME, 0, NULL, NULL, false},
};

static struct case_event event_of(const struct type_row *row, int64_t sequence)
{
    struct case_event event = sample_event(row->type, sequence, 1);
    event.given = row->given;
    if (row->event_status)
        event.fields.status = str_of(row->event_status);
    return event;
}

/* Applies the table's row to a case of variant 0: the expected result. */
static void assert_row(const struct type_row *row, const struct case_state *state, const struct case_event *event)
{
    struct case_fields before = sample_fields(0);
    struct case_fields null = {.rank = 0};
    for (unsigned group = 0; group < GROUP_COUNT; group++) {
        uint32_t bit = GROUP_BIT(group);
        const struct case_fields *expected = row->sets & bit ? &event->fields : row->clears & bit ? &null : &before;
        struct case_fields with_status = *expected;
        if (group == GROUP_STATUS && row->status)
            with_status.status = str_of(row->status);
        if (group == GROUP_PRINTED && row->printed)
            with_status.printed_ticket = true;
        if (!same_group((enum case_group)group, &state->fields, &with_status))
            fail_msg("type %d given %x: group %u is wrong", row->type, row->given, group);
        bool set = ((row->sets | row->clears) & bit) || (group == GROUP_PRINTED && row->printed);
        assert_int_equal(state->group_sequence[group], set ? event->sequence : 1);
    }
}

static void test_case_apply_each_type_sets_its_groups_only(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < ARRAY_LEN(type_rows); i++) {
        struct case_state state = after_snapshot(1);
        struct case_event event = event_of(&type_rows[i], 2);
        assert_int_equal(case_apply(&state, &event), FOLD_APPLIED);
        assert_row(&type_rows[i], &state, &event);
        assert_int_equal(state.sequence.base, type_rows[i].sets == GROUP_ALL ? 2 : 1);
        assert_false(state.over);
    }
}

static void test_case_apply_each_type_late_changes_nothing_of_a_newer_snapshot(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < ARRAY_LEN(type_rows); i++) {
        struct case_state state = after_snapshot(3);
        struct case_event event = event_of(&type_rows[i], 2);
        struct case_fields before = sample_fields(0);
        assert_int_equal(case_apply(&state, &event), FOLD_APPLIED);
        for (unsigned group = 0; group < GROUP_COUNT; group++) {
            assert_true(same_group((enum case_group)group, &state.fields, &before));
            assert_int_equal(state.group_sequence[group], 3);
        }
        assert_int_equal(case_apply(&state, &event), FOLD_DUPLICATE);
    }
}

static void test_case_apply_each_type_before_the_snapshot_same_as_after(void **unused)
{
    (void)unused;
    for (unsigned i = 0; i < ARRAY_LEN(type_rows); i++) {
        struct case_event snapshot = sample_event(CASE_APPOINTMENT_BOOKED, 1, 0);
        struct case_event event = event_of(&type_rows[i], 2);
        struct case_state forward;
        struct case_state backward;
        case_init(&forward, &event.organization_id);
        case_init(&backward, &event.organization_id);
        assert_int_equal(case_apply(&forward, &snapshot), FOLD_APPLIED);
        assert_int_equal(case_apply(&forward, &event), FOLD_APPLIED);
        assert_int_equal(case_apply(&backward, &event), FOLD_APPLIED);
        assert_int_equal(case_is_incomplete(&backward), type_rows[i].sets != GROUP_ALL);
        assert_int_equal(case_apply(&backward, &snapshot), FOLD_APPLIED);
        assert_same_state(&forward, &backward);
    }
}

static const enum case_event_type ends[] = {CASE_APPOINTMENT_CANCELLED, CASE_QUEUE_ABANDONED, CASE_CLOSED};

static void test_case_apply_end_keeps_the_fact_only_whatever_the_order(void **unused)
{
    (void)unused;
    struct case_state fresh;
    struct case_event any = sample_event(CASE_QUEUED, 5, 0);
    case_init(&fresh, &any.organization_id);
    fresh.over = true;
    struct buf blob = stored(&fresh);
    assert_in_range(blob.len, 1, 20);
    buf_done(&blob);

    for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
        struct case_state state = after_snapshot(5);
        struct case_event end = sample_event(ends[i], 2, 1); /* late: below the snapshot, but the case is over */
        assert_int_equal(case_apply(&state, &end), FOLD_APPLIED);
        assert_true(state.over);
        assert_false(case_is_listed(&state) || case_is_incomplete(&state) || case_is_degraded(&state));
        assert_same_state(&state, &fresh);
        assert_int_equal(case_apply(&state, &end), FOLD_OVER);
        for (int type = CASE_UNKNOWN_TYPE; type < CASE_EVENT_TYPE_COUNT; type++) {
            struct case_event later = sample_event((enum case_event_type)type, 10 + type, 0);
            assert_int_equal(case_apply(&state, &later), FOLD_OVER);
        }
        assert_same_state(&state, &fresh);

        case_init(&state, &any.organization_id);
        assert_int_equal(case_apply(&state, &end), FOLD_APPLIED);
        assert_same_state(&state, &fresh);
    }
}

static void test_case_apply_end_with_a_seen_number_is_a_duplicate(void **unused)
{
    (void)unused;
    struct case_state state = after_snapshot(1);
    struct case_event end = sample_event(CASE_CLOSED, 1, 1);
    assert_int_equal(case_apply(&state, &end), FOLD_DUPLICATE);
    assert_false(state.over);
}

static void test_case_apply_unknown_type_counts_as_seen_without_effect(void **unused)
{
    (void)unused;
    struct case_state state = after_snapshot(1);
    struct case_event unknown = sample_event(CASE_UNKNOWN_TYPE, 2, 1);
    struct case_fields before = sample_fields(0);
    assert_int_equal(case_apply(&state, &unknown), FOLD_UNKNOWN_TYPE);
    assert_int_equal(state.sequence.highest, 2);
    assert_false(case_is_degraded(&state));
    for (unsigned group = 0; group < GROUP_COUNT; group++) {
        assert_true(same_group((enum case_group)group, &state.fields, &before));
        assert_int_equal(state.group_sequence[group], 1);
    }
    assert_int_equal(case_apply(&state, &unknown), FOLD_DUPLICATE);
}

static void test_case_apply_other_organization_is_a_mismatch_before_everything(void **unused)
{
    (void)unused;
    struct case_state open = after_snapshot(1);
    struct case_state over = after_snapshot(1);
    struct case_event end = sample_event(CASE_CLOSED, 2, 1);
    assert_int_equal(case_apply(&over, &end), FOLD_APPLIED);
    for (int type = CASE_UNKNOWN_TYPE; type < CASE_EVENT_TYPE_COUNT; type++) {
        for (int64_t sequence = 1; sequence <= 2; sequence++) {
            struct case_event foreign = sample_event((enum case_event_type)type, sequence, 1);
            foreign.organization_id = sample_uuid(99);
            struct case_state before = open;
            assert_int_equal(case_apply(&open, &foreign), FOLD_KEY_MISMATCH);
            assert_same_state(&open, &before);
            assert_int_equal(case_apply(&over, &foreign), FOLD_KEY_MISMATCH);
        }
    }
    struct case_event own = sample_event(CASE_TICKET_PRINTED, 2, 1);
    assert_int_equal(case_apply(&open, &own), FOLD_APPLIED);
}

static void test_case_apply_update_to_null_sets_null(void **unused)
{
    (void)unused;
    struct case_state state = after_snapshot(1);
    struct case_event event = sample_event(CASE_UPDATED, 2, 1);
    event.given = GROUP_BIT(GROUP_CUSTOMER) | GROUP_BIT(GROUP_PHONE);
    event.fields.customer = (struct customer_ref){.present = false};
    event.fields.contact_phone_number = STR_NULL;
    assert_int_equal(case_apply(&state, &event), FOLD_APPLIED);
    assert_false(state.fields.customer.present);
    assert_null(state.fields.contact_phone_number.ptr);
}

static void test_case_apply_unlock_is_a_set_at_its_own_number(void **unused)
{
    (void)unused;
    struct case_state state = after_snapshot(1);
    struct case_event returned = sample_event(CASE_RETURNED_TO_QUEUE, 4, 1);
    struct case_event started = sample_event(CASE_SERVICE_STARTED, 3, 0);
    struct case_event again = sample_event(CASE_SERVICE_STARTED, 5, 0);
    assert_int_equal(case_apply(&state, &returned), FOLD_APPLIED);
    assert_int_equal(case_apply(&state, &started), FOLD_APPLIED); /* late: a later event unlocked the case */
    assert_false(state.fields.locked_by.present || state.fields.workstation.present);
    assert_int_equal(case_apply(&state, &again), FOLD_APPLIED);
    assert_true(state.fields.locked_by.present);
    assert_true(case_is_listed(&state));
}

static void test_case_is_listed_needs_snapshot_active_and_a_user(void **unused)
{
    (void)unused;
    struct case_state state = after_snapshot(1);
    assert_true(case_is_listed(&state));
    static const char *const others[] = {"active", "ACTIVE", "Active ", "Activ", "", "Waiting", "Resolved"};
    for (unsigned i = 0; i < ARRAY_LEN(others); i++) {
        struct case_state other = state;
        other.fields.status = str_of(others[i]);
        assert_false(case_is_listed(&other));
    }
    struct case_state unlocked = state;
    unlocked.fields.locked_by.present = false;
    assert_false(case_is_listed(&unlocked));

    struct case_event started = sample_event(CASE_SERVICE_STARTED, 2, 0);
    struct case_state incomplete;
    case_init(&incomplete, &started.organization_id);
    assert_true(case_is_incomplete(&incomplete));
    assert_int_equal(case_apply(&incomplete, &started), FOLD_APPLIED);
    assert_false(case_is_listed(&incomplete));
    assert_true(case_is_incomplete(&incomplete));
    assert_false(case_is_degraded(&incomplete)); /* not before the snapshot, although 1 is missing */
}

static void test_case_is_degraded_until_the_late_event_arrives(void **unused)
{
    (void)unused;
    struct case_state state = after_snapshot(3); /* 1 and 2 are below the snapshot */
    struct case_event fifth = sample_event(CASE_POSITION_CHANGED, 5, 1);
    struct case_event fourth = sample_event(CASE_UNKNOWN_TYPE, 4, 1);
    assert_false(case_is_degraded(&state));
    assert_int_equal(case_apply(&state, &fifth), FOLD_APPLIED);
    assert_true(case_is_degraded(&state));
    assert_int_equal(case_apply(&state, &fourth), FOLD_UNKNOWN_TYPE);
    assert_false(case_is_degraded(&state));
}

static void test_case_names_wanted_every_entity_in_its_slot(void **unused)
{
    (void)unused;
    struct case_state state = after_snapshot(1);
    struct case_fields fields = sample_fields(0);
    struct entity_ref refs[NAME_SLOT_COUNT];
    case_names_wanted(&state, refs);
    const struct entity_ref expected[NAME_SLOT_COUNT] = {
        [NAME_SERVICE_CATEGORY] = {true, ENTITY_SERVICE_CATEGORY, fields.service_category.id},
        [NAME_SERVICE_TYPE] = {true, ENTITY_SERVICE_TYPE, fields.service_type.id},
        [NAME_UNIT] = {true, ENTITY_UNIT, fields.unit.id},
        [NAME_INBOX] = {true, ENTITY_INBOX, fields.inbox.id},
        [NAME_WORKSTATION] = {true, ENTITY_WORKSTATION, fields.workstation.id},
        [NAME_ASSIGNED_TO] = {true, ENTITY_USER, fields.assigned_to.id},
        [NAME_LOCKED_BY] = {true, ENTITY_USER, fields.locked_by.id},
        [NAME_CUSTOMER] = {true, ENTITY_CUSTOMER, fields.customer.record_id},
    };
    for (unsigned slot = 0; slot < NAME_SLOT_COUNT; slot++) {
        assert_true(refs[slot].present);
        assert_int_equal(refs[slot].kind, expected[slot].kind);
        assert_true(uuid_eq(&refs[slot].id, &expected[slot].id));
    }

    struct case_event resolved = sample_event(CASE_RESOLVED, 1, 0);
    case_init(&state, &resolved.organization_id);
    assert_int_equal(case_apply(&state, &resolved), FOLD_APPLIED);
    case_names_wanted(&state, refs);
    for (unsigned slot = 0; slot < NAME_SLOT_COUNT; slot++)
        assert_false(refs[slot].present);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_case_apply_each_type_sets_its_groups_only),
        cmocka_unit_test(test_case_apply_each_type_late_changes_nothing_of_a_newer_snapshot),
        cmocka_unit_test(test_case_apply_each_type_before_the_snapshot_same_as_after),
        cmocka_unit_test(test_case_apply_end_keeps_the_fact_only_whatever_the_order),
        cmocka_unit_test(test_case_apply_end_with_a_seen_number_is_a_duplicate),
        cmocka_unit_test(test_case_apply_unknown_type_counts_as_seen_without_effect),
        cmocka_unit_test(test_case_apply_other_organization_is_a_mismatch_before_everything),
        cmocka_unit_test(test_case_apply_update_to_null_sets_null),
        cmocka_unit_test(test_case_apply_unlock_is_a_set_at_its_own_number),
        cmocka_unit_test(test_case_is_listed_needs_snapshot_active_and_a_user),
        cmocka_unit_test(test_case_is_degraded_until_the_late_event_arrives),
        cmocka_unit_test(test_case_names_wanted_every_entity_in_its_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
