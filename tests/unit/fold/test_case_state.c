/* The stored form of a case: small, canonical, and safe to read from any bytes. */
#include "workers/fold/case.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/support/random.h"
#include "tests/support/sample_case.h"
#include "workers/fold/render.h"

static struct buf store(const struct case_state *state)
{
    struct buf blob;
    buf_init(&blob, 1 << 22);
    case_store(state, &blob);
    assert_false(blob.overflow);
    return blob;
}

static struct str bytes_of(const struct buf *blob)
{
    return (struct str){blob->data, blob->len};
}

/* A copy that ends where the blob ends, so that a sanitizer detects a read past it. */
static struct str exact_copy(struct str bytes)
{
    char *copy = malloc(bytes.len ? bytes.len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes.ptr, bytes.len);
    return (struct str){copy, bytes.len};
}

static void free_copy(struct str copy)
{
    free((void *)(uintptr_t)copy.ptr);
}

static struct case_state state_of(const struct case_fields *fields)
{
    struct case_event event = sample_event(CASE_QUEUED, 1, 0);
    event.fields = *fields;
    struct case_state state;
    case_init(&state, &event.organization_id);
    assert_int_equal(case_apply(&state, &event), FOLD_APPLIED);
    return state;
}

static struct buf render(const struct case_state *state)
{
    const struct entity_names *const names[NAME_SLOT_COUNT] = {NULL};
    struct uuid id = sample_uuid(2);
    struct buf out;
    buf_init(&out, 1 << 22);
    render_case(&id, state, names, &out);
    assert_false(out.overflow);
    return out;
}

static void assert_round_trip(const struct case_state *state)
{
    struct buf blob = store(state);
    struct str copy = exact_copy(bytes_of(&blob));
    struct case_state loaded;
    assert_true(case_load(copy, &loaded));
    assert_int_equal(loaded.over, state->over);
    assert_int_equal(loaded.has_snapshot, state->has_snapshot);
    assert_true(uuid_eq(&loaded.organization_id, &state->organization_id));
    assert_memory_equal(loaded.group_sequence, state->group_sequence, sizeof loaded.group_sequence);
    struct buf again = store(&loaded);
    assert_int_equal(again.len, blob.len);
    assert_memory_equal(again.data, blob.data, blob.len);
    struct buf before = render(state);
    struct buf after = render(&loaded);
    assert_int_equal(before.len, after.len);
    assert_memory_equal(before.data, after.data, before.len);
    buf_done(&before);
    buf_done(&after);
    buf_done(&again);
    buf_done(&blob);
    free_copy(copy);
}

static void test_case_store_all_variants_round_trip(void **unused)
{
    (void)unused;
    for (unsigned variant = 0; variant < 4; variant++) {
        struct case_fields fields = sample_fields(variant);
        struct case_state state = state_of(&fields);
        assert_round_trip(&state);
    }
    struct case_fields page = sample_page_fields();
    struct case_state state = state_of(&page);
    assert_round_trip(&state);
    struct buf blob = store(&state);
    print_message("the page's sample is stored in %zu bytes\n", blob.len);
    assert_in_range(blob.len, 200, 450);
    buf_done(&blob);
}

static void test_case_store_incomplete_and_over_round_trip(void **unused)
{
    (void)unused;
    struct case_state state;
    struct uuid organization_id = sample_uuid(1);
    case_init(&state, &organization_id);
    assert_round_trip(&state);
    for (int type = CASE_UNKNOWN_TYPE; type < CASE_EVENT_TYPE_COUNT; type++) {
        struct case_event event = sample_event((enum case_event_type)type, 7, 1);
        event.given = GROUP_ALL;
        case_init(&state, &organization_id);
        (void)case_apply(&state, &event);
        assert_round_trip(&state);
    }
}

