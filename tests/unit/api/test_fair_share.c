#include "api/fair_share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct uuid one = {{1}}, other = {{2}};

static bool enters(struct fair_share *share, const struct uuid *application, struct fair_claim *claim)
{
    const char *why = NULL;
    bool entered = fair_share_enter(share, application, claim, &why);
    assert_int_equal(entered, why == NULL);
    return entered;
}

static void enter_all(struct fair_share *share, const struct uuid *application, struct fair_claim *claims, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_true(enters(share, application, &claims[i]));
}

static void leave_all(struct fair_claim *claims, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fair_share_leave(&claims[i]);
}

static bool waits_on(struct fair_claim *claim)
{
    const char *why = NULL;
    bool waits = fair_share_may_wait(claim, &why);
    assert_int_equal(waits, why == NULL);
    return waits;
}

static void test_while_fast_one_application_may_have_all_threads(void **state CV_UNUSED)
{
    struct fair_share *share = fair_share_new(1024, 8, 7);
    struct fair_claim claims[8];
    enter_all(share, &one, claims, 8);
    leave_all(claims, 8);
    fair_share_free(share);
}

static void test_max_waiting_is_for_all_and_half_of_it_for_one(void **state CV_UNUSED)
{
    struct fair_share *share = fair_share_new(4, 8, 7);
    struct fair_claim claims[4], refused;
    enter_all(share, &one, claims, 2);
    assert_false(enters(share, &one, &refused));
    enter_all(share, &other, &claims[2], 2);
    assert_false(enters(share, &(struct uuid){{3}}, &refused));
    fair_share_leave(&claims[0]);
    assert_true(enters(share, &one, &claims[0]));
    leave_all(claims, 4);
    fair_share_free(share);
}

static void test_while_slow_an_application_keeps_half_of_the_threads(void **state CV_UNUSED)
{
    struct fair_share *share = fair_share_new(1024, 8, 7);
    struct fair_claim claims[8], more;
    enter_all(share, &one, claims, 8);
    for (size_t i = 0; i < 8; i++) {
        bool waits = waits_on(&claims[i]);
        assert_int_equal(waits, i >= 4);
        if (!waits)
            fair_share_leave(&claims[i]);
    }
    assert_false(enters(share, &one, &more));
    enter_all(share, &other, claims, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(waits_on(&claims[i]));
    leave_all(claims, 8);
    enter_all(share, &one, claims, 8); /* fast again */
    leave_all(claims, 8);
    fair_share_free(share);
}

/* A request that has waited for a shared statement, and then for one of its own. */
static void test_a_request_that_waits_twice_is_slow_once(void **state CV_UNUSED)
{
    struct fair_share *share = fair_share_new(1024, 4, 7);
    struct fair_claim claims[4];
    assert_true(enters(share, &one, &claims[0]));
    assert_true(waits_on(&claims[0]));
    assert_true(waits_on(&claims[0]));
    fair_share_leave(&claims[0]);
    for (size_t i = 0; i < 4; i++) /* fast again */
        assert_true(enters(share, &one, &claims[i]));
    for (size_t i = 0; i < 4; i++)
        fair_share_leave(&claims[i]);
    fair_share_free(share);
}

static void test_the_only_thread_may_wait(void **state CV_UNUSED)
{
    struct fair_share *share = fair_share_new(1, 1, 7);
    struct fair_claim claim;
    assert_true(enters(share, &one, &claim));
    assert_true(waits_on(&claim));
    fair_share_leave(&claim);
    assert_true(enters(share, &one, &claim));
    fair_share_leave(&claim);
    fair_share_free(share);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_while_fast_one_application_may_have_all_threads),
        cmocka_unit_test(test_max_waiting_is_for_all_and_half_of_it_for_one),
        cmocka_unit_test(test_while_slow_an_application_keeps_half_of_the_threads),
        cmocka_unit_test(test_a_request_that_waits_twice_is_slow_once),
        cmocka_unit_test(test_the_only_thread_may_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
