/* Cached states: what is being written never changes, and every byte is counted until the last row gives it back. */
#include "workers/sink/states.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>
#include <sanitizer/asan_interface.h>

#include "tests/support/random.h"
#include "tests/support/sample_case.h"

static struct states *states;

static int set_up(void **unused CV_UNUSED)
{
    states = states_new(sizeof(struct uuid), SIZE_MAX);
    return 0;
}

static int tear_down(void **unused CV_UNUSED)
{
    states_free(states);
    return 0;
}

static struct state *get(unsigned number)
{
    struct uuid key = sample_uuid(number);
    return states_get(states, &key);
}

/* Without the memory that is kept for later states. */
static size_t bytes_held(void)
{
    states_set_max(states, SIZE_MAX);
    return states_bytes(states);
}

static struct state *find(unsigned number)
{
    struct uuid key = sample_uuid(number);
    return states_find(states, &key);
}

/* A text of one repeated byte: easy to see whether it was overwritten. */
static void set(struct state *state, char byte, size_t len)
{
    static char text[200000];
    assert_true(len <= sizeof text);
    memset(text, byte, len);
    states_set(states, state, (struct str){text, len});
}

static bool is(const char *data, size_t data_len, char byte, size_t len)
{
    if (data_len != len)
        return false;
    for (size_t i = 0; i < len; i++)
        if (data[i] != byte)
            return false;
    return true;
}

static void test_get_unknown_key_not_loaded(void **unused CV_UNUSED)
{
    assert_null(find(1));
    struct state *state = get(1);
    assert_false(state->loaded);
    assert_false(state->dirty);
    assert_int_equal(state->rev, 0);
    assert_null(state_blob(state).ptr);
    assert_ptr_equal(find(1), state);
    assert_ptr_equal(get(1), state);
    assert_int_equal(states_count(states), 1);
}

static void test_set_not_shared_keeps_its_place(void **unused CV_UNUSED)
{
    struct state *state = get(1);
    set(state, 'a', 10);
    const struct blob *first = state->blob;
    size_t bytes = bytes_held();
    set(state, 'b', 60);
    assert_ptr_equal(state->blob, first);
    assert_true(is(state->blob->data, state->blob->len, 'b', 60));
    assert_int_equal(bytes_held(), bytes);
}

static void test_set_shared_leaves_the_row_alone(void **unused CV_UNUSED)
{
    struct state *state = get(1);
    set(state, 'a', 1000);
    size_t alone = bytes_held();
    struct blob *row = states_share(state);
    assert_int_equal(bytes_held(), alone);

    set(state, 'b', 1000);
    assert_ptr_not_equal(state->blob, row);
    assert_true(is(row->data, row->len, 'a', 1000));
    assert_true(is(state->blob->data, state->blob->len, 'b', 1000));
    assert_true(bytes_held() >= alone + 1000);

    const struct blob *second = state->blob;
    set(state, 'c', 1000); /* no row shares the second form: it is overwritten */
    assert_ptr_equal(state->blob, second);
    assert_true(is(row->data, row->len, 'a', 1000));

    states_unshare(states, row);
    assert_int_equal(bytes_held(), alone);
}

static void test_unshare_unchanged_state_keeps_blob(void **unused CV_UNUSED)
{
    struct state *state = get(1);
    set(state, 'a', 1000);
    size_t alone = bytes_held();
    states_unshare(states, states_share(state));
    assert_int_equal(bytes_held(), alone);
    assert_true(is(state->blob->data, state->blob->len, 'a', 1000));
    const struct blob *blob = state->blob;
    set(state, 'b', 1000);
    assert_ptr_equal(state->blob, blob);
}

static void test_set_much_smaller_gives_memory_back(void **unused CV_UNUSED)
{
    struct state *state = get(1);
    set(state, 'a', 10);
    size_t small = bytes_held();
    set(state, 'b', 100000);
    assert_true(bytes_held() > 100000);
    set(state, 'c', 10);
    assert_int_equal(bytes_held(), small);
    assert_true(is(state->blob->data, state->blob->len, 'c', 10));
}

static void test_forget_blob_keeps_revision_and_row(void **unused CV_UNUSED)
{
    struct state *state = get(1);
    size_t empty = bytes_held();
    set(state, 'a', 500);
    state->rev = 7;
    struct blob *row = states_share(state);
    states_forget_blob(states, state);
    assert_null(state->blob);
    assert_null(state_blob(state).ptr);
    assert_int_equal(state->rev, 7);
    assert_true(is(row->data, row->len, 'a', 500));
    assert_true(bytes_held() > empty + 500);
    states_unshare(states, row);
    assert_int_equal(bytes_held(), empty);
    states_forget_blob(states, state); /* nothing to forget */
    set(state, 'b', 20);
    assert_true(is(state->blob->data, state->blob->len, 'b', 20));
}

static void test_trim_evicts_what_no_batch_holds(void **unused CV_UNUSED)
{
    for (unsigned i = 0; i < 100; i++)
        set(get(i), 'a', 100);
    cache_pin(&get(42)->entry);
    states_set_max(states, 0);
    for (int i = 0; i < 10; i++) /* one call looks at a part only */
        states_trim(states);
    assert_int_equal(states_count(states), 1);
    assert_true(is(find(42)->blob->data, find(42)->blob->len, 'a', 100));
    cache_unpin(&find(42)->entry);
    states_trim(states);
    states_trim(states);
    assert_int_equal(states_count(states), 0);
    assert_int_equal(bytes_held(), 0);
}

