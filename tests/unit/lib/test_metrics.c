#include "caseview/clock.h"
#include "caseview/metrics.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#include <cmocka.h>

/* The page without the process_* series, which come last. */
static const char *page(struct metrics *metrics, struct buf *buf)
{
    buf_reset(buf);
    metrics_write(metrics, METRICS_OPENMETRICS, buf);
    char *own = strstr(buf->data, "# HELP process_cpu_seconds ");
    assert_non_null(own);
    *own = '\0';
    return buf->data;
}

static void test_render_exact_text(void **state CV_UNUSED)
{
    struct metrics *metrics = metrics_new();
    struct buf buf;
    buf_init(&buf, 1 << 20);
    assert_string_equal(page(metrics, &buf), "");

    struct metric *parked = metrics_counter(metrics, "caseview_parked_total", "reason=\"bad-guid\"",
                                            "Parked \"events\"\\\n.");
    struct metric *lag = metrics_gauge(metrics, "caseview_lag", NULL, "Lag.");
    struct metric *other = metrics_counter(metrics, "caseview_parked_total", "reason=\"bad-text\"", "ignored");
    assert_ptr_equal(metrics_counter(metrics, "caseview_parked_total", "reason=\"bad-guid\"", "x"), parked);
    metric_add(parked, 3);
    metric_add(other, INT64_C(9007199254740993));
    metric_set(lag, 0.1);
    assert_string_equal(page(metrics, &buf), "# HELP caseview_parked Parked \\\"events\\\"\\\\\\n.\n"
                                             "# TYPE caseview_parked counter\n"
                                             "caseview_parked_total{reason=\"bad-guid\"} 3\n"
                                             "caseview_parked_total{reason=\"bad-text\"} 9007199254740993\n"
                                             "# HELP caseview_lag Lag.\n"
                                             "# TYPE caseview_lag gauge\n"
                                             "caseview_lag 0.1\n");
    assert_true(metric_value(parked) == 3);
    assert_true(metric_value(lag) == 0.1);
    buf_done(&buf);
    metrics_free(metrics);
    metrics_free(NULL);
}

static void test_write_text_names_counters_whole_and_has_no_end(void **state CV_UNUSED)
{
    struct metrics *metrics = metrics_new();
    struct buf buf CV_CLEANUP(buf_done);
    buf_init(&buf, 1 << 20);
    metric_add(metrics_counter(metrics, "c_total", "a=\"b\"", "A \"C\"\\\n."), 3);
    metric_observe_us(metrics_histogram(metrics, "h_seconds", NULL, "H."), 1000);
    metrics_write(metrics, METRICS_TEXT, &buf);
    static const char begin[] = "# HELP c_total A \"C\"\\\\\\n.\n# TYPE c_total counter\nc_total{a=\"b\"} 3\n"
                                "# HELP h_seconds H.\n# TYPE h_seconds histogram\nh_seconds_bucket{le=\"0.0001\"} 0\n";
    assert_memory_equal(buf.data, begin, sizeof begin - 1);
    assert_non_null(strstr(buf.data, "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total "));
    assert_null(strstr(buf.data, "EOF"));
    metrics_free(metrics);
}

