#include "caseview/failpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "caseview/clock.h"

#define POINTS_MAX 16

enum action { ACTION_KILL, ACTION_STOP, ACTION_WAIT, ACTION_NOTE, ACTION_COUNT };

struct point {
    char name[48];
    enum action action;
    long nth, count;
};

/* Process-wide, like the environment that lists them. */
static struct point points[POINTS_MAX];
static int point_count = -1; /* -1: the environment is not read yet */

static _Noreturn void give_up(const char *what, const char *value)
{
    fprintf(stderr,
            "fail points: %s: %s; give CASEVIEW_TEST_FAIL_POINTS as NAME:kill|stop|wait|note:NTH,… (at most %d) and"
            " CASEVIEW_TEST_FAIL_FOLDER as a folder\n",
            what, value, POINTS_MAX);
    abort();
}

static void read_point(char *text)
{
    static const char *const actions[ACTION_COUNT] = {"kill", "stop", "wait", "note"};
    struct point *point = &points[point_count];
    char *rest, *end, *name = strtok_r(text, ":", &rest), *action = strtok_r(NULL, ":", &rest);
    if (name == NULL || action == NULL || strlen(name) >= sizeof point->name || point_count == POINTS_MAX - 1)
        give_up("not NAME:ACTION:NTH, or too many", text);
    snprintf(point->name, sizeof point->name, "%s", name);
    point->action = ACTION_COUNT;
    for (int i = 0; i < ACTION_COUNT; i++)
        if (strcmp(action, actions[i]) == 0)
            point->action = (enum action)i;
    point->nth = strtol(rest, &end, 10);
    if (point->action == ACTION_COUNT || *rest == '\0' || *end != '\0' || point->nth < 0)
        give_up("no such action or number", text);
    point_count++;
}

static void read_points(void)
{
    const char *list = getenv("CASEVIEW_TEST_FAIL_POINTS");
    point_count = 0;
    if (list == NULL)
        return;
    if (getenv("CASEVIEW_TEST_FAIL_FOLDER") == NULL)
        give_up("no folder", list);
    char *copy = cv_strdup(list), *rest;
    for (char *item = strtok_r(copy, ",", &rest); item != NULL; item = strtok_r(NULL, ",", &rest))
        read_point(item);
    free(copy);
}

static void report(const struct point *point)
{
    char path[512], line[128];
    snprintf(path, sizeof path, "%s/%d.reached", getenv("CASEVIEW_TEST_FAIL_FOLDER"), (int)getpid());
    int size = snprintf(line, sizeof line, "%s %ld %" PRId64 "\n", point->name, point->count, clock_mono_us());
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, line, (size_t)size) != size)
        give_up("cannot be written", path);
    close(fd);
}

static void wait_for_release(const struct point *point)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s.go", getenv("CASEVIEW_TEST_FAIL_FOLDER"), point->name);
    int fd;
    do
        fd = open(path, O_RDONLY | O_CLOEXEC); /* blocks until a writer opens it */
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        give_up("no such FIFO", path);
    close(fd);
}

static void act(const struct point *point)
{
    report(point);
    switch (point->action) {
    case ACTION_KILL:
        kill(getpid(), SIGKILL);
        break;
    case ACTION_STOP:
        kill(getpid(), SIGSTOP);
        break;
    case ACTION_WAIT:
        wait_for_release(point);
        break;
    case ACTION_NOTE:
    case ACTION_COUNT:
        break;
    }
}

void fail_point_reach(const char *name)
{
    if (point_count < 0)
        read_points();
    for (int i = 0; i < point_count; i++) {
        struct point *point = &points[i];
        if (strcmp(point->name, name) == 0 && (++point->count == point->nth || point->nth == 0))
            act(point);
    }
}

size_t fail_point_number(const char *variable, size_t fallback)
{
    const char *text = getenv(variable);
    return text != NULL ? strtoul(text, NULL, 10) : fallback;
}
