#include "caseview/metrics.h"

#include "caseview/clock.h"
#include "caseview/file.h"
#include "caseview/memory.h"

#include <dirent.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM };

/* Upper bounds of the buckets; the texts are OpenMetrics' canonical numbers. */
static const struct {
    int64_t us;
    const char *text;
} bounds[] = {
    {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},    {2500, "0.0025"}, {5000, "0.005"},
    {10000, "0.01"},  {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"},    {250000, "0.25"}, {500000, "0.5"},
    {1000000, "1.0"}, {2500000, "2.5"}, {5000000, "5.0"}, {10000000, "10.0"},
};

#define BUCKETS (ARRAY_LEN(bounds) + 1) /* the last one has no bound */

struct metric {
    _Atomic(struct metric *) next;
    const struct family *family;
    char *labels; /* without braces, "" for none */
    atomic_bool hidden;
    _Atomic int64_t count;  /* a counter's value */
    _Atomic uint64_t value; /* a gauge's double, as bits */
    _Atomic int64_t sum_us;
    _Atomic int64_t buckets[BUCKETS];
};

struct family {
    _Atomic(struct family *) next;
    enum kind kind;
    char *name; /* as given */
    char *help;
    _Atomic(struct metric *) first;
};

/* Families and series are only ever appended, by one thread, and published with release: a reader needs no lock. */
struct metrics {
    _Atomic(struct family *) first;
    int64_t start_us;
};

/* When the process began: its start is in clock ticks since the boot (field 22), behind a name that may hold anything.
 */
static int64_t process_start_us(void)
{
    struct buf text CV_CLEANUP(buf_done);
    buf_init(&text, 4096);
    unsigned long long ticks = 0;
    const char *rest = file_read("/proc/self/stat", &text, NULL) == CV_OK ? strrchr(text.data, ')') : NULL;
    if (rest == NULL ||
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", &ticks) != 1)
        return clock_wall_us();
    struct timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    int64_t up_us = (int64_t)boot.tv_sec * 1000000 + boot.tv_nsec / 1000;
    int64_t started_us = (int64_t)(ticks * 1000000ULL / (unsigned long long)sysconf(_SC_CLK_TCK));
    return clock_wall_us() - up_us + started_us;
}

struct metrics *metrics_new(void)
{
    struct metrics *metrics = cv_zalloc(sizeof *metrics);
    metrics->start_us = process_start_us();
    return metrics;
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return;
    for (struct family *family = metrics->first; family;) {
        struct family *next_family = family->next;
        for (struct metric *metric = family->first; metric;) {
            struct metric *next = metric->next;
            free(metric->labels);
            free(metric);
            metric = next;
        }
        free(family->name);
        free(family->help);
        free(family);
        family = next_family;
    }
    free(metrics);
}

static struct family *find_family(struct metrics *metrics, enum kind kind, const char *name, const char *help)
{
    _Atomic(struct family *) *link = &metrics->first;
    for (struct family *family; (family = atomic_load(link)); link = &family->next) {
        if (strcmp(family->name, name) == 0) {
            assert(family->kind == kind);
            return family;
        }
    }
    struct family *family = cv_zalloc(sizeof *family);
    family->kind = kind;
    family->name = cv_strdup(name);
    family->help = cv_strdup(help);
    atomic_store_explicit(link, family, memory_order_release);
    return family;
}

static struct metric *find_metric(struct metrics *metrics, enum kind kind, const char *name, const char *labels,
                                  const char *help)
{
    struct family *family = find_family(metrics, kind, name, help);
    if (!labels)
        labels = "";
    _Atomic(struct metric *) *link = &family->first;
    for (struct metric *metric; (metric = atomic_load(link)); link = &metric->next) {
        if (strcmp(metric->labels, labels) == 0) {
            atomic_store(&metric->hidden, false);
            return metric;
        }
    }
    struct metric *metric = cv_zalloc(sizeof *metric);
    metric->family = family;
    metric->labels = cv_strdup(labels);
    atomic_store_explicit(link, metric, memory_order_release);
    return metric;
}

struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *labels, const char *help)
{
    size_t len = strlen(name);
    assert(len > 6 && strcmp(name + len - 6, "_total") == 0);
    return find_metric(metrics, KIND_COUNTER, name, labels, help);
}

struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *labels, const char *help)
{
    return find_metric(metrics, KIND_GAUGE, name, labels, help);
}

struct metric *metrics_histogram(struct metrics *metrics, const char *name, const char *labels, const char *help)
{
    return find_metric(metrics, KIND_HISTOGRAM, name, labels, help);
}

