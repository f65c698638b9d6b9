/* notify: a socket of the test is the service manager. */
#include "caseview/clock.h"
#include "caseview/notify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/caseview-test-notify-XXXXXX";
static char path[64];

static int make_folder(void **state CV_UNUSED)
{
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/socket", folder);
    return 0;
}

static int remove_folder(void **state CV_UNUSED)
{
    return rmdir(folder);
}

/* Listens at a path, or at an abstract name, which begins with @. */
static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    memcpy(address.sun_path, name, len);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(
        bind(fd, (const struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
    return fd;
}

/* The next datagram; "" when there is none. */
static const char *received(int fd)
{
    static char text[1024];
    ssize_t len = recv(fd, text, sizeof text - 1, 0);
    if (len < 0)
        assert_int_equal(errno, EAGAIN);
    text[len < 0 ? 0 : len] = '\0';
    return text;
}

static void open_with(struct notify *notify, const char *name, const char *watchdog_us, const char *watchdog_pid)
{
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    if (name != NULL)
        setenv("NOTIFY_SOCKET", name, 1);
    if (watchdog_us != NULL)
        setenv("WATCHDOG_USEC", watchdog_us, 1);
    if (watchdog_pid != NULL)
        setenv("WATCHDOG_PID", watchdog_pid, 1);
    notify_init(notify);
}

static void test_init_without_a_service_manager_sends_nothing(void **state CV_UNUSED)
{
    static const char *const names[] = {NULL, "", "relative", "@", "/"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct notify notify;
        open_with(&notify, names[i], "1000", NULL);
        assert_int_equal(notify.fd, -1);
        notify_ready(&notify);
        notify_status(&notify, "text");
        notify_alive(&notify);
        notify_stopping(&notify);
        notify_done(&notify);
    }
}

static void test_init_takes_the_longest_name_and_no_longer_one(void **state CV_UNUSED)
{
    char name[sizeof((struct sockaddr_un *)NULL)->sun_path + 1];
    memset(name, 'n', sizeof name);
    name[0] = '@';
    name[sizeof name - 1] = '\0'; /* as long as the room of an address, which a path needs for its NUL as well */
    struct notify notify;
    open_with(&notify, name, NULL, NULL);
    assert_int_equal(notify.fd, -1);
    name[sizeof name - 2] = '\0';
    int server = listen_at(name);
    open_with(&notify, name, NULL, NULL);
    notify_ready(&notify);
    assert_string_equal(received(server), "READY=1\n");
    notify_done(&notify);
    close(server);
}

static void say_everything(const char *name)
{
    int server = listen_at(name);
    struct notify notify;
    open_with(&notify, name, NULL, NULL);
    assert_string_equal(received(server), "");
    notify_status(&notify, "waiting for the database");
    notify_ready(&notify);
    assert_string_equal(received(server), "READY=1\nSTATUS=waiting for the database\n");
    notify_status(&notify, "waiting for the database");
    notify_ready(&notify);
    notify_alive(&notify);
    assert_string_equal(received(server), ""); /* nothing is new, and no watchdog watches */
    notify_status(&notify, "ready");
    notify_alive(&notify);
    assert_string_equal(received(server), "STATUS=ready\n");
    notify_stopping(&notify);
    assert_string_equal(received(server), "STOPPING=1\n");
    notify_stopping(&notify);
    assert_string_equal(received(server), "");
    notify_done(&notify);
    close(server);
}

static void test_changes_are_told_once_at_a_path(void **state CV_UNUSED)
{
    say_everything(path);
    assert_int_equal(unlink(path), 0);
}

static void test_changes_are_told_once_at_an_abstract_name(void **state CV_UNUSED)
{
    char name[64];
    snprintf(name, sizeof name, "@caseview-test-notify-%d", (int)getpid());
    say_everything(name);
}

static void test_alive_tells_the_watchdog_at_half_of_its_time(void **state CV_UNUSED)
{
    int server = listen_at(path);
    struct notify notify;
    char mine[16];
    snprintf(mine, sizeof mine, "%d", (int)getpid());
    open_with(&notify, path, "600000000", mine); /* ten minutes */
    assert_int_equal(notify.watchdog_ms, 600000);
    notify_ready(&notify);
    assert_string_equal(received(server), "READY=1\nWATCHDOG=1\n");
    notify_alive(&notify);
    assert_string_equal(received(server), "");
    notify.alive_ms = clock_mono_ms() - 299000;
    notify_alive(&notify);
    assert_string_equal(received(server), "");
    notify.alive_ms = clock_mono_ms() - 300000;
    notify_alive(&notify);
    assert_string_equal(received(server), "WATCHDOG=1\n");
    notify_alive(&notify);
    assert_string_equal(received(server), "");
    notify_done(&notify);
    close(server);
    assert_int_equal(unlink(path), 0);
}

static void test_init_ignores_a_watchdog_of_others_or_without_a_time(void **state CV_UNUSED)
{
    static const struct {
        const char *time_us, *process;
    } cases[] = {{"1000000", "1"}, {"1000000", "x"}, {"", NULL},   {"0", NULL},
                 {"12x", NULL},    {"-1", NULL},     {NULL, NULL}, {"99999999999999999999", NULL}};
    int server = listen_at(path);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct notify notify;
        open_with(&notify, path, cases[i].time_us, cases[i].process);
        assert_int_equal(notify.watchdog_ms, 0);
        notify_ready(&notify);
        assert_string_equal(received(server), "READY=1\n");
        notify_done(&notify);
    }
    close(server);
    assert_int_equal(unlink(path), 0);
}

static void test_status_is_one_line_and_is_cut_between_characters(void **state CV_UNUSED)
{
    int server = listen_at(path);
    struct notify notify;
    open_with(&notify, path, NULL, NULL);
    notify_status(&notify, "one\nREADY=1\ttwo");
    notify_alive(&notify);
    assert_string_equal(received(server), "STATUS=one READY=1 two\n");

    char text[400] = "", expected[400];
    for (size_t i = 0; i < 130; i++)
        memcpy(text + 2 * i, "\xc3\xa4", 3);
    notify_status(&notify, text); /* its 255 bytes would end in the middle of a character */
    notify_alive(&notify);
    snprintf(expected, sizeof expected, "STATUS=%.254s\n", text);
    assert_string_equal(received(server), expected);
    notify_done(&notify);
    close(server);
    assert_int_equal(unlink(path), 0);
}

static void test_what_was_not_taken_is_sent_again(void **state CV_UNUSED)
{
    struct notify notify;
    open_with(&notify, path, "600000000", NULL);
    notify_ready(&notify); /* nothing listens yet */
    notify_status(&notify, "first");
    notify_alive(&notify);
    notify_status(&notify, "second");
    int server = listen_at(path);
    notify_alive(&notify);
    assert_string_equal(received(server), "READY=1\nWATCHDOG=1\nSTATUS=second\n");

    char last[64] = "";
    for (int i = 0; i < 10000 && !notify.failed; i++) { /* until its queue is full; this must not block */
        snprintf(last, sizeof last, "%d", i);
        notify_status(&notify, last);
        notify_alive(&notify);
    }
    assert_true(notify.failed);
    notify_stopping(&notify);
    while (received(server)[0] != '\0')
        continue;
    notify_alive(&notify);
    char expected[128];
    snprintf(expected, sizeof expected, "STOPPING=1\nSTATUS=%s\n", last);
    assert_string_equal(received(server), expected);
    notify_done(&notify);
    close(server);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_init_without_a_service_manager_sends_nothing),
        cmocka_unit_test(test_init_takes_the_longest_name_and_no_longer_one),
        cmocka_unit_test(test_changes_are_told_once_at_a_path),
        cmocka_unit_test(test_changes_are_told_once_at_an_abstract_name),
        cmocka_unit_test(test_alive_tells_the_watchdog_at_half_of_its_time),
        cmocka_unit_test(test_init_ignores_a_watchdog_of_others_or_without_a_time),
        cmocka_unit_test(test_status_is_one_line_and_is_cut_between_characters),
        cmocka_unit_test(test_what_was_not_taken_is_sent_again),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
