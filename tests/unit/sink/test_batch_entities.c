/* A batch: rows of directory entities, and applications that change hands. */
#include "workers/sink/batch.h"

#include <time.h>

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

static void change(enum directory_event_type type, enum entity_kind kind, unsigned organization, unsigned number,
                   int64_t version)
{
    struct directory_event event = sink_directory_event(type, kind, organization, number, version);
    struct fold_result result = sink_fold_entity(&sink, &event);
    assert_int_equal(result.reason, PARK_NONE);
    assert_int_equal(result.outcome, FOLD_APPLIED);
}

static int compare_rows(const struct entity_row *a, const struct entity_row *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    return uuid_cmp(&a->entity_id, &b->entity_id);
}

static void test_close_entities_in_key_order_numbered_from_the_end(void **unused CV_UNUSED)
{
    for (unsigned i = 0; i < 20; i++) {
        change(DIRECTORY_UPSERTED, ENTITY_USER, 1, 7919 * i % 1000, 1);
        change(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 7919 * i % 1000, 1);
    }
    const struct batch *batch = sink_submit(&sink);
    assert_int_equal(batch->entity_count, 40);
    assert_int_equal(batch->version_count, 0);
    for (size_t i = 0; i < 40; i++) {
        const struct entity_row *row = &batch->entity_rows[i];
        assert_int_equal(row->nth, 39 - i);
        assert_int_equal(row->status, ENTITY_KNOWN);
        if (i > 0)
            assert_true(compare_rows(row - 1, row) < 0);
    }
    assert_int_equal(batch->entity_rows[0].kind, ENTITY_UNIT);
}

static void test_close_entity_equal_again_changes_the_version_only(void **unused CV_UNUSED)
{
    change(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 2, 1);
    (void)sink_submit(&sink);
    change(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 2, 5); /* the same texts */
    change(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 3, 1);
    assert_int_equal(cache_count(sink.caches.entities), 2);
    sink_commit(&sink);
    const struct batch *batch = sink_submit(&sink);
    assert_int_equal(batch->entity_count, 1);
    assert_int_equal(batch->version_count, 1);
    assert_int_equal(batch->version_rows[0].version, 5);
    assert_int_equal(batch->entity_rows[0].nth, 0);
    sink_commit(&sink);
    assert_int_equal(cache_count(sink.caches.entities), 0); /* not kept once it is written */
}

static void test_close_entity_changed_while_written_stays_until_both_are_committed(void **unused CV_UNUSED)
{
    change(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 2, 1);
    const struct batch *first = sink_submit(&sink);
    struct str name = first->entity_rows[0].name;
    change(DIRECTORY_REMOVED, ENTITY_UNIT, 1, 2, 2);
    assert_str_equal(name, STR("name"));                                                 /* the row's own copy */
    assert_true(sink.open->bytes >= sink_entity(&sink, ENTITY_UNIT, 1, 2)->entry.bytes); /* counted again */
    assert_int_equal(first->entity_rows[0].status, ENTITY_KNOWN);
    sink_commit(&sink);
    assert_int_equal(cache_count(sink.caches.entities), 1);
    assert_int_equal(sink_submit(&sink)->entity_rows[0].status, ENTITY_REMOVED);
    sink_commit(&sink);
    assert_int_equal(cache_count(sink.caches.entities), 0);
}

static void test_reset_open_batch_forgets_entities(void **unused CV_UNUSED)
{
    change(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 2, 1);
    batch_reset(sink.open, &sink.caches);
    assert_int_equal(cache_count(sink.caches.entities), 0);
    assert_int_equal(sink.open->changed_entities, 0);
}

static const struct entity_row *application_row(const struct batch *batch, unsigned organization)
{
    const struct entity_row *found = NULL;
    struct uuid organization_id = sample_uuid(organization);
    for (size_t i = 0; i < batch->entity_count; i++) {
        if (!uuid_eq(&batch->entity_rows[i].organization_id, &organization_id))
            continue;
        assert_null(found); /* PostgreSQL refuses two rows of one key in a statement */
        found = &batch->entity_rows[i];
    }
    return found;
}

static void test_close_application_former_owner_blanked_first(void **unused CV_UNUSED)
{
    change(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, 2, 7);
    (void)sink_submit(&sink);
    change(DIRECTORY_FORGOTTEN, ENTITY_APPLICATION, 1, 2, 0);
    change(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 10, 2, 1);
    sink_commit(&sink);
    const struct batch *batch = sink_submit(&sink);
    assert_int_equal(batch->entity_count, 2);
    const struct entity_row *former = application_row(batch, 1), *owner = application_row(batch, 10);
    assert_true(former < owner);
    assert_int_equal(former->status, ENTITY_FORGOTTEN);
    assert_int_equal(former->version, 0);
    assert_null(former->name.ptr);
    assert_null(former->roles.ptr);
    assert_int_equal(former->nth, 1);
    assert_int_equal(owner->status, ENTITY_KNOWN);
    assert_int_equal(owner->nth, 0);
    sink_commit(&sink);
    assert_int_equal(batch->left_count, 0);
}

