/* The fold of a directory entity: the greatest version wins, null forgets, an application has an owner. */
#include "workers/fold/directory.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "tests/support/random.h"
#include "tests/support/sample_case.h"

static struct directory_event event_of(enum directory_event_type type, enum entity_kind kind, int64_t version,
                                       const char *name)
{
    return (struct directory_event){.type = type,
                                    .kind = kind,
                                    .organization_id = sample_uuid(1),
                                    .entity_id = sample_uuid(4),
                                    .version = version,
                                    .fields = {.name = str_of(name)}};
}

static struct directory_state fresh(void)
{
    struct uuid organization_id = sample_uuid(1);
    struct directory_state state;
    directory_init(&state, &organization_id);
    return state;
}

static void apply(struct directory_state *state, const struct directory_event *event, enum fold_outcome outcome,
                  bool visible)
{
    bool out_visible = !visible;
    assert_int_equal(directory_apply(state, event, &out_visible), outcome);
    assert_int_equal(out_visible, visible);
}

static void test_directory_apply_greatest_version_wins(void **unused)
{
    (void)unused;
    struct directory_state state = fresh();
    struct directory_event second = event_of(DIRECTORY_UPSERTED, ENTITY_UNIT, 2, "Haifa");
    struct directory_event stale = event_of(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, "Jaffa");
    struct directory_event equal = event_of(DIRECTORY_UPSERTED, ENTITY_UNIT, 2, "Jaffa");
    struct directory_event third = event_of(DIRECTORY_UPSERTED, ENTITY_UNIT, 3, "Acre");
    struct directory_event stale_removal = event_of(DIRECTORY_REMOVED, ENTITY_UNIT, 2, NULL);
    assert_int_equal(state.status, ENTITY_FORGOTTEN);
    apply(&state, &second, FOLD_APPLIED, true);
    apply(&state, &stale, FOLD_DUPLICATE, false);
    apply(&state, &equal, FOLD_DUPLICATE, false);
    assert_true(str_eq(state.fields.name, STR("Haifa")));
    apply(&state, &third, FOLD_APPLIED, true);
    apply(&state, &stale_removal, FOLD_DUPLICATE, false);
    assert_int_equal(state.status, ENTITY_KNOWN);
    assert_int_equal(state.version, 3);
    assert_true(str_eq(state.fields.name, STR("Acre")));
}

static void test_directory_apply_removal_blanks_until_a_higher_version(void **unused)
{
    (void)unused;
    struct directory_state state = fresh();
    struct directory_event upsert = event_of(DIRECTORY_UPSERTED, ENTITY_UNIT, 5, "Haifa");
    struct directory_event removal = event_of(DIRECTORY_REMOVED, ENTITY_UNIT, 6, "never read");
    struct directory_event again = event_of(DIRECTORY_REMOVED, ENTITY_UNIT, 7, NULL);
    struct directory_event back = event_of(DIRECTORY_UPSERTED, ENTITY_UNIT, 8, "Haifa");
    apply(&state, &removal, FOLD_APPLIED, true); /* arrives first: removed although it was unknown */
    assert_int_equal(state.status, ENTITY_REMOVED);
    assert_null(state.fields.name.ptr);
    apply(&state, &upsert, FOLD_DUPLICATE, false);
    apply(&state, &again, FOLD_APPLIED, false);
    apply(&state, &back, FOLD_APPLIED, true);
    assert_int_equal(state.status, ENTITY_KNOWN);
}

static void test_directory_apply_forgotten_is_as_never_heard_of(void **unused)
{
    (void)unused;
    struct directory_state state = fresh();
    struct directory_event forgotten = event_of(DIRECTORY_FORGOTTEN, ENTITY_UNIT, 0, NULL);
    struct directory_event high = event_of(DIRECTORY_UPSERTED, ENTITY_UNIT, 50, "Haifa");
    struct directory_event low = event_of(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, "Jaffa");
    struct directory_event removal = event_of(DIRECTORY_REMOVED, ENTITY_UNIT, 2, NULL);
    apply(&state, &forgotten, FOLD_APPLIED, false);
    apply(&state, &high, FOLD_APPLIED, true);
    apply(&state, &forgotten, FOLD_APPLIED, true);
    assert_int_equal(state.status, ENTITY_FORGOTTEN);
    assert_int_equal(state.version, 0);
    assert_null(state.fields.name.ptr);
    apply(&state, &low, FOLD_APPLIED, true);
    apply(&state, &removal, FOLD_APPLIED, true);
    apply(&state, &forgotten, FOLD_APPLIED, true); /* no longer removed: the gates pass again */
}

