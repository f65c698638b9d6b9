/* The series of one partition: shown with its present state only, and hidden with it. */
#include "tests/unit/worker/partitions_fixture.h"
#include "workers/worker_metrics.h"

#include <stdio.h>

static struct metrics *metrics;
static struct worker_metrics m;
static struct partition *partition;

static int set_up(void **state)
{
    open_partitions(state);
    metrics = metrics_new();
    worker_metrics_init(&m, metrics, topic_names, 2, 64u << 20);
    partition = partitions_add(&partitions, TOPIC_CASES, 7);
    worker_metrics_show_partition(&m, partition);
    return 0;
}

static int tear_down(void **state)
{
    metrics_free(metrics);
    return close_partitions(state);
}

/* The page has this line, and only one series of the state. */
static void assert_state(const char *labels)
{
    char line[300];
    struct buf page CV_CLEANUP(buf_done);
    buf_init(&page, 1u << 20);
    metrics_write(metrics, METRICS_TEXT, &page);
    buf_byte(&page, '\0');
    snprintf(line, sizeof line,
             "\ncaseview_partition_state{topic=\"case-events\",partition=\"7\",generation=\"2\",%s} 1\n", labels);
    assert_non_null(strstr(page.data, line));
    const char *first = strstr(page.data, "\ncaseview_partition_state{");
    assert_null(strstr(first + 1, "\ncaseview_partition_state{"));
}

static void test_show_state_follows_the_partition(void **unused CV_UNUSED)
{
    assert_state("state=\"unclaimed\"");
    partition->state = PARTITION_LIVE;
    worker_metrics_show_state(&m, partition);
    worker_metrics_show_state(&m, partition);
    assert_state("state=\"live\"");
    partition->state = PARTITION_HELD;
    worker_metrics_show_state(&m, partition);
    assert_state("state=\"held\"");
    partition->state = PARTITION_LIVE;
    worker_metrics_show_state(&m, partition);
    assert_state("state=\"live\"");
}

static void test_show_state_names_known_reasons_only(void **unused CV_UNUSED)
{
    partition->state = PARTITION_HALTED;
    partition->cursor.state = CURSOR_HALTED;
    strcpy(partition->cursor.reason, "retention-gap");
    worker_metrics_show_state(&m, partition);
    assert_state("state=\"halted\",reason=\"retention-gap\"");
    strcpy(partition->cursor.reason, "of \"another\" version");
    worker_metrics_show_state(&m, partition);
    assert_state("state=\"halted\"");
    partition->cursor.state = CURSOR_PAUSED;
    strcpy(partition->cursor.reason, "retention-gap");
    worker_metrics_show_state(&m, partition);
    assert_state("state=\"paused\"");
}

static void test_hide_partition_leaves_none_of_its_series(void **unused CV_UNUSED)
{
    struct buf page CV_CLEANUP(buf_done);
    buf_init(&page, 1u << 20);
    worker_metrics_hide_partition(partition);
    metrics_write(metrics, METRICS_TEXT, &page);
    buf_byte(&page, '\0');
    assert_null(strstr(page.data, "partition=\"7\""));
    partition->shown_state = NULL; /* assigned again */
    partition->state_shown = NULL;
    worker_metrics_show_partition(&m, partition);
    assert_state("state=\"unclaimed\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_show_state_follows_the_partition, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_show_state_names_known_reasons_only, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hide_partition_leaves_none_of_its_series, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
