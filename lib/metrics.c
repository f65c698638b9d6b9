#include "caseview/metrics.h"

#include "caseview/clock.h"
#include "caseview/file.h"
#include "caseview/memory.h"

#include <dirent.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum kind { KIND_COUNTER, KIND_GAUGE, KIND_HISTOGRAM };

/* Upper bounds of the buckets; the texts are canonical numbers of OpenMetrics, and valid in the text format. */
static const struct {
    int64_t us;
    const char *text;
} bounds[] = {
    {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},    {2500, "0.0025"}, {5000, "0.005"},
    {10000, "0.01"},  {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"},    {250000, "0.25"}, {500000, "0.5"},
    {1000000, "1.0"}, {2500000, "2.5"}, {5000000, "5.0"}, {10000000, "10.0"},
};

#define BUCKETS (ARRAY_LEN(bounds) + 1) /* the last one has no upper bound */

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

/*
 * One thread appends families and series and publishes them with release order: readers need no lock. Nothing is
 * removed.
 */
struct metrics {
    _Atomic(struct family *) first;
    int64_t start_us;
};

/* Start of the process, from proc(5): field 22, in clock ticks since boot, after a name that may contain anything. */
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
    if (metrics == NULL)
        return;
    for (struct family *family = metrics->first; family != NULL;) {
        struct family *next_family = family->next;
        for (struct metric *metric = family->first; metric != NULL;) {
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
    for (struct family *family; (family = atomic_load(link)) != NULL; link = &family->next) {
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
    if (labels == NULL)
        labels = "";
    _Atomic(struct metric *) *link = &family->first;
    for (struct metric *metric; (metric = atomic_load(link)) != NULL; link = &metric->next) {
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

/* Both formats want a decimal point in any locale, and these words for what is not finite. */
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
    for (char *p = text; *p != '\0'; p++)
        if (*p == ',')
            *p = '.';
    buf_puts(out, text);
}

/* Microseconds as seconds, exact. */
static void put_seconds(struct buf *out, int64_t us)
{
    buf_printf(out, "%lld.%06lld", (long long)(us / 1000000), (long long)(us % 1000000));
}

/* Help texts are escaped: OpenMetrics escapes quotation marks too. */
static void put_help(struct buf *out, enum metrics_format format, const char *help)
{
    for (const char *p = help; *p != '\0'; p++) {
        if (*p == '\n') {
            buf_puts(out, "\\n");
            continue;
        }
        if (*p == '\\' || (*p == '"' && format == METRICS_OPENMETRICS))
            buf_byte(out, '\\');
        buf_byte(out, *p);
    }
    buf_byte(out, '\n');
}

/* name: of the series. The family of a counter is named without its _total in OpenMetrics, and with it in text. */
static void put_head(struct buf *out, enum metrics_format format, const char *name, enum kind kind, const char *help)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    int len = (int)strlen(name);
    if (kind == KIND_COUNTER && format == METRICS_OPENMETRICS)
        len -= (int)strlen("_total");
    buf_printf(out, "# HELP %.*s ", len, name);
    put_help(out, format, help);
    buf_printf(out, "# TYPE %.*s %s\n", len, name, types[kind]);
}

static void put_series(struct buf *out, const struct metric *metric, const char *suffix, const char *extra_label)
{
    buf_printf(out, "%s%s", metric->family->name, suffix);
    bool both = metric->labels[0] && extra_label[0];
    if (metric->labels[0] || extra_label[0])
        buf_printf(out, "{%s%s%s}", metric->labels, both ? "," : "", extra_label);
    buf_byte(out, ' ');
}

/* _count is the sum of the buckets that were read, so that both agree while other threads count. */
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
static void put_family(struct buf *out, enum metrics_format format, const struct family *family)
{
    bool head = false;
    for (struct metric *metric = atomic_load_explicit(&family->first, memory_order_acquire); metric != NULL;
         metric = atomic_load_explicit(&metric->next, memory_order_acquire)) {
        if (atomic_load(&metric->hidden))
            continue;
        if (!head)
            put_head(out, format, family->name, family->kind, family->help);
        head = true;
        put_metric(out, metric);
    }
}

static int open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return 0;
    int count = -1; /* without the descriptor of this folder */
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void put_process(struct buf *out, enum metrics_format format, const struct metrics *metrics)
{
    static const char cpu[] = "process_cpu_seconds_total";
    static const char memory[] = "process_resident_memory_bytes";
    static const char start[] = "process_start_time_seconds";
    static const char fds[] = "process_open_fds";
    static const char max_fds[] = "process_max_fds";
    struct rlimit files = {0};
    put_head(out, format, cpu, KIND_COUNTER, "CPU time of the process, user and system.");
    buf_printf(out, "%s ", cpu);
    put_seconds(out, clock_cpu_us());
    buf_byte(out, '\n');
    put_head(out, format, memory, KIND_GAUGE, "Resident memory of the process.");
    buf_printf(out, "%s %zu\n", memory, memory_resident());
    put_head(out, format, start, KIND_GAUGE, "Start time of the process, in seconds since 1970.");
    buf_printf(out, "%s ", start);
    put_seconds(out, metrics->start_us);
    buf_byte(out, '\n');
    put_head(out, format, fds, KIND_GAUGE, "Open file descriptors.");
    buf_printf(out, "%s %d\n", fds, open_descriptors());
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY)
        return;
    put_head(out, format, max_fds, KIND_GAUGE, "Limit of open file descriptors.");
    buf_printf(out, "%s %llu\n", max_fds, (unsigned long long)files.rlim_cur);
}

void metrics_write(struct metrics *metrics, enum metrics_format format, struct buf *out)
{
    for (struct family *family = atomic_load_explicit(&metrics->first, memory_order_acquire); family != NULL;
         family = atomic_load_explicit(&family->next, memory_order_acquire))
        put_family(out, format, family);
    put_process(out, format, metrics);
    if (format == METRICS_OPENMETRICS)
        buf_puts(out, "# EOF\n");
}

const char *metrics_content_type(enum metrics_format format)
{
    switch (format) {
    case METRICS_TEXT:
        return "text/plain; version=0.0.4; charset=utf-8";
    case METRICS_OPENMETRICS:
        break;
    }
    return "application/openmetrics-text; version=1.0.0; charset=utf-8";
}

static struct str trim(struct str text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = (struct str){text.ptr + 1, text.len - 1};
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Cuts the text up to the next `end` off *rest, without it. */
static struct str cut(struct str *rest, char end)
{
    const char *found = memchr(rest->ptr, end, rest->len);
    struct str part = {rest->ptr, found != NULL ? (size_t)(found - rest->ptr) : rest->len};
    size_t used = part.len + (found != NULL);
    *rest = (struct str){rest->ptr + used, rest->len - used};
    return trim(part);
}

static bool is(struct str text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.ptr, word, text.len) == 0;
}

/* q=0, q=0.000: not wanted. */
static bool is_zero(struct str number)
{
    size_t i = 0;
    while (i < number.len && (number.ptr[i] == '0' || number.ptr[i] == '.'))
        i++;
    return number.len > 0 && number.ptr[0] == '0' && i == number.len;
}

/* One media range of Accept: `application/openmetrics-text; version=1.0.0; q=0.5`. */
static bool accepts_openmetrics(struct str range)
{
    if (!is(cut(&range, ';'), "application/openmetrics-text"))
        return false;
    while (range.len > 0) {
        struct str value = cut(&range, ';'), name = cut(&value, '=');
        value = trim(value);
        if (value.len >= 2 && value.ptr[0] == '"' && value.ptr[value.len - 1] == '"')
            value = (struct str){value.ptr + 1, value.len - 2};
        if ((is(name, "version") && !is(value, "1.0.0") && !is(value, "0.0.1")) || (is(name, "q") && is_zero(value)))
            return false;
    }
    return true;
}

enum metrics_format metrics_format_of(const char *accept)
{
    struct str rest = str_of(accept != NULL ? accept : "");
    while (rest.len > 0)
        if (accepts_openmetrics(cut(&rest, ',')))
            return METRICS_OPENMETRICS;
    return METRICS_TEXT;
}