static void test_directory_apply_unknown_type_leaves_the_version(void **unused)
{
    (void)unused;
    struct directory_state state = fresh();
    struct directory_event unknown = event_of(DIRECTORY_UNKNOWN_TYPE, ENTITY_UNIT, 9, "never read");
    struct directory_event upsert = event_of(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, "Haifa");
    apply(&state, &unknown, FOLD_UNKNOWN_TYPE, false);
    apply(&state, &upsert, FOLD_APPLIED, true);
    apply(&state, &unknown, FOLD_UNKNOWN_TYPE, false);
    assert_int_equal(state.version, 1);
    assert_true(str_eq(state.fields.name, STR("Haifa")));
}

static struct entity_fields application_fields(const struct str *roles, size_t role_count)
{
    return (struct entity_fields){.name = STR("App"),
                                  .detail = STR("client"),
                                  .picture = STR("p"),
                                  .has_parent = true,
                                  .parent_id = sample_uuid(5),
                                  .roles = roles,
                                  .role_count = role_count,
                                  .enabled = true};
}

static void test_directory_apply_visible_for_each_difference_only(void **unused)
{
    (void)unused;
    static const struct str roles[] = {{"a", 1}, {"b", 1}};
    static const struct str equal_roles[] = {{"a", 1}, {"b", 1}};
    static const struct str other_roles[] = {{"a", 1}, {"c", 1}};
    for (unsigned change = 0; change <= 9; change++) {
        struct directory_state state = fresh();
        struct directory_event event = event_of(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, NULL);
        event.fields = application_fields(roles, 2);
        apply(&state, &event, FOLD_APPLIED, true);
        event.version = 2;
        event.fields = application_fields(equal_roles, 2);
        struct entity_fields *fields = &event.fields;
        if (change == 1)
            fields->name = STR("app");
        if (change == 2)
            fields->name = STR_NULL;
        if (change == 3)
            fields->detail = STR("");
        if (change == 4)
            fields->picture = STR_NULL;
        if (change == 5)
            fields->has_parent = false;
        if (change == 6)
            fields->parent_id = sample_uuid(6);
        if (change == 7)
            fields->role_count = 1;
        if (change == 8)
            fields->roles = other_roles;
        if (change == 9)
            fields->enabled = false;
        apply(&state, &event, FOLD_APPLIED, change > 0);
        assert_int_equal(state.version, 2);
    }
}

static void test_directory_apply_application_keeps_its_owner_until_forgotten(void **unused)
{
    (void)unused;
    static const enum directory_event_type types[] = {DIRECTORY_UNKNOWN_TYPE, DIRECTORY_UPSERTED, DIRECTORY_REMOVED,
                                                      DIRECTORY_FORGOTTEN};
    struct directory_state state = fresh();
    struct directory_event own = event_of(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, "App");
    struct directory_event removal = event_of(DIRECTORY_REMOVED, ENTITY_APPLICATION, 2, NULL);
    struct directory_event forgotten = event_of(DIRECTORY_FORGOTTEN, ENTITY_APPLICATION, 0, NULL);
    apply(&state, &own, FOLD_APPLIED, true);
    for (unsigned removed = 0; removed < 2; removed++) {
        for (unsigned i = 0; i < ARRAY_LEN(types); i++) {
            struct directory_event foreign = event_of(types[i], ENTITY_APPLICATION, 99, "Theirs");
            foreign.organization_id = sample_uuid(77);
            apply(&state, &foreign, FOLD_KEY_MISMATCH, false);
            assert_int_equal(state.status, removed ? ENTITY_REMOVED : ENTITY_KNOWN);
            assert_int_equal(state.version, 1 + removed);
        }
        if (!removed)
            apply(&state, &removal, FOLD_APPLIED, true);
    }
    apply(&state, &forgotten, FOLD_APPLIED, true);
    struct directory_event theirs = event_of(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, "Theirs");
    theirs.organization_id = sample_uuid(77);
    apply(&state, &theirs, FOLD_APPLIED, true);
    assert_true(uuid_eq(&state.organization_id, &theirs.organization_id));
    own.version = 5;
    apply(&state, &own, FOLD_KEY_MISMATCH, false);
}