static void test_clear_rows_outlive_their_states(void **unused CV_UNUSED)
{
    set(get(1), 'a', 300);
    set(get(2), 'b', 300);
    struct blob *current = states_share(get(1)), *replaced = states_share(get(2));
    set(get(2), 'c', 300);
    states_clear(states);
    assert_int_equal(states_count(states), 0);
    assert_true(is(current->data, current->len, 'a', 300));
    assert_true(is(replaced->data, replaced->len, 'b', 300));
    states_unshare(states, current);
    states_unshare(states, replaced);
    assert_int_equal(bytes_held(), 0);
}

/* What a row gave back serves the next state of about its size, and is counted meanwhile. */
static void test_unshare_memory_kept_for_the_next_state(void **unused CV_UNUSED)
{
    struct state *state = get(1);
    set(state, 'a', 500);
    size_t alone = states_bytes(states);
    struct blob *row = states_share(state);
    set(state, 'b', 500);
    size_t both = states_bytes(states);
    states_unshare(states, row);
    assert_in_range(states_bytes(states), alone + 500, both);
    set(get(2), 'c', 490);
    assert_ptr_equal(get(2)->blob, row);
    assert_true(is(row->data, row->len, 'c', 490));
    assert_true(is(state->blob->data, state->blob->len, 'b', 500));
    assert_false(row->detached);
    assert_int_equal(row->refs, 1);
    states_unshare(states, states_share(get(2)));
    states_set_max(states, SIZE_MAX);
    assert_ptr_equal(get(2)->blob, row); /* what is used is not given back */
}

/* Many large ones are not kept. */
static void test_unshare_memory_kept_is_bounded(void **unused CV_UNUSED)
{
    enum { STATES = 10000 };
    static struct blob *rows[STATES];
    for (unsigned i = 0; i < STATES; i++) {
        set(get(i), 'a', 1000);
        rows[i] = states_share(get(i));
        set(get(i), 'b', 1000);
    }
    size_t both = states_bytes(states);
    for (unsigned i = 0; i < STATES; i++)
        states_unshare(states, rows[i]);
    size_t alone = bytes_held();
    assert_true(both > alone + STATES * 1000);
    for (unsigned i = 0; i < STATES; i++) {
        rows[i] = states_share(get(i));
        set(get(i), 'c', 1000);
    }
    for (unsigned i = 0; i < STATES; i++)
        states_unshare(states, rows[i]);
    assert_in_range(states_bytes(states), alone, alone + (4u << 20) + 2048);
}

#ifdef __SANITIZE_ADDRESS__
/* A row that read on after it gave its blob back would be a bug, which AddressSanitizer must see. */
static void test_unshare_memory_kept_is_poisoned(void **unused CV_UNUSED)
{
    struct state *state = get(1);
    set(state, 'a', 500);
    struct blob *row = states_share(state);
    set(state, 'b', 500);
    assert_false(__asan_address_is_poisoned(row->data));
    states_unshare(states, row);
    assert_true(__asan_address_is_poisoned(&row->len));
    assert_true(__asan_address_is_poisoned(row->data));
    assert_true(__asan_address_is_poisoned(row->data + 499));
    set(get(2), 'c', 500);
    assert_ptr_equal(get(2)->blob, row);
    assert_false(__asan_address_is_poisoned(row->data + 499));
}
#endif

struct row {
    struct blob *blob;
    char byte;
    size_t len;
};

static void test_random_rows_never_change(void **unused CV_UNUSED)
{
    struct random random = random_start("test_states");
    struct row rows[64] = {{0}};
    (void)get(0);
    size_t empty = bytes_held();
    for (int step = 0; step < 100000; step++) {
        struct state *state = get(random_below(&random, 20));
        struct row *row = &rows[random_below(&random, ARRAY_LEN(rows))];
        unsigned what = random_below(&random, 10);
        if (what < 5) {
            set(state, (char)('a' + random_below(&random, 26)), 1 + random_below(&random, 2000));
        } else if (what == 5) {
            states_forget_blob(states, state);
        } else if (row->blob != NULL) {
            assert_true(is(row->blob->data, row->blob->len, row->byte, row->len));
            states_unshare(states, row->blob);
            row->blob = NULL;
        } else if (state->blob != NULL) {
            *row = (struct row){states_share(state), state->blob->data[0], state->blob->len};
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].blob != NULL)
            states_unshare(states, rows[i].blob);
    for (unsigned i = 0; i < 20; i++)
        states_forget_blob(states, get(i));
    assert_int_equal(states_count(states), 20);
    assert_int_equal(bytes_held(), 20 * empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_get_unknown_key_not_loaded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_set_not_shared_keeps_its_place, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_set_shared_leaves_the_row_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unshare_unchanged_state_keeps_blob, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_set_much_smaller_gives_memory_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_forget_blob_keeps_revision_and_row, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_trim_evicts_what_no_batch_holds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clear_rows_outlive_their_states, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unshare_memory_kept_for_the_next_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unshare_memory_kept_is_bounded, set_up, tear_down),
#ifdef __SANITIZE_ADDRESS__
        cmocka_unit_test_setup_teardown(test_unshare_memory_kept_is_poisoned, set_up, tear_down),
#endif
        cmocka_unit_test_setup_teardown(test_random_rows_never_change, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
