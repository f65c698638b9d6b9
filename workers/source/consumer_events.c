#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "workers/source/consumer_internal.h"

#define LIMIT_FIRST_MS 1000
#define LIMIT_LAST_MS  60000
/* Errors waiting to be delivered; a caller that does not poll loses what is above it, assignments never. */
#define PENDING_ERRORS_MAX 64

void consumer_wake(struct consumer *consumer)
{
    uint64_t one = 1;

    if (write(consumer->event_fd, &one, sizeof one) < 0) {
        /* EAGAIN: the counter is at its ceiling, so the descriptor is readable already. */
    }
}

void consumer_push(struct consumer *consumer, enum consumer_event_type type, enum topic topic, int32_t partition,
                   char *text)
{
    if (consumer->pending_count == consumer->pending_cap) {
        consumer->pending_cap = consumer->pending_cap ? consumer->pending_cap * 2 : 64;
        consumer->pending = cv_realloc(consumer->pending, consumer->pending_cap * sizeof *consumer->pending);
    }
    consumer->pending[consumer->pending_count++] = (struct consumer_pending){type, topic, partition, text};
}

/* True when a message of this kind may be shown now; the number held back since the last one goes to out_suppressed. */
static bool limit_allows(struct consumer *consumer, int key, unsigned *out_suppressed)
{
    int64_t now = clock_mono_ms();
    struct consumer_limit *limit = &consumer->limits[0];

    for (size_t i = 0; i < ARRAY_LEN(consumer->limits); i++) {
        struct consumer_limit *candidate = &consumer->limits[i];
        if (candidate->key == key) {
            limit = candidate;
            break;
        }
        if (candidate->next_at_ms < limit->next_at_ms)
            limit = candidate; /* the longest quiet one makes room */
    }
    if (limit->key != key || now > limit->next_at_ms + limit->interval_ms)
        *limit = (struct consumer_limit){.key = key};
    if (now < limit->next_at_ms) {
        limit->suppressed++;
        return false;
    }
    *out_suppressed = limit->suppressed;
    limit->suppressed = 0;
    limit->interval_ms = limit->interval_ms ? limit->interval_ms * 2 : LIMIT_FIRST_MS;
    if (limit->interval_ms > LIMIT_LAST_MS)
        limit->interval_ms = LIMIT_LAST_MS;
    limit->next_at_ms = now + limit->interval_ms;
    return true;
}

void consumer_push_error(struct consumer *consumer, rd_kafka_resp_err_t code, enum topic topic, int32_t partition,
                         const char *text)
{
    unsigned suppressed;
    char *line;

    if (consumer->pending_count >= PENDING_ERRORS_MAX || !limit_allows(consumer, (int)code, &suppressed))
        return;
    int made = suppressed ? asprintf(&line, "%s: %s (%u more like it)", rd_kafka_err2name(code), text, suppressed)
                          : asprintf(&line, "%s: %s", rd_kafka_err2name(code), text);
    if (made >= 0)
        consumer_push(consumer, CONSUMER_ERROR, topic, partition, line);
}

size_t consumer_take_events(struct consumer *consumer, struct consumer_event *out_events, size_t max)
{
    size_t n = consumer->pending_count < max ? consumer->pending_count : max;

    if (n == 0)
        return 0;
    if (n > consumer->told_cap) {
        consumer->told_cap = n;
        consumer->told = cv_realloc(consumer->told, n * sizeof *consumer->told);
    }
    for (size_t i = 0; i < n; i++) {
        struct consumer_pending *pending = &consumer->pending[i];
        out_events[i] = (struct consumer_event){
            .type = pending->type,
            .record = {.topic = pending->topic, .partition = pending->partition, .offset = -1, .timestamp_ms = -1},
            .text = pending->text,
        };
        if (pending->type == CONSUMER_ASSIGNED) {
            struct consumer_partition *p = consumer_find(consumer, pending->topic, pending->partition);
            /* Taken away and given again before the caller heard of either: the last of the two events counts. */
            if (p && p->owned)
                p->announced = true;
        }
        consumer->told[i] = *pending;
    }
    consumer->told_count = n;
    consumer->pending_count -= n;
    memmove(consumer->pending, consumer->pending + n, consumer->pending_count * sizeof *consumer->pending);
    return n;
}

void consumer_forget_told(struct consumer *consumer)
{
    for (size_t i = 0; i < consumer->told_count; i++)
        free(consumer->told[i].text);
    consumer->told_count = 0;
}

void consumer_on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    struct consumer *consumer = opaque;

    if (code != RD_KAFKA_RESP_ERR__FATAL) {
        consumer_push_error(consumer, (rd_kafka_resp_err_t)code, TOPIC_COUNT, -1, reason);
        return;
    }
    char text[512];
    rd_kafka_resp_err_t cause = rd_kafka_fatal_error(rk, text, sizeof text);
    char *line;
    consumer_lose_all(consumer); /* librdkafka revokes nothing by itself until it is closed */
    if (asprintf(&line, "%s: %s", rd_kafka_err2name(cause), text) >= 0)
        consumer_push(consumer, CONSUMER_FATAL, TOPIC_COUNT, -1, line);
}

/* FAIL and ERROR: the error callback says the same. AUTOCREATE: only librdkafka's mock cluster makes topics by itself.
 */
static bool is_noise(const char *facility)
{
    static const char *const names[] = {"FAIL", "ERROR", "AUTOCREATE"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(facility, names[i]) == 0)
            return true;
    return false;
}

void consumer_on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    struct consumer *consumer = rd_kafka_opaque(rk);
    unsigned suppressed = 0;
    unsigned key = 1u << 20; /* apart from the error codes */

    if (level > 5 || is_noise(facility)) {
        log_debug("kafka: %s: %s", facility, text);
        return;
    }
    for (const char *c = facility; *c; c++)
        key = (key * 31 + (unsigned char)*c) | 1u << 20;
    if (!limit_allows(consumer, (int)(key & INT32_MAX), &suppressed))
        return;
    if (level <= 4)
        log_warn("kafka: %s: %s", facility, text);
    else
        log_info("kafka: %s: %s", facility, text);
}

/* Only the last stable offsets are taken: what the fetch answers said last, which no other call gives. */
int consumer_on_stats(rd_kafka_t *rk, char *json, size_t len, void *opaque)
{
    struct consumer *consumer = opaque;
    json_t *root = json_loadb(json, len, 0, NULL);
    json_t *topics = json_object_get(root, "topics");

    (void)rk;
    for (enum topic t = 0; t < TOPIC_COUNT; t++) {
        json_t *partitions = json_object_get(json_object_get(topics, consumer->topics[t].name), "partitions");
        const char *number;
        json_t *one;
        json_object_foreach(partitions, number, one)
        {
            struct consumer_partition *p = consumer_find(consumer, t, (int32_t)strtol(number, NULL, 10));
            json_int_t end = json_integer_value(json_object_get(one, "ls_offset"));
            /* Offsets of before the last start are of no use, and -1001 is "not known". */
            if (p && p->running && end > p->end_offset)
                p->end_offset = end;
        }
    }
    json_decref(root);
    return 0;
}
