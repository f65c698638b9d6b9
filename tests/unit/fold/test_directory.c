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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
