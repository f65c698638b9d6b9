/* What a refused statement means for its batch: no caller of the writer looks at an SQLSTATE. */
#include "workers/sink/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const enum write_step all_steps[] = {STEP_OTHER, STEP_FENCE, STEP_ROWS, STEP_CLAIM, STEP_UNPARK};

static void test_outcome_division_by_zero_depends_on_the_statement(void **state CV_UNUSED)
{
    static const struct {
        enum write_step step;
        enum writer_outcome outcome;
    } cases[] = {
        {STEP_FENCE, WRITER_FENCED},    {STEP_ROWS, WRITER_CONFLICT}, {STEP_CLAIM, WRITER_CONFLICT},
        {STEP_UNPARK, WRITER_CONFLICT}, {STEP_OTHER, WRITER_REFUSED}, /* ours divides nowhere else: a trigger's */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(writer_outcome_of("22012", cases[i].step), cases[i].outcome);
}

/* A new case whose row exists; anywhere else a constraint that sending again cannot satisfy. */
static void test_outcome_unique_violation_of_a_row_is_a_conflict(void **state CV_UNUSED)
{
    for (size_t step = 0; step < ARRAY_LEN(all_steps); step++)
        assert_int_equal(writer_outcome_of("23505", all_steps[step]),
                         all_steps[step] == STEP_ROWS ? WRITER_CONFLICT : WRITER_REFUSED);
}

static void test_outcome_sqlstate_whatever_the_statement(void **state CV_UNUSED)
{
    static const struct {
        const char *sqlstate;
        enum writer_outcome outcome;
    } cases[] = {
        {"40001", WRITER_AGAIN},   /* serialization failure */
        {"40P01", WRITER_AGAIN},   /* deadlock */
        {"55P03", WRITER_AGAIN},   /* lock timeout */
        {"22021", WRITER_REFUSED}, /* character not in repertoire */
        {"22P05", WRITER_REFUSED}, /* untranslatable character: a database that is not UTF8 */
        {"22003", WRITER_REFUSED}, /* numeric value out of range */
        {"22008", WRITER_REFUSED}, /* datetime field overflow */
        {"23514", WRITER_REFUSED}, /* check violation */
        {"54000", WRITER_REFUSED}, /* program limit exceeded: an index row too large */
        {"40002", WRITER_LOST},    /* transaction integrity: not a serialization failure */
        {"25006", WRITER_LOST},    /* read-only transaction: a standby */
        {"42P01", WRITER_LOST},    /* undefined table */
        {"42501", WRITER_LOST},    /* insufficient privilege */
        {"53100", WRITER_LOST},    /* disk full */
        {"53200", WRITER_LOST},    /* out of memory */
        {"55000", WRITER_LOST},    /* object not in prerequisite state */
        {"57014", WRITER_LOST},    /* cancelled: statement timeout */
        {"57P01", WRITER_LOST},    /* terminated by an administrator */
        {"57P03", WRITER_LOST},    /* starting up */
        {"58030", WRITER_LOST},    /* i/o error */
        {"XX000", WRITER_LOST},    /* internal error */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t step = 0; step < ARRAY_LEN(all_steps); step++)
            assert_int_equal(writer_outcome_of(cases[i].sqlstate, all_steps[step]), cases[i].outcome);
}

/* Before anything is connected or sent. */
static void test_writer_not_connected_is_idle(void **state CV_UNUSED)
{
    struct writer *writer = writer_new("host=127.0.0.1", 1, 1000);
    struct err err = ERR_INIT;
    assert_false(writer_is_connected(writer));
    assert_false(writer_is_busy(writer));
    assert_false(writer_lost_parked(writer));
    assert_int_equal(writer_poll(writer, &err), WRITER_IDLE);
    writer_push(writer);
    writer_disconnect(writer);
    writer_free(writer);
    writer_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcome_division_by_zero_depends_on_the_statement),
        cmocka_unit_test(test_outcome_unique_violation_of_a_row_is_a_conflict),
        cmocka_unit_test(test_outcome_sqlstate_whatever_the_statement),
        cmocka_unit_test(test_writer_not_connected_is_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