static void test_case_store_null_and_empty_texts_stay_apart(void **unused)
{
    (void)unused;
    struct case_fields fields = sample_page_fields();
    fields.contact_email = STR("");
    fields.contact_phone_number = STR_NULL;
    struct case_state state = state_of(&fields);
    struct buf blob = store(&state);
    struct case_state loaded;
    assert_true(case_load(bytes_of(&blob), &loaded));
    assert_non_null(loaded.fields.contact_email.ptr);
    assert_int_equal(loaded.fields.contact_email.len, 0);
    assert_null(loaded.fields.contact_phone_number.ptr);
    buf_done(&blob);
}

static void test_case_store_long_texts_and_numbers_round_trip(void **unused)
{
    (void)unused;
    char *big = malloc(1000000);
    assert_non_null(big);
    memset(big, 'x', 1000000);
    static const size_t lengths[] = {0, 1, 126, 127, 128, 16382, 16383, 16384, 1000000};
    for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
        struct case_fields fields = sample_page_fields();
        fields.locked_by.picture = (struct str){big, lengths[i]};
        fields.ticket.number = INT32_MIN;
        struct case_state state = state_of(&fields);
        struct case_event far = sample_event(CASE_POSITION_CHANGED, INT64_MAX, 1);
        assert_int_equal(case_apply(&state, &far), FOLD_APPLIED);
        assert_round_trip(&state);
    }
    free(big);
}

static void test_case_store_present_false_hides_the_rest(void **unused)
{
    (void)unused;
    struct case_fields clean = sample_page_fields();
    clean.locked_by = (struct user_ref){.present = false};
    clean.ticket = (struct ticket){.present = false};
    struct case_fields dirty = sample_page_fields();
    dirty.locked_by.present = false;
    dirty.ticket.present = false;
    dirty.assigned_to = sample_fields(0).assigned_to;
    dirty.assigned_to.present = false;
    struct case_state a = state_of(&clean);
    struct case_state b = state_of(&dirty);
    struct buf left = store(&a);
    struct buf right = store(&b);
    assert_int_equal(left.len, right.len);
    assert_memory_equal(left.data, right.data, left.len);
    buf_done(&left);
    buf_done(&right);
}

static void test_case_store_full_buffer_writes_nothing(void **unused)
{
    (void)unused;
    struct case_fields fields = sample_page_fields();
    struct case_state state = state_of(&fields);
    struct buf blob;
    buf_init(&blob, 100);
    case_store(&state, &blob);
    assert_true(blob.overflow);
    assert_int_equal(blob.len, 0);
    buf_done(&blob);
}

/* A state with all features: gaps, numbers below the base, late groups. */
static struct buf rich_blob(struct random *random)
{
    struct case_state state;
    struct uuid organization_id = sample_uuid(1);
    case_init(&state, &organization_id);
    for (unsigned i = 0; i < 14; i++) {
        struct case_event event = sample_event((enum case_event_type)random_below(random, CASE_EVENT_TYPE_COUNT),
                                               1 + random_below(random, 40), random_below(random, 4));
        event.given = GROUP_ALL;
        if (event.type != CASE_CLOSED && event.type != CASE_QUEUE_ABANDONED && event.type != CASE_APPOINTMENT_CANCELLED)
            (void)case_apply(&state, &event);
    }
    return store(&state);
}

static void test_case_load_every_shorter_or_longer_blob_refused(void **unused)
{
    (void)unused;
    struct random random = random_start("cut blobs");
    for (unsigned i = 0; i < 200; i++) {
        struct buf blob = rich_blob(&random);
        struct case_state loaded;
        assert_true(case_load(bytes_of(&blob), &loaded));
        for (size_t len = 0; len < blob.len; len++) {
            struct str copy = exact_copy((struct str){blob.data, len});
            assert_false(case_load(copy, &loaded));
            free_copy(copy);
        }
        buf_byte(&blob, 0);
        assert_false(case_load(bytes_of(&blob), &loaded));
        buf_done(&blob);
    }
    struct case_state loaded;
    assert_false(case_load(STR_NULL, &loaded));
    assert_false(case_load(STR(""), &loaded));
}