static void test_close_application_forgotten_in_an_earlier_batch_needs_no_row(void **unused CV_UNUSED)
{
    change(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, 2, 7);
    change(DIRECTORY_FORGOTTEN, ENTITY_APPLICATION, 1, 2, 0);
    (void)sink_submit(&sink);
    change(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 10, 2, 1);
    sink_commit(&sink);
    const struct batch *batch = sink_submit(&sink);
    assert_int_equal(batch->entity_count, 1);
    assert_non_null(application_row(batch, 10));
}

/* An application that changes hands twice within a batch: every owner has one row, which says how things ended. */
static void test_close_application_comes_back_one_row_for_each_owner(void **unused CV_UNUSED)
{
    change(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, 2, 7);
    (void)sink_submit(&sink);
    for (int64_t round = 0; round < 3; round++) {
        change(DIRECTORY_FORGOTTEN, ENTITY_APPLICATION, 1, 2, 0);
        change(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 10, 2, 1);
        change(DIRECTORY_FORGOTTEN, ENTITY_APPLICATION, 10, 2, 0);
        change(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, 2, 8 + round);
    }
    change(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 10, 4, 1); /* another one, not concerned */
    sink_commit(&sink);
    const struct batch *batch = sink_submit(&sink);
    assert_int_equal(batch->entity_count, 3);
    struct uuid application = sample_uuid(2);
    assert_true(uuid_eq(&batch->entity_rows[0].entity_id, &application));
    assert_true(uuid_eq(&batch->entity_rows[1].entity_id, &application));
    assert_int_equal(batch->entity_rows[0].status, ENTITY_FORGOTTEN);
    const struct entity_row *owner = application_row(batch, 1);
    assert_ptr_equal(owner, &batch->entity_rows[1]);
    assert_int_equal(owner->status, ENTITY_KNOWN);
    assert_int_equal(owner->version, 10);
    for (int64_t i = 0; i < 3; i++)
        assert_int_equal(batch->entity_rows[i].nth, 2 - i);
}

static void test_close_application_nobodys_in_the_end_one_row_for_each_owner(void **unused CV_UNUSED)
{
    change(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, 2, 7);
    change(DIRECTORY_FORGOTTEN, ENTITY_APPLICATION, 1, 2, 0);
    change(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 10, 2, 1);
    change(DIRECTORY_FORGOTTEN, ENTITY_APPLICATION, 10, 2, 0);
    change(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, 2, 1);
    change(DIRECTORY_FORGOTTEN, ENTITY_APPLICATION, 1, 2, 0);
    const struct batch *batch = sink_submit(&sink);
    assert_int_equal(batch->entity_count, 2);
    assert_int_equal(application_row(batch, 1)->status, ENTITY_FORGOTTEN);
    assert_int_equal(application_row(batch, 10)->status, ENTITY_FORGOTTEN);
}

/*
 * A producer can have any number of applications change hands: closing takes time in proportion to what is in the
 * batch.
 */
static void test_close_many_applications_change_hands_in_time(void **unused CV_UNUSED)
{
    enum { APPLICATIONS = 50000 };
    for (unsigned i = 0; i < APPLICATIONS; i++) {
        change(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 1, i, 7);
        change(DIRECTORY_FORGOTTEN, ENTITY_APPLICATION, 1, i, 0);
        change(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 10, i, 1);
    }
    clock_t started = clock(); /* of the processor: other programs do not count */
    const struct batch *batch = sink_submit(&sink);
    clock_t took = clock() - started;
    assert_int_equal(batch->entity_count, 2 * APPLICATIONS);
    assert_true(took < 3 * CLOCKS_PER_SEC); /* it takes a tenth of a second */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_close_entities_in_key_order_numbered_from_the_end),
        TEST(test_close_entity_equal_again_changes_the_version_only),
        TEST(test_close_entity_changed_while_written_stays_until_both_are_committed),
        TEST(test_reset_open_batch_forgets_entities),
        TEST(test_close_application_former_owner_blanked_first),
        TEST(test_close_application_forgotten_in_an_earlier_batch_needs_no_row),
        TEST(test_close_application_comes_back_one_row_for_each_owner),
        TEST(test_close_application_nobodys_in_the_end_one_row_for_each_owner),
        TEST(test_close_many_applications_change_hands_in_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