/* Upserts and removals in any order, with duplicates: the greatest version wins. */
static void test_directory_apply_random_histories_greatest_version_decides(void **unused)
{
    (void)unused;
    static const char *const names[] = {"a", "b", "", NULL};
    struct random random = random_start("directory histories");
    for (unsigned i = 0; i < 20000; i++) {
        struct directory_event events[12];
        unsigned count = 1 + random_below(&random, ARRAY_LEN(events));
        const struct directory_event *greatest = NULL;
        for (unsigned k = 0; k < count; k++) {
            if (k > 0 && random_chance(&random, 25)) {
                events[k] = events[random_below(&random, k)];
            } else {
                bool removal = random_chance(&random, 30);
                /* distinct versions, not in order */
                int64_t version = 1 + (int64_t)random_below(&random, 1000) * 12 + k;
                events[k] = event_of(removal ? DIRECTORY_REMOVED : DIRECTORY_UPSERTED, ENTITY_USER, version,
                                     removal ? NULL : names[random_below(&random, 4)]);
            }
            if (!greatest || events[k].version > greatest->version)
                greatest = &events[k];
        }
        struct directory_state state = fresh();
        for (unsigned k = 0; k < count; k++) {
            struct directory_state before = state;
            bool visible;
            (void)directory_apply(&state, &events[k], &visible);
            assert_int_equal(visible, state.status != before.status || !str_eq(state.fields.name, before.fields.name));
        }
        assert_int_equal(state.version, greatest->version);
        assert_int_equal(state.status, greatest->type == DIRECTORY_UPSERTED ? ENTITY_KNOWN : ENTITY_REMOVED);
        assert_true(str_eq(state.fields.name, greatest->fields.name));
    }
}

static void assert_same(const struct directory_state *a, const struct directory_state *b)
{
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->version, b->version);
    assert_true(str_eq(a->fields.name, b->fields.name));
    assert_true(a->status == ENTITY_FORGOTTEN || uuid_eq(&a->organization_id, &b->organization_id));
}

static void merge(struct directory_state *into, const struct directory_state *from)
{
    struct directory_state before = *into;
    bool visible;
    bool changed = directory_merge(into, from, &visible);
    bool other_owner = !uuid_eq(&before.organization_id, &into->organization_id);
    bool shown = before.status != into->status || other_owner || !str_eq(before.fields.name, into->fields.name);
    assert_int_equal(visible, shown);
    assert_int_equal(changed, shown || before.version != into->version);
    assert_false(directory_merge(into, from, &visible));
    assert_false(visible);
}

static struct directory_state state_of(enum entity_status status, unsigned organization, int64_t version,
                                       const char *name)
{
    return (struct directory_state){status, sample_uuid(organization), version, {.name = str_of(name)}};
}

