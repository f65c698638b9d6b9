/*
 * bench_consumer: how fast workers/source/consumer.h reads a topic from its beginning to its end as of the start, and
 * how much memory librdkafka takes for it, by queue_bytes and by the caller's work on each record.
 *
 *   bench_consumer BOOTSTRAP TOPIC QUEUE_BYTES WORK_NS [PROPERTY=VALUE…]
 *
 * Prints records/s from the first record to the last, CPU time a record of this process, and the resident memory:
 * before the first record, on average and at most while records flow. The other two topics need not exist.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "caseview/clock.h"
#include "workers/source/consumer.h"

#define BATCH      1000
#define TIMEOUT_US 30000000

struct progress {
    int64_t records, bytes, first_us, last_us, cpu_first_us, received_us;
    int assigned, ended;
    size_t idle_bytes, peak_bytes, samples;
    double sum_bytes;
    int64_t sample_us;
};

static void refuse(const char *text)
{
    fprintf(stderr, "bench_consumer: %s\n", text);
    exit(1);
}

static size_t resident_bytes(void)
{
    unsigned long size, resident;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%lu %lu", &size, &resident) != 2)
        refuse("/proc/self/statm cannot be read");
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static void sample(struct progress *progress)
{
    size_t bytes = resident_bytes();

    progress->sample_us = clock_mono_us();
    progress->samples++;
    progress->sum_bytes += (double)bytes;
    progress->peak_bytes = bytes > progress->peak_bytes ? bytes : progress->peak_bytes;
}

static void before_revoke(void *context CV_UNUSED, const struct consumer_partition_id *revoked CV_UNUSED,
                          size_t count CV_UNUSED, bool lost CV_UNUSED, int budget_ms CV_UNUSED)
{
    refuse("the group revoked partitions: the measurement is void");
}

static void work(int64_t ns)
{
    struct timespec now;

    if (ns == 0)
        return;
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (int64_t end = now.tv_sec * INT64_C(1000000000) + now.tv_nsec + ns;
         now.tv_sec * INT64_C(1000000000) + now.tv_nsec < end;)
        clock_gettime(CLOCK_MONOTONIC, &now);
}

static void take(struct consumer *consumer, const struct consumer_event *event, int64_t work_ns,
                 struct progress *progress)
{
    struct err err = ERR_INIT;

    switch (event->type) {
    case CONSUMER_RECORD:
        if (progress->records++ == 0) {
            progress->first_us = clock_mono_us();
            progress->cpu_first_us = clock_cpu_us();
        }
        progress->bytes += (int64_t)(event->record.key.len + event->record.value.len);
        work(work_ns);
        break;
    case CONSUMER_EOF:
        progress->ended++;
        break;
    case CONSUMER_ASSIGNED:
        if (event->record.topic != TOPIC_CASES)
            break;
        progress->assigned++;
        if (consumer_position(consumer, TOPIC_CASES, event->record.partition, CONSUMER_BEGINNING, &err) != CV_OK)
            refuse(err.text);
        break;
    case CONSUMER_ERROR:
    case CONSUMER_FATAL:
        fprintf(stderr, "%s\n", event->text);
        break;
    case CONSUMER_REVOKED:
    case CONSUMER_OUT_OF_RANGE:
        refuse("a partition was revoked or is out of range");
    }
}

static struct consumer *open_consumer(int argc, char **argv)
{
    struct config_property properties[32] = {{"bootstrap.servers", argv[1]}};
    struct consumer_options options = {.properties = properties,
                                       .property_count = 1,
                                       .topics = {argv[2], "bench-consumer-none-a", "bench-consumer-none-d"},
                                       .queue_bytes = strtoul(argv[3], NULL, 10)};
    char group[64];
    struct consumer *consumer;
    struct err err = ERR_INIT;

    snprintf(group, sizeof group, "bench-consumer-%lld", (long long)clock_wall_us());
    options.group_id = group;
    for (int i = 5; i < argc && options.property_count < ARRAY_LEN(properties); i++) {
        char *equals = strchr(argv[i], '=');
        if (equals == NULL)
            refuse("a property must be PROPERTY=VALUE");
        *equals = '\0';
        properties[options.property_count++] = (struct config_property){argv[i], equals + 1};
    }
    if (consumer_open(&options, before_revoke, NULL, &consumer, &err) != CV_OK)
        refuse(err.text);
    return consumer;
}

int main(int argc, char **argv)
{
    static struct consumer_event events[BATCH];
    struct progress progress = {.received_us = clock_mono_us()};

    if (argc < 5) {
        fprintf(stderr, "usage: bench_consumer BOOTSTRAP TOPIC QUEUE_BYTES WORK_NS [PROPERTY=VALUE…]\n");
        return 2;
    }
    struct consumer *consumer = open_consumer(argc, argv);
    int64_t work_ns = strtol(argv[4], NULL, 10);
    while (progress.ended == 0 || progress.ended < progress.assigned) {
        struct pollfd fd = {.fd = consumer_fd(consumer), .events = POLLIN};
        (void)poll(&fd, 1, 100);
        consumer_fd_drain(consumer);
        if (progress.records == 0)
            progress.idle_bytes = resident_bytes();
        size_t n = consumer_poll(consumer, events, BATCH);
        int64_t before = progress.records;
        for (size_t i = 0; i < n; i++)
            take(consumer, &events[i], work_ns, &progress);
        if (progress.records > before)
            progress.received_us = progress.last_us = clock_mono_us();
        if (progress.records > 0 && clock_mono_us() - progress.sample_us > 10000)
            sample(&progress);
        if (clock_mono_us() - progress.received_us > TIMEOUT_US)
            refuse("no record came for 30 s");
    }
    double seconds = (double)(progress.last_us - progress.first_us) / 1e6;
    double count = progress.records > 0 ? (double)progress.records : 1;
    printf("queue %s bytes, work %s ns: %lld records of %.0f bytes in %.2f s: %.0f records/s, %.2f µs CPU a record; "
           "resident %.1f MiB idle, %.1f MiB on average, %.1f MiB at most\n",
           argv[3], argv[4], (long long)progress.records, (double)progress.bytes / count, seconds,
           seconds > 0 ? count / seconds : 0.0, (double)(clock_cpu_us() - progress.cpu_first_us) / count,
           (double)progress.idle_bytes / 1048576,
           progress.sum_bytes / (double)(progress.samples + !progress.samples) / 1048576,
           (double)progress.peak_bytes / 1048576);
    consumer_close(consumer);
    return 0;
}
