#include "deploy/dev/simulate_sink.h"

#include <errno.h>
#include <stdio.h>

#include "deploy/dev/producer.h"

struct sink {
    struct producer *producer; /* NULL: file */
    FILE *file;
    uint64_t count;
};

enum cv_status sink_open(struct config *config, struct sink **out_sink, struct err *err)
{
    struct sink *sink = cv_zalloc(sizeof *sink);
    const char *output = config_text(config, "output");
    enum cv_status status = CV_OK;
    if (output == NULL) {
        /* Large requests for bulk; no delay when events are paced. */
        const char *linger_ms = config_int(config, "rate") ? "0" : "20";
        status = producer_open(config, linger_ms, &sink->producer, err);
    } else {
        sink->file = strcmp(output, "-") == 0 ? stdout : fopen(output, "we");
        if (sink->file == NULL) {
            err_set(err, "--output %s: %s", output, strerror(errno));
            status = CV_FATAL;
        }
    }
    if (status != CV_OK) {
        sink_close(sink);
        return status;
    }
    *out_sink = sink;
    return CV_OK;
}

void sink_close(struct sink *sink)
{
    if (sink == NULL)
        return;
    producer_close(sink->producer);
    if (sink->file && sink->file != stdout)
        fclose(sink->file);
    free(sink);
}

static enum cv_status file_failed(struct err *err)
{
    err_set(err, "--output: %s", strerror(errno));
    return CV_FATAL;
}

enum cv_status sink_put(struct sink *sink, const json_t *event, struct err *err)
{
    sink->count++;
    if (sink->producer != NULL) {
        enum cv_status status = producer_put(sink->producer, event, sink->count, err);
        return status == CV_PARK ? CV_FATAL : status; /* an invalid event is a bug of the simulator */
    }
    if (json_dumpf(event, sink->file, JSON_COMPACT) || fputc('\n', sink->file) == EOF)
        return file_failed(err);
    return CV_OK;
}

uint64_t sink_count(const struct sink *sink)
{
    return sink->count;
}

void sink_poll(struct sink *sink)
{
    if (sink->producer != NULL)
        producer_poll(sink->producer, 0);
}

enum cv_status sink_drain(struct sink *sink, struct err *err)
{
    if (sink->producer == NULL)
        return fflush(sink->file) ? file_failed(err) : CV_OK;
    producer_drain(sink->producer);
    struct producer_counts counts = producer_counts(sink->producer);
    if (counts.failed == 0)
        return CV_OK;
    err_set(err, "%llu of %llu events were not delivered: %s", (unsigned long long)counts.failed,
            (unsigned long long)counts.sent_in_all, counts.first_failure);
    return CV_RETRY;
}