void metrics_hide(struct metric *metric)
{
    atomic_store(&metric->hidden, true);
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

void metric_add(struct metric *metric, int64_t n)
{
    if (metric->family->kind == KIND_GAUGE) {
        uint64_t old = atomic_load_explicit(&metric->value, memory_order_relaxed);
        while (!atomic_compare_exchange_weak_explicit(&metric->value, &old, bits_of(double_of(old) + (double)n),
                                                      memory_order_relaxed, memory_order_relaxed))
            ;
        return;
    }
    assert(metric->family->kind == KIND_COUNTER && n >= 0);
    atomic_fetch_add_explicit(&metric->count, n, memory_order_relaxed);
}

void metric_set(struct metric *metric, double value)
{
    assert(metric->family->kind == KIND_GAUGE);
    atomic_store_explicit(&metric->value, bits_of(value), memory_order_relaxed);
}

void metric_observe_us(struct metric *metric, int64_t us)
{
    assert(metric->family->kind == KIND_HISTOGRAM);
    if (us < 0)
        us = 0;
    size_t i = 0;
    while (i < ARRAY_LEN(bounds) && us > bounds[i].us)
        i++;
    atomic_fetch_add_explicit(&metric->buckets[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&metric->sum_us, us, memory_order_relaxed);
}

double metric_value(const struct metric *metric)
{
    switch (metric->family->kind) {
    case KIND_COUNTER:
        return (double)atomic_load_explicit(&metric->count, memory_order_relaxed);
    case KIND_GAUGE:
        return double_of(atomic_load_explicit(&metric->value, memory_order_relaxed));
    case KIND_HISTOGRAM: {
        int64_t count = 0;
        for (size_t i = 0; i < BUCKETS; i++)
            count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
        return (double)count;
    }
    }
    return 0;
}

/* OpenMetrics wants a point in any locale and its own words for what is not finite. */
static void put_number(struct buf *out, double value)
{
    if (isnan(value)) {
        buf_puts(out, "NaN");
        return;
    }
    if (isinf(value)) {
        buf_puts(out, value > 0 ? "+Inf" : "-Inf");
        return;
    }
    char text[32];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    for (char *p = text; *p; p++)
        if (*p == ',')
            *p = '.';
    buf_puts(out, text);
}

/* Microseconds as seconds, exact. */
static void put_seconds(struct buf *out, int64_t us)
{
    buf_printf(out, "%lld.%06lld", (long long)(us / 1000000), (long long)(us % 1000000));
}

static void put_head(struct buf *out, const char *name, size_t len, const char *type, const char *help)
{
    buf_printf(out, "# TYPE %.*s %s\n# HELP %.*s ", (int)len, name, type, (int)len, name);
    for (const char *p = help; *p; p++) {
        if (*p == '\n') {
            buf_puts(out, "\\n");
            continue;
        }
        if (*p == '\\' || *p == '"')
            buf_byte(out, '\\');
        buf_byte(out, *p);
    }
    buf_byte(out, '\n');
}

static void put_series(struct buf *out, const struct metric *metric, const char *suffix, const char *extra_label)
{
    buf_printf(out, "%s%s", metric->family->name, suffix);
    bool both = metric->labels[0] && extra_label[0];
    if (metric->labels[0] || extra_label[0])
        buf_printf(out, "{%s%s%s}", metric->labels, both ? "," : "", extra_label);
    buf_byte(out, ' ');
}

/* _count is the sum of the buckets just read, so that the page is consistent in itself while others count. */
static void put_histogram(struct buf *out, const struct metric *metric)
{
    int64_t count = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        char label[32];
        snprintf(label, sizeof label, "le=\"%s\"", i < ARRAY_LEN(bounds) ? bounds[i].text : "+Inf");
        count += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
        put_series(out, metric, "_bucket", label);
        buf_printf(out, "%lld\n", (long long)count);
    }
    put_series(out, metric, "_count", "");
    buf_printf(out, "%lld\n", (long long)count);
    put_series(out, metric, "_sum", "");
    put_seconds(out, atomic_load_explicit(&metric->sum_us, memory_order_relaxed));
    buf_byte(out, '\n');
}

static void put_metric(struct buf *out, const struct metric *metric)
{
    switch (metric->family->kind) {
    case KIND_COUNTER:
        put_series(out, metric, "", "");
        buf_printf(out, "%lld\n", (long long)atomic_load_explicit(&metric->count, memory_order_relaxed));
        break;
    case KIND_GAUGE:
        put_series(out, metric, "", "");
        put_number(out, metric_value(metric));
        buf_byte(out, '\n');
        break;
    case KIND_HISTOGRAM:
        put_histogram(out, metric);
        break;
    }
}

/* A family whose series are all hidden has no head either. */
static void put_family(struct buf *out, const struct family *family)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    size_t len = strlen(family->name);
    if (family->kind == KIND_COUNTER)
        len -= 6; /* the family is named without _total */
    bool head = false;
    for (struct metric *metric = atomic_load_explicit(&family->first, memory_order_acquire); metric;
         metric = atomic_load_explicit(&metric->next, memory_order_acquire)) {
        if (atomic_load(&metric->hidden))
            continue;
        if (!head)
            put_head(out, family->name, len, types[family->kind], family->help);
        head = true;
        put_metric(out, metric);
    }
}

static int open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    if (!folder)
        return 0;
    int count = -1; /* the folder's own */
    for (const struct dirent *entry; (entry = readdir(folder));)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void put_process(struct buf *out, const struct metrics *metrics)
{
    static const char cpu[] = "process_cpu_seconds";
    static const char memory[] = "process_resident_memory_bytes";
    static const char start[] = "process_start_time_seconds";
    static const char fds[] = "process_open_fds";
    put_head(out, cpu, sizeof cpu - 1, "counter", "CPU time of the process, user and system.");
    buf_printf(out, "%s_total ", cpu);
    put_seconds(out, clock_cpu_us());
    buf_byte(out, '\n');
    put_head(out, memory, sizeof memory - 1, "gauge", "Memory of the process that is in RAM.");
    buf_printf(out, "%s %zu\n", memory, memory_resident());
    put_head(out, start, sizeof start - 1, "gauge", "Start of the process, in seconds since 1970.");
    buf_printf(out, "%s ", start);
    put_seconds(out, metrics->start_us);
    buf_byte(out, '\n');
    put_head(out, fds, sizeof fds - 1, "gauge", "Open file descriptors.");
    buf_printf(out, "%s %d\n", fds, open_descriptors());
}

void metrics_render(struct metrics *metrics, struct buf *out)
{
    for (struct family *family = atomic_load_explicit(&metrics->first, memory_order_acquire); family;
         family = atomic_load_explicit(&family->next, memory_order_acquire))
        put_family(out, family);
    put_process(out, metrics);
    buf_puts(out, "# EOF\n");
}