/* One damaged byte: refused, or a blob that case_store() would write the same, and a state that can be rendered. */
static void test_case_load_damaged_blob_refused_or_canonical(void **unused)
{
    (void)unused;
    struct random random = random_start("damaged blobs");
    unsigned refused = 0;
    for (unsigned i = 0; i < 30000; i++) {
        struct buf blob = rich_blob(&random);
        blob.data[random_below(&random, (unsigned)blob.len)] ^= (char)(1 << random_below(&random, 8));
        struct str copy = exact_copy(bytes_of(&blob));
        struct case_state loaded;
        if (case_load(copy, &loaded)) {
            struct buf again = store(&loaded);
            assert_int_equal(again.len, copy.len);
            assert_memory_equal(again.data, copy.ptr, copy.len);
            buf_done(&again);
            struct buf json = render(&loaded);
            buf_done(&json);
        } else {
            refused++;
        }
        free_copy(copy);
        buf_done(&blob);
    }
    assert_true(refused > 1000);
}

static void test_case_load_values_that_no_event_carries_refused(void **unused)
{
    (void)unused;
    const float bad_ranks[] = {__builtin_inff(), -__builtin_inff(), __builtin_nanf("")};
    const int64_t bad_times[] = {INT64_MIN, INT64_MAX, INT64_C(-62135596800000001), INT64_C(253402300800000000)};
    struct case_state loaded;
    for (unsigned i = 0; i < ARRAY_LEN(bad_ranks); i++) {
        struct case_fields fields = sample_page_fields();
        fields.rank = bad_ranks[i];
        struct case_state state = state_of(&fields);
        struct buf blob = store(&state);
        assert_false(case_load(bytes_of(&blob), &loaded));
        buf_done(&blob);
    }
    for (unsigned i = 0; i < ARRAY_LEN(bad_times); i++) {
        struct case_fields fields = sample_page_fields();
        fields.case_timestamp = bad_times[i];
        struct case_state state = state_of(&fields);
        struct buf blob = store(&state);
        assert_false(case_load(bytes_of(&blob), &loaded));
        buf_done(&blob);
    }
}

/* Bytes of states that no events can lead to. */
static void test_case_load_impossible_state_refused(void **unused)
{
    (void)unused;
    struct case_fields fields = sample_page_fields();
    struct case_state state = state_of(&fields);
    struct case_state loaded;

    state.sequence.highest = state.sequence.base = 2; /* every group must be of the snapshot or newer */
    struct buf older_group = store(&state);
    assert_false(case_load(bytes_of(&older_group), &loaded));
    buf_done(&older_group);

    struct case_event event = sample_event(CASE_POSITION_CHANGED, 1, 0);
    case_init(&state, &event.organization_id);
    assert_int_equal(case_apply(&state, &event), FOLD_APPLIED);
    struct buf unset_group = store(&state);
    assert_true(case_load(bytes_of(&unset_group), &loaded));
    unset_group.data[1] ^= (char)0x80; /* the flag says that the ticket is printed, but no event set that group */
    assert_false(case_load(bytes_of(&unset_group), &loaded));
    buf_done(&unset_group);

    case_init(&state, &event.organization_id);
    state.over = true;
    struct buf over = store(&state);
    assert_true(case_load(bytes_of(&over), &loaded));
    over.data[1] ^= (char)0x80;
    assert_false(case_load(bytes_of(&over), &loaded));
    buf_done(&over);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_case_store_all_variants_round_trip),
        cmocka_unit_test(test_case_store_incomplete_and_over_round_trip),
        cmocka_unit_test(test_case_store_null_and_empty_texts_stay_apart),
        cmocka_unit_test(test_case_store_long_texts_and_numbers_round_trip),
        cmocka_unit_test(test_case_store_present_false_hides_the_rest),
        cmocka_unit_test(test_case_store_full_buffer_writes_nothing),
        cmocka_unit_test(test_case_load_every_shorter_or_longer_blob_refused),
        cmocka_unit_test(test_case_load_damaged_blob_refused_or_canonical),
        cmocka_unit_test(test_case_load_values_that_no_event_carries_refused),
        cmocka_unit_test(test_case_load_impossible_state_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
