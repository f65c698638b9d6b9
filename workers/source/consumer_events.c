#include "workers/source/consumer_events.h"

#include <errno.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "caseview/clock.h"

/* Maximum number of errors queued for delivery. Further errors are dropped; assignments never are. */
#define PENDING_ERRORS_MAX 64

enum cv_status consumer_events_init(struct consumer_events *events, struct err *err)
{
    *events = (struct consumer_events){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (events->fd >= 0)
        return CV_OK;
    err_set(err, "eventfd: %s", strerror(errno));
    return CV_FATAL;
}

void consumer_events_done(struct consumer_events *events)
{
    if (events->fd >= 0)
        close(events->fd);
    consumer_events_release(events);
    for (size_t i = 0; i < events->pending_count; i++)
        free(events->pending[i].text);
    free(events->pending);
    free(events->delivered);
}

void consumer_events_wake(struct consumer_events *events)
{
    uint64_t one = 1;

    if (write(events->fd, &one, sizeof one) < 0) {
        /* EAGAIN: the counter is at its ceiling, so the descriptor is readable already. */
    }
}

void consumer_events_drain(struct consumer_events *events)
{
    uint64_t count;

    if (read(events->fd, &count, sizeof count) < 0) {
        /* EAGAIN: nothing was there. */
    }
}

void consumer_events_add(struct consumer_events *events, enum consumer_event_type type, enum topic topic,
                         int32_t partition, char *text)
{
    events->pending = cv_grow(events->pending, events->pending_count, &events->pending_cap, sizeof *events->pending);
    events->pending[events->pending_count++] = (struct consumer_pending){type, topic, partition, text};
}

void consumer_events_add_error(struct consumer_events *events, rd_kafka_resp_err_t code, enum topic topic,
                               int32_t partition, const char *text)
{
    unsigned suppressed;
    char shown[512], *line;

    kafka_client_redact(text, shown, sizeof shown);
    /* "All brokers are down" follows the error that says why. */
    if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || events->problem[0] == '\0')
        snprintf(events->problem, sizeof events->problem, "%s: %.200s", rd_kafka_err2name(code), shown);
    if (events->pending_count >= PENDING_ERRORS_MAX ||
        !kafka_limits_allow(&events->limits, (int)code, clock_mono_ms(), &suppressed))
        return;
    int length = suppressed > 0 ? asprintf(&line, "%s: %s (%u similar errors were not shown)", rd_kafka_err2name(code),
                                           shown, suppressed)
                                : asprintf(&line, "%s: %s", rd_kafka_err2name(code), shown);
    if (length >= 0)
        consumer_events_add(events, CONSUMER_ERROR, topic, partition, line);
}

size_t consumer_events_take(struct consumer_events *events, struct consumer_event *out_events, size_t max)
{
    size_t n = events->pending_count < max ? events->pending_count : max;

    if (n == 0)
        return 0;
    if (n > events->delivered_cap) {
        events->delivered_cap = n;
        events->delivered = cv_realloc(events->delivered, n * sizeof *events->delivered);
    }
    for (size_t i = 0; i < n; i++) {
        const struct consumer_pending *pending = &events->pending[i];
        out_events[i] = (struct consumer_event){
            .type = pending->type,
            .record = {.topic = pending->topic, .partition = pending->partition, .offset = -1, .timestamp_ms = -1},
            .text = pending->text,
        };
        events->delivered[i] = *pending;
    }
    events->delivered_count = n;
    events->pending_count -= n;
    memmove(events->pending, events->pending + n, events->pending_count * sizeof *events->pending);
    return n;
}

void consumer_events_release(struct consumer_events *events)
{
    for (size_t i = 0; i < events->delivered_count; i++)
        free(events->delivered[i].text);
    events->delivered_count = 0;
}
