/* stop and retry. Signals are sent to children, since a process is stopped once. */
#include "caseview/clock.h"
#include "caseview/retry.h"
#include "caseview/stop.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs `what` in a child; returns the wait status. */
static int in_child(void (*what)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(30);
        what();
        _exit(99);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static bool fd_readable(void)
{
    struct pollfd fd = {.fd = stop_fd(), .events = POLLIN};
    return poll(&fd, 1, 0) == 1;
}

static void first_signal(void)
{
    stop_init(STOP_HANGUP_RELOADS);
    if (stop_requested() || fd_readable() || stop_wait(20))
        _exit(1);
    raise(SIGTERM);
    if (!stop_requested() || !fd_readable() || !fd_readable() || !stop_wait(20000))
        _exit(2);
    _exit(0);
}

static void second_signal(void)
{
    stop_init(STOP_HANGUP_RELOADS);
    raise(SIGINT);
    raise(SIGTERM);
}

static void signal_while_waiting(void)
{
    stop_init(STOP_HANGUP_RELOADS);
    pid_t parent = getpid();
    if (fork() == 0) {
        usleep(50000);
        kill(parent, SIGTERM);
        _exit(0);
    }
    int64_t start = clock_mono_ms();
    bool stopped = stop_wait(20000);
    _exit(stopped && clock_mono_ms() - start < 10000 ? 0 : 1);
}

static void broken_pipe(void)
{
    stop_init(STOP_HANGUP_RELOADS);
    int fds[2];
    if (pipe(fds) != 0)
        _exit(1);
    close(fds[0]);
    _exit(write(fds[1], "x", 1) < 0 && !stop_requested() ? 0 : 2);
}

static void reload(void)
{
    stop_init(STOP_HANGUP_RELOADS);
    unsigned mine = 0, other = 0;
    if (stop_reload_requested(&mine))
        _exit(1);
    raise(SIGHUP);
    raise(SIGHUP);
    if (!stop_reload_requested(&mine) || stop_reload_requested(&mine) || !stop_reload_requested(&other))
        _exit(2);
    raise(SIGHUP);
    _exit(stop_reload_requested(&mine) && !stop_requested() && !fd_readable() && !stop_wait(10) ? 0 : 3);
}

static void test_hangup_is_seen_once_by_each_and_stops_nothing(void **state CV_UNUSED)
{
    int status = in_child(reload);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void hangup_of_a_command(void)
{
    stop_init(STOP_HANGUP_STOPS);
    unsigned seen = 0;
    raise(SIGHUP);
    raise(SIGHUP); /* the kernel and the shell send one each */
    if (!stop_requested() || !fd_readable() || stop_reload_requested(&seen))
        _exit(1);
    raise(SIGTERM);
    _exit(2);
}

static void hangup_under_nohup(void)
{
    signal(SIGHUP, SIG_IGN);
    stop_init(STOP_HANGUP_STOPS);
    raise(SIGHUP);
    _exit(stop_requested() ? 1 : 0);
}

static void test_hangup_stops_a_command_and_never_at_once(void **state CV_UNUSED)
{
    int status = in_child(hangup_of_a_command);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
}

static void test_hangup_that_is_ignored_stays_ignored(void **state CV_UNUSED)
{
    int status = in_child(hangup_under_nohup);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_first_signal_asks_to_stop(void **state CV_UNUSED)
{
    int status = in_child(first_signal);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_second_signal_ends_the_process(void **state CV_UNUSED)
{
    int status = in_child(second_signal);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 128 + SIGTERM);
}

static void test_signal_ends_a_wait(void **state CV_UNUSED)
{
    int status = in_child(signal_while_waiting);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_broken_pipe_is_ignored(void **state CV_UNUSED)
{
    int status = in_child(broken_pipe);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_retry_waits_double_within_their_halves(void **state CV_UNUSED)
{
    static const int steps[] = {100, 200, 400, 800, 1000, 1000, 1000};
    int least[ARRAY_LEN(steps)];
    int most[ARRAY_LEN(steps)] = {0};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        least[i] = INT32_MAX;
    for (int round = 0; round < 300; round++) {
        struct retry retry;
        retry_init(&retry, 100, 1000);
        assert_true(retry_due(&retry));
        for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
            int64_t before = clock_mono_ms();
            int wait = retry_failed(&retry);
            assert_true(wait >= steps[i] / 2 && wait <= steps[i]);
            assert_true(retry.next_at_ms >= before + wait);
            assert_false(retry_due(&retry));
            assert_int_equal(retry_worth_logging(&retry), i == 0 || i == 1 || i == 3);
            least[i] = wait < least[i] ? wait : least[i];
            most[i] = wait > most[i] ? wait : most[i];
        }
        retry_reset(&retry);
        assert_true(retry_due(&retry));
        assert_false(retry_worth_logging(&retry));
    }
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) /* the jitter reaches both bounds */
        assert_true(least[i] < steps[i] * 6 / 10 && most[i] > steps[i] * 9 / 10);
}

static void test_retry_is_due_after_its_wait(void **state CV_UNUSED)
{
    struct retry retry;
    retry_init(&retry, 1, 1);
    assert_int_equal(retry_failed(&retry), 1);
    int64_t deadline = clock_mono_ms() + 10000;
    while (!retry_due(&retry))
        assert_true(clock_mono_ms() < deadline);
    retry.attempts = UINT32_MAX;
    assert_int_equal(retry_failed(&retry), 1);
    assert_true(retry.attempts == UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hangup_is_seen_once_by_each_and_stops_nothing),
        cmocka_unit_test(test_hangup_stops_a_command_and_never_at_once),
        cmocka_unit_test(test_hangup_that_is_ignored_stays_ignored),
        cmocka_unit_test(test_first_signal_asks_to_stop),
        cmocka_unit_test(test_second_signal_ends_the_process),
        cmocka_unit_test(test_signal_ends_a_wait),
        cmocka_unit_test(test_broken_pipe_is_ignored),
        cmocka_unit_test(test_retry_waits_double_within_their_halves),
        cmocka_unit_test(test_retry_is_due_after_its_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
