/* The states of a partition: every transition of the table is allowed, every other one is a bug. */
#include "workers/partition.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define U PARTITION_UNCLAIMED
#define P PARTITION_PROVING
#define L PARTITION_LIVE
#define H PARTITION_HELD
#define G PARTITION_HALTING
#define D PARTITION_HALTED

/* Written down a second time, on purpose: from (row) to (column). To the same state nothing happens. */
static const bool allowed[PARTITION_STATE_COUNT][PARTITION_STATE_COUNT] = {
    [U] = {[U] = true, [P] = true, [L] = true, [G] = true, [D] = true},
    [P] = {[P] = true, [U] = true, [L] = true, [G] = true},
    [L] = {[L] = true, [U] = true, [H] = true, [G] = true},
    [H] = {[H] = true, [U] = true, [L] = true, [G] = true},
    [G] = {[G] = true, [U] = true, [D] = true},
    [D] = {[D] = true, [U] = true},
};

static struct partition partition_in(enum partition_state state)
{
    struct partition partition;
    partition_init(&partition, TOPIC_CASES, 3, STR("case-events"));
    partition.state = state;
    return partition;
}

/* In a process of its own: a transition that is not in the table ends it. */
static bool survives(enum partition_state from, enum partition_state to)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct partition partition = partition_in(from);
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
        signal(SIGABRT, SIG_DFL);
        partition_set_state(&partition, to);
        _exit(partition.state == to ? 0 : 1);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGABRT : WEXITSTATUS(status) == 0);
    return WIFEXITED(status);
}

static void test_set_state_table_allows_nothing_else(void **state CV_UNUSED)
{
    for (int from = 0; from < PARTITION_STATE_COUNT; from++)
        for (int to = 0; to < PARTITION_STATE_COUNT; to++)
            assert_int_equal(survives((enum partition_state)from, (enum partition_state)to), allowed[from][to]);
}

/* What the documentation shows is what is allowed: all but the way back to UNCLAIMED. */
static void test_transitions_describe_what_is_allowed(void **state CV_UNUSED)
{
    size_t count;
    bool described[PARTITION_STATE_COUNT][PARTITION_STATE_COUNT] = {{false}};
    const struct partition_transition *rows = partition_transitions(&count);
    for (size_t i = 0; i < count; i++) {
        assert_true(strlen(rows[i].when) > 0);
        assert_false(described[rows[i].from][rows[i].to]);
        described[rows[i].from][rows[i].to] = true;
    }
    for (int from = 0; from < PARTITION_STATE_COUNT; from++)
        for (int to = 0; to < PARTITION_STATE_COUNT; to++)
            assert_int_equal(described[from][to], allowed[from][to] && from != to && to != U);
}

static void test_state_names_differ(void **state CV_UNUSED)
{
    for (int i = 0; i < PARTITION_STATE_COUNT; i++)
        for (int j = 0; j < i; j++)
            assert_string_not_equal(partition_state_name((enum partition_state)i),
                                    partition_state_name((enum partition_state)j));
}

static void test_init_nothing_is_known(void **state CV_UNUSED)
{
    struct partition partition = partition_in(U);
    assert_int_equal(partition.topic, TOPIC_CASES);
    assert_int_equal(partition.part, 3);
    assert_true(str_eq(partition.topic_name, STR("case-events")));
    assert_int_equal(partition.last_record_ms, -1);
    assert_int_equal(partition.committed_to_kafka, -1);
    assert_int_equal(partition.halt_back_to, -1);
    assert_int_equal(partition.refused.offset, -1);
    assert_true(retry_due(&partition.retry));
    assert_null(partition.last_taken);
}

/* Names may be brought up to date only in rows that are written under our claim; directory rows show none. */
static void test_shows_names_claimed_cases_and_agents_only(void **state CV_UNUSED)
{
    static const bool shows[PARTITION_STATE_COUNT] = {[P] = true, [L] = true, [H] = true, [D] = true};
    for (int i = 0; i < PARTITION_STATE_COUNT; i++)
        for (int topic = 0; topic < TOPIC_COUNT; topic++) {
            struct partition partition = partition_in((enum partition_state)i);
            partition.topic = (enum topic)topic;
            assert_int_equal(partition_shows_names(&partition), shows[i] && topic != TOPIC_DIRECTORY);
        }
}

static void test_is_fresh_only_while_nothing_was_read(void **state CV_UNUSED)
{
    struct partition partition = partition_in(L);
    assert_true(partition_is_fresh(&partition));
    partition.at_end = true; /* an empty log, read to its end: a later beginning would leave something out */
    assert_false(partition_is_fresh(&partition));
    partition.at_end = false;
    partition.cursor.complete = true;
    assert_false(partition_is_fresh(&partition));
    partition.cursor.complete = false;
    partition.cursor.has_last = true;
    assert_false(partition_is_fresh(&partition));
    partition.cursor.has_last = false;
    partition.position = 1;
    assert_false(partition_is_fresh(&partition));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_state_table_allows_nothing_else),
        cmocka_unit_test(test_transitions_describe_what_is_allowed),
        cmocka_unit_test(test_state_names_differ),
        cmocka_unit_test(test_init_nothing_is_known),
        cmocka_unit_test(test_shows_names_claimed_cases_and_agents_only),
        cmocka_unit_test(test_is_fresh_only_while_nothing_was_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
