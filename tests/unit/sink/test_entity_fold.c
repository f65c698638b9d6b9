/* One directory event into its entity: versions, visible changes, and applications that change hands. */
#include "workers/sink/folds.h"

#include "tests/unit/sink/sink_fixture.h"

static struct sink sink;

static int set_up(void **unused CV_UNUSED)
{
    sink_open(&sink);
    return 0;
}

static int tear_down(void **unused CV_UNUSED)
{
    sink_close(&sink);
    return 0;
}

static struct fold_result fold(enum directory_event_type type, enum entity_kind kind, unsigned organization,
                               int64_t version)
{
    struct directory_event event = sink_directory_event(type, kind, organization, 2, version);
    return sink_fold_entity(&sink, &event);
}

static void applied(enum directory_event_type type, enum entity_kind kind, unsigned organization, int64_t version)
{
    struct fold_result result = fold(type, kind, organization, version);
    assert_int_equal(result.reason, PARK_NONE);
    assert_int_equal(result.outcome, FOLD_APPLIED);
}

static void expect_owner(unsigned organization, enum entity_status status)
{
    const struct entity *application = sink_entity(&sink, ENTITY_APPLICATION, 1, 2);
    struct uuid expected = sample_uuid(organization);
    assert_true(uuid_eq(&application->state.organization_id, &expected));
    assert_int_equal(application->state.status, status);
}

static void test_fold_greatest_version_wins(void **unused CV_UNUSED)
{
    applied(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 5);
    assert_int_equal(fold(DIRECTORY_REMOVED, ENTITY_UNIT, 1, 5).outcome, FOLD_DUPLICATE);
    assert_int_equal(fold(DIRECTORY_REMOVED, ENTITY_UNIT, 1, 4).outcome, FOLD_DUPLICATE);
    applied(DIRECTORY_REMOVED, ENTITY_UNIT, 1, 6);
    applied(DIRECTORY_FORGOTTEN, ENTITY_UNIT, 1, 0);
    applied(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 1); /* any later upsert applies */
    assert_int_equal(sink_entity(&sink, ENTITY_UNIT, 1, 2)->state.version, 1);
    assert_int_equal(sink.open->changed_entities, 1);
}

static void test_fold_stale_or_unknown_is_not_part_of_the_batch(void **unused CV_UNUSED)
{
    applied(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 5);
    (void)sink_submit(&sink);
    assert_int_equal(fold(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 5).outcome, FOLD_DUPLICATE);
    assert_int_equal(fold(DIRECTORY_UNKNOWN_TYPE, ENTITY_UNIT, 1, 6).outcome, FOLD_UNKNOWN_TYPE);
    assert_int_equal(sink.open->changed_entities, 0);
}

static void test_fold_equal_texts_not_visible(void **unused CV_UNUSED)
{
    applied(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 5);
    assert_true(sink_entity(&sink, ENTITY_UNIT, 1, 2)->visible);
    (void)sink_submit(&sink);
    assert_false(sink_entity(&sink, ENTITY_UNIT, 1, 2)->visible);
    applied(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 6);
    assert_false(sink_entity(&sink, ENTITY_UNIT, 1, 2)->visible);
    applied(DIRECTORY_REMOVED, ENTITY_UNIT, 1, 7);
    applied(DIRECTORY_REMOVED, ENTITY_UNIT, 1, 8); /* seen once, visible until the batch is closed */
    assert_true(sink_entity(&sink, ENTITY_UNIT, 1, 2)->visible);
}

static void test_fold_application_of_another_owner_key_mismatch(void **unused CV_UNUSED)
{
    applied(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, 5);
    for (int type = DIRECTORY_UPSERTED; type <= DIRECTORY_FORGOTTEN; type++) {
        struct fold_result result = fold((enum directory_event_type)type, ENTITY_APPLICATION, 10, 99);
        assert_int_equal(result.reason, PARK_KEY_MISMATCH);
        assert_non_null(result.text);
        expect_owner(1, ENTITY_KNOWN);
    }
    applied(DIRECTORY_REMOVED, ENTITY_APPLICATION, 1, 6); /* removed is not forgotten: still the owner's */
    assert_int_equal(fold(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 10, 99).reason, PARK_KEY_MISMATCH);
    expect_owner(1, ENTITY_REMOVED);
    assert_int_equal(sink.open->left_count, 0);
}

static void test_fold_unknown_application_belongs_to_the_first(void **unused CV_UNUSED)
{
    applied(DIRECTORY_REMOVED, ENTITY_APPLICATION, 10, 1);
    expect_owner(10, ENTITY_REMOVED);
    assert_int_equal(sink.open->left_count, 0);
    assert_int_equal(fold(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, 9).reason, PARK_KEY_MISMATCH);
}

static void test_fold_forgotten_application_taken_over(void **unused CV_UNUSED)
{
    applied(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, 5);
    applied(DIRECTORY_FORGOTTEN, ENTITY_APPLICATION, 1, 0);
    applied(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 10, 1);
    expect_owner(10, ENTITY_KNOWN);
    struct uuid former = sample_uuid(1), application = sample_uuid(2);
    assert_int_equal(sink.open->left_count, 1);
    assert_true(uuid_eq(&sink.open->left_owners[0].organization_id, &former));
    assert_true(uuid_eq(&sink.open->left_owners[0].application_id, &application));
    assert_int_equal(fold(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, 9).reason, PARK_KEY_MISMATCH);
}

static void test_fold_forgotten_application_taken_back_by_its_owner(void **unused CV_UNUSED)
{
    applied(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, 5);
    applied(DIRECTORY_FORGOTTEN, ENTITY_APPLICATION, 1, 0);
    applied(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, 1);
    expect_owner(1, ENTITY_KNOWN);
    assert_int_equal(sink.open->left_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fold_greatest_version_wins),
        TEST(test_fold_stale_or_unknown_is_not_part_of_the_batch),
        TEST(test_fold_equal_texts_not_visible),
        TEST(test_fold_application_of_another_owner_key_mismatch),
        TEST(test_fold_unknown_application_belongs_to_the_first),
        TEST(test_fold_forgotten_application_taken_over),
        TEST(test_fold_forgotten_application_taken_back_by_its_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