static void test_directory_merge_table(void **unused)
{
    (void)unused;
    static const struct {
        enum entity_status into_status;
        unsigned into_organization;
        int64_t into_version;
        const char *into_name;
        enum entity_status from_status;
        int64_t from_version;
        const char *from_name;
        bool taken, visible;
    } rows[] = {
        {ENTITY_FORGOTTEN, 1, 0, NULL, ENTITY_FORGOTTEN, 0, NULL, false, false},
        {ENTITY_FORGOTTEN, 1, 0, NULL, ENTITY_KNOWN, 1, "a", true, true},
        {ENTITY_FORGOTTEN, 1, 0, NULL, ENTITY_REMOVED, 1, NULL, true, true},
        {ENTITY_FORGOTTEN, 77, 0, NULL, ENTITY_KNOWN, 1, "a", true, true},
        {ENTITY_KNOWN, 1, 2, "a", ENTITY_FORGOTTEN, 0, NULL, false, false},
        {ENTITY_REMOVED, 1, 2, NULL, ENTITY_FORGOTTEN, 0, NULL, false, false},
        {ENTITY_KNOWN, 1, 2, "a", ENTITY_KNOWN, 1, "b", false, false},
        {ENTITY_KNOWN, 1, 2, "a", ENTITY_KNOWN, 2, "a", false, false},
        {ENTITY_KNOWN, 1, 2, "a", ENTITY_KNOWN, 2, "b", true, true},
        {ENTITY_KNOWN, 1, 2, "a", ENTITY_REMOVED, 2, NULL, true, true},
        {ENTITY_REMOVED, 1, 2, NULL, ENTITY_KNOWN, 2, "a", true, true},
        {ENTITY_KNOWN, 1, 2, "a", ENTITY_KNOWN, 3, "a", true, false},
        {ENTITY_KNOWN, 1, 2, "a", ENTITY_KNOWN, 3, "b", true, true},
        {ENTITY_KNOWN, 1, 2, "a", ENTITY_REMOVED, 3, NULL, true, true},
        {ENTITY_REMOVED, 1, 2, NULL, ENTITY_REMOVED, 3, NULL, true, false},
        {ENTITY_REMOVED, 1, 3, NULL, ENTITY_KNOWN, 2, "a", false, false},
        /* another owner: with any version, also if it is removed */
        {ENTITY_KNOWN, 77, 9, "a", ENTITY_KNOWN, 1, "a", true, true},
        {ENTITY_KNOWN, 77, 9, "a", ENTITY_REMOVED, 1, NULL, true, true},
        {ENTITY_REMOVED, 77, 9, NULL, ENTITY_KNOWN, 1, "b", true, true},
        {ENTITY_KNOWN, 77, 9, "a", ENTITY_FORGOTTEN, 0, NULL, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct directory_state into = state_of(rows[i].into_status, rows[i].into_organization, rows[i].into_version,
                                               rows[i].into_name);
        struct directory_state from = state_of(rows[i].from_status, 1, rows[i].from_version, rows[i].from_name);
        struct directory_state expected = rows[i].taken ? from : into;
        bool visible = !rows[i].visible;
        assert_int_equal(directory_merge(&into, &from, &visible), rows[i].taken);
        assert_int_equal(visible, rows[i].visible);
        assert_same(&into, &expected);
        assert_true(uuid_eq(&into.organization_id, &expected.organization_id));
    }
}

/* Upserts and removals with one version each, in two or three states: no order of merging matters. */
static void test_directory_merge_random_histories_same_as_fold_of_all(void **unused)
{
    (void)unused;
    static const char *const names[] = {"a", "b", "", NULL};
    struct random random = random_start("merged entities");
    for (unsigned i = 0; i < 20000; i++) {
        struct directory_state states[3] = {fresh(), fresh(), fresh()};
        struct directory_state all = fresh();
        bool visible;
        for (unsigned k = random_below(&random, 8); k > 0; k--) {
            bool removal = random_chance(&random, 30);
            unsigned version = 1 + random_below(&random, 100) * 8 + k;
            struct directory_event event = event_of(removal ? DIRECTORY_REMOVED : DIRECTORY_UPSERTED, ENTITY_USER,
                                                    version, removal ? NULL : names[version / 8 % 4]);
            unsigned in = 1 + random_below(&random, 7);
            for (unsigned state = 0; state < 3; state++) {
                if (in & (1u << state))
                    (void)directory_apply(&states[state], &event, &visible);
            }
            (void)directory_apply(&all, &event, &visible);
        }
        static const unsigned orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
        for (unsigned order = 0; order < ARRAY_LEN(orders); order++) {
            struct directory_state merged = states[orders[order][0]];
            merge(&merged, &states[orders[order][1]]);
            merge(&merged, &states[orders[order][2]]);
            assert_same(&merged, &all);
        }
    }
}

#define LOG_RECORDS 10

struct log {
    struct directory_event events[LOG_RECORDS];
    bool compacted[LOG_RECORDS];
    unsigned count;
};

/* Null values of one owner, or two owners; few versions, so that many are equal or stale. */
static void make_log(struct random *random, struct log *log)
{
    static const char *const names[] = {"a", "b", "", NULL};
    bool two_owners = random_chance(random, 50);
    log->count = 1 + random_below(random, LOG_RECORDS);
    for (unsigned i = 0; i < log->count; i++) {
        enum directory_event_type type = random_chance(random, 70) ? DIRECTORY_UPSERTED : DIRECTORY_REMOVED;
        if (!two_owners && random_chance(random, 20))
            type = DIRECTORY_FORGOTTEN;
        log->events[i] = event_of(type, ENTITY_APPLICATION, 1 + random_below(random, 5),
                                  type == DIRECTORY_UPSERTED ? names[random_below(random, 4)] : NULL);
        if (two_owners && random_chance(random, 50))
            log->events[i].organization_id = sample_uuid(77);
    }
}

/*
 * What compaction of the records before `end` can have dropped: of each key all records before some offset, but the
 * last one only if it is null. The two owners have different keys.
 */
static void compact(struct random *random, struct log *log, unsigned end)
{
    unsigned cleaned[2] = {random_below(random, end + 1), random_below(random, end + 1)};
    struct uuid first = sample_uuid(1);
    for (unsigned i = 0; i < log->count; i++) {
        const struct directory_event *event = &log->events[i];
        bool last = true;
        for (unsigned k = i + 1; k < end; k++)
            last = last && !uuid_eq(&log->events[k].organization_id, &event->organization_id);
        unsigned up_to = cleaned[uuid_eq(&first, &event->organization_id)];
        log->compacted[i] = i < up_to && (!last || event->type == DIRECTORY_FORGOTTEN);
    }
}

static void fold_log(struct directory_state *state, const struct log *log, unsigned begin, unsigned end, bool compacted)
{
    for (unsigned i = begin; i < end; i++) {
        bool visible;
        if (!compacted || !log->compacted[i])
            (void)directory_apply(state, &log->events[i], &visible);
    }
}

/* The live generation has folded the whole log, the new one what compaction left of it, and not further. */
static void test_directory_merge_longer_history_same_as_fold_of_the_log(void **unused)
{
    (void)unused;
    struct random random = random_start("compacted logs");
    for (unsigned i = 0; i < 50000; i++) {
        struct log log;
        make_log(&random, &log);
        unsigned live = random_below(&random, log.count + 1);
        unsigned read = random_below(&random, live + 1);
        compact(&random, &log, live);
        struct directory_state from = fresh(), into = fresh(), all = fresh();
        fold_log(&from, &log, 0, live, false);
        fold_log(&into, &log, 0, read, true);
        fold_log(&all, &log, 0, log.count, false);
        merge(&into, &from);
        fold_log(&into, &log, read, log.count, true);
        assert_same(&into, &all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_directory_apply_greatest_version_wins),
        cmocka_unit_test(test_directory_apply_removal_blanks_until_a_higher_version),
        cmocka_unit_test(test_directory_apply_forgotten_is_as_never_heard_of),
        cmocka_unit_test(test_directory_apply_unknown_type_leaves_the_version),
        cmocka_unit_test(test_directory_apply_visible_for_each_difference_only),
        cmocka_unit_test(test_directory_apply_application_keeps_its_owner_until_forgotten),
        cmocka_unit_test(test_directory_apply_random_histories_greatest_version_decides),
        cmocka_unit_test(test_directory_merge_table),
        cmocka_unit_test(test_directory_merge_random_histories_same_as_fold_of_all),
        cmocka_unit_test(test_directory_merge_longer_history_same_as_fold_of_the_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