static void test_format_of_accept(void **state CV_UNUSED)
{
    static const struct {
        const char *accept;
        enum metrics_format format;
    } cases[] = {
        {NULL, METRICS_TEXT},
        {"", METRICS_TEXT},
        {"*/*", METRICS_TEXT},
        {"text/plain;version=0.0.4", METRICS_TEXT},
        {"text/plain;version=0.0.4;q=1,*/*;q=0.1", METRICS_TEXT},
        {"application/openmetrics-text", METRICS_OPENMETRICS},
        {"Application/OpenMetrics-Text ; Version=\"1.0.0\"", METRICS_OPENMETRICS},
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
         "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         METRICS_OPENMETRICS},
        {"text/plain, application/openmetrics-text; q=0.001", METRICS_OPENMETRICS},
        {"application/openmetrics-text; q=0", METRICS_TEXT},
        {"application/openmetrics-text; q=0.000, text/plain", METRICS_TEXT},
        {"application/openmetrics-text;version=2.0.0,text/plain", METRICS_TEXT},
        {"application/openmetrics-text;version=2.0.0,application/openmetrics-text;version=1.0.0", METRICS_OPENMETRICS},
        {"application/openmetrics-textual", METRICS_TEXT},
        {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", METRICS_TEXT},
        {",;=,;q", METRICS_TEXT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (metrics_format_of(cases[i].accept) != cases[i].format)
            fail_msg("%s", cases[i].accept != NULL ? cases[i].accept : "(none)");
    assert_string_equal(metrics_content_type(METRICS_TEXT), "text/plain; version=0.0.4; charset=utf-8");
    assert_string_equal(metrics_content_type(METRICS_OPENMETRICS),
                        "application/openmetrics-text; version=1.0.0; charset=utf-8");
}

static void test_hide_takes_series_and_empty_families_away(void **state CV_UNUSED)
{
    struct metrics *metrics = metrics_new();
    struct buf buf;
    buf_init(&buf, 1 << 20);
    struct metric *a = metrics_gauge(metrics, "g", "p=\"0\"", "G.");
    struct metric *b = metrics_gauge(metrics, "g", "p=\"1\"", "G.");
    metric_set(b, 2);
    metrics_hide(a);
    assert_string_equal(page(metrics, &buf), "# HELP g G.\n# TYPE g gauge\ng{p=\"1\"} 2\n");
    metrics_hide(b);
    assert_string_equal(page(metrics, &buf), "");
    assert_ptr_equal(metrics_gauge(metrics, "g", "p=\"1\"", "G."), b);
    assert_string_equal(page(metrics, &buf), "# HELP g G.\n# TYPE g gauge\ng{p=\"1\"} 2\n");
    buf_done(&buf);
    metrics_free(metrics);
}

static void test_gauge_values(void **state CV_UNUSED)
{
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {-1, "-1"},
                 {1e300, "1e+300"},
                 {1.0 / 3, "0.3333333333333333"},
                 {(double)NAN, "NaN"},
                 {(double)INFINITY, "+Inf"},
                 {-(double)INFINITY, "-Inf"},
                 {1712834018.008222, "1712834018.008222"}};
    struct metrics *metrics = metrics_new();
    struct metric *gauge = metrics_gauge(metrics, "g", NULL, "G.");
    struct buf buf;
    buf_init(&buf, 1 << 20);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        metric_set(gauge, cases[i].value);
        char expected[100];
        snprintf(expected, sizeof expected, "# HELP g G.\n# TYPE g gauge\ng %s\n", cases[i].text);
        assert_string_equal(page(metrics, &buf), expected);
    }
    metric_set(gauge, 5);
    metric_add(gauge, -7);
    assert_true(metric_value(gauge) == -2);
    buf_done(&buf);
    metrics_free(metrics);
}

static void test_histogram_is_cumulative_with_inclusive_bounds(void **state CV_UNUSED)
{
    struct metrics *metrics = metrics_new();
    struct metric *histogram = metrics_histogram(metrics, "h_seconds", "k=\"v\"", "H.");
    static const int64_t values[] = {-5, 0, 100, 101, 250, 10000000, 10000001, 1000000};
    for (size_t i = 0; i < ARRAY_LEN(values); i++)
        metric_observe_us(histogram, values[i]);
    struct buf buf;
    buf_init(&buf, 1 << 20);
    assert_string_equal(page(metrics, &buf), "# HELP h_seconds H.\n"
                                             "# TYPE h_seconds histogram\n"
                                             "h_seconds_bucket{k=\"v\",le=\"0.0001\"} 3\n"
                                             "h_seconds_bucket{k=\"v\",le=\"0.00025\"} 5\n"
                                             "h_seconds_bucket{k=\"v\",le=\"0.0005\"} 5\n"
                                             "h_seconds_bucket{k=\"v\",le=\"0.001\"} 5\n"
                                             "h_seconds_bucket{k=\"v\",le=\"0.0025\"} 5\n"
                                             "h_seconds_bucket{k=\"v\",le=\"0.005\"} 5\n"
                                             "h_seconds_bucket{k=\"v\",le=\"0.01\"} 5\n"
                                             "h_seconds_bucket{k=\"v\",le=\"0.025\"} 5\n"
                                             "h_seconds_bucket{k=\"v\",le=\"0.05\"} 5\n"
                                             "h_seconds_bucket{k=\"v\",le=\"0.1\"} 5\n"
                                             "h_seconds_bucket{k=\"v\",le=\"0.25\"} 5\n"
                                             "h_seconds_bucket{k=\"v\",le=\"0.5\"} 5\n"
                                             "h_seconds_bucket{k=\"v\",le=\"1.0\"} 6\n"
                                             "h_seconds_bucket{k=\"v\",le=\"2.5\"} 6\n"
                                             "h_seconds_bucket{k=\"v\",le=\"5.0\"} 6\n"
                                             "h_seconds_bucket{k=\"v\",le=\"10.0\"} 7\n"
                                             "h_seconds_bucket{k=\"v\",le=\"+Inf\"} 8\n"
                                             "h_seconds_count{k=\"v\"} 8\n"
                                             "h_seconds_sum{k=\"v\"} 21.000452\n");
    assert_true(metric_value(histogram) == 8);
    buf_done(&buf);
    metrics_free(metrics);
}

/* The value of the series `name`. */
static double sample(const char *text, const char *name)
{
    char start[100];
    snprintf(start, sizeof start, "\n%s ", name);
    const char *line = strstr(text, start);
    if (line == NULL)
        fail_msg("no %s", name);
    return strtod(line + strlen(start), NULL);
}

static void test_render_process_series_and_end(void **state CV_UNUSED)
{
    struct metrics *metrics = metrics_new();
    struct buf buf;
    buf_init(&buf, 1 << 20);
    metrics_write(metrics, METRICS_OPENMETRICS, &buf);
    assert_string_equal(buf.data + buf.len - 6, "# EOF\n");
    double cpu = sample(buf.data, "process_cpu_seconds_total");
    assert_true(cpu >= 0 && fabs(cpu - (double)clock_cpu_us() / 1e6) < 5);
    assert_true(sample(buf.data, "process_resident_memory_bytes") > 100000);
    double started = sample(buf.data, "process_start_time_seconds");
    double now = (double)clock_wall_us() / 1e6;
    assert_true(started > now - 200 && started < now + 1);

    int before = (int)sample(buf.data, "process_open_fds");
    assert_true(before >= 3);
    FILE *file = fopen("/dev/null", "re");
    assert_non_null(file);
    buf_reset(&buf);
    metrics_write(metrics, METRICS_OPENMETRICS, &buf);
    assert_int_equal((int)sample(buf.data, "process_open_fds"), before + 1);
    assert_true(sample(buf.data, "process_max_fds") >= before + 1);
    fclose(file);
    buf_done(&buf);
    metrics_free(metrics);
}

static struct metrics *shared_metrics;
static atomic_bool done;

static void *render_until_done(void *context CV_UNUSED)
{
    struct buf buf;
    buf_init(&buf, 1 << 20);
    while (!atomic_load(&done)) {
        buf_reset(&buf);
        metrics_write(shared_metrics, METRICS_OPENMETRICS, &buf);
    }
    buf_done(&buf);
    return NULL;
}

static void *count(void *context)
{
    struct metric *const *metric = context;
    for (int i = 0; i < 20000; i++) {
        metric_add(metric[0], 1);
        metric_add(metric[1], 1);
        metric_observe_us(metric[2], i);
    }
    return NULL;
}

static void test_threads_lose_no_count_while_series_are_added(void **state CV_UNUSED)
{
    shared_metrics = metrics_new();
    struct metric *metric[3] = {metrics_counter(shared_metrics, "c_total", NULL, "C."),
                                metrics_gauge(shared_metrics, "g", NULL, "G."),
                                metrics_histogram(shared_metrics, "h", NULL, "H.")};
    pthread_t threads[5];
    assert_int_equal(pthread_create(&threads[0], NULL, render_until_done, NULL), 0);
    for (size_t i = 1; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, metric), 0);
    for (int i = 0; i < 200; i++) {
        char labels[32];
        snprintf(labels, sizeof labels, "n=\"%d\"", i);
        metric_set(metrics_gauge(shared_metrics, "series", labels, "S."), i);
    }
    for (size_t i = 1; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    atomic_store(&done, true);
    pthread_join(threads[0], NULL);
    for (int i = 0; i < 3; i++)
        assert_true(metric_value(metric[i]) == 80000);
    metrics_free(shared_metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_render_exact_text),
        cmocka_unit_test(test_write_text_names_counters_whole_and_has_no_end),
        cmocka_unit_test(test_format_of_accept),
        cmocka_unit_test(test_hide_takes_series_and_empty_families_away),
        cmocka_unit_test(test_gauge_values),
        cmocka_unit_test(test_histogram_is_cumulative_with_inclusive_bounds),
        cmocka_unit_test(test_render_process_series_and_end),
        cmocka_unit_test(test_threads_lose_no_count_while_series_are_added),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
