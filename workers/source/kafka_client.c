#include "workers/source/kafka_client.h"

#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/log.h"

#define LIMIT_FIRST_MS 1000
#define LIMIT_LAST_MS  60000

/* ---- any client ---- */

enum cv_status kafka_client_new(rd_kafka_conf_t *conf, rd_kafka_t **out_rk, struct err *err)
{
    char text[512], shown[512];
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, text, sizeof text);

    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        kafka_client_redact(text, shown, sizeof shown);
        err_set(err, "kafka: %s", shown);
        return CV_FATAL;
    }
    *out_rk = rk;
    return CV_OK;
}

/*
 * rd_kafka_query_watermark_offsets() would be the call for this, but it waits indefinitely for an unavailable leader
 * (2.0.2). This one respects its timeout and passes the two special times to the broker unchanged. The end is the last
 * stable offset because the request has our isolation level.
 */
rd_kafka_resp_err_t kafka_client_offsets(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, int64_t which,
                                         int timeout_ms)
{
    for (int i = 0; i < list->cnt; i++) {
        list->elems[i].offset = which;
        list->elems[i].err = RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(rk, list, timeout_ms);
    for (int i = 0; !code && i < list->cnt; i++)
        if (!list->elems[i].err && list->elems[i].offset < 0)
            list->elems[i].err = RD_KAFKA_RESP_ERR__BAD_MSG;
    return code;
}

void kafka_client_redact(const char *text, char *out, size_t size)
{
    size_t used = 0;

    while (*text != '\0' && used + 1 < size) {
        if (strncmp(text, "://", 3) != 0) {
            out[used++] = *text++;
            continue;
        }
        const char *end = text + strcspn(text, " \t\r\n\"'<>");
        const char *at = memrchr(text, '@', (size_t)(end - text));
        const char *host = at != NULL ? at + 1 : text + 3;
        const char *query = memchr(host, '?', (size_t)(end - host));
        int length = snprintf(out + used, size - used, "://%.*s", (int)((query != NULL ? query : end) - host), host);
        used = used + (size_t)length < size ? used + (size_t)length : size - 1;
        text = end;
    }
    out[used] = '\0';
}

/* ---- rate limit ---- */

bool kafka_limits_allow(struct kafka_limits *limits, int key, int64_t now_ms, unsigned *out_suppressed)
{
    struct kafka_limit *limit = &limits->kinds[0];

    for (size_t i = 0; i < ARRAY_LEN(limits->kinds); i++) {
        struct kafka_limit *candidate = &limits->kinds[i];
        if (candidate->key == key) {
            limit = candidate;
            break;
        }
        if (candidate->next_at_ms < limit->next_at_ms)
            limit = candidate;
    }
    if (limit->key != key || now_ms > limit->next_at_ms + limit->interval_ms)
        *limit = (struct kafka_limit){.key = key};
    if (now_ms < limit->next_at_ms) {
        limit->suppressed++;
        return false;
    }
    *out_suppressed = limit->suppressed;
    limit->suppressed = 0;
    limit->interval_ms = limit->interval_ms > 0 ? limit->interval_ms * 2 : LIMIT_FIRST_MS;
    if (limit->interval_ms > LIMIT_LAST_MS)
        limit->interval_ms = LIMIT_LAST_MS;
    limit->next_at_ms = now_ms + limit->interval_ms;
    return true;
}

/* FAIL and ERROR: the error callback reports the same. AUTOCREATE: only librdkafka's mock cluster creates topics. */
static bool is_noise(const char *facility)
{
    static const char *const names[] = {"FAIL", "ERROR", "AUTOCREATE"};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(facility, names[i]) == 0)
            return true;
    return false;
}

void kafka_client_log(struct kafka_limits *limits, int level, const char *facility, const char *text)
{
    unsigned suppressed = 0;
    unsigned key = 1u << 20; /* error codes have smaller keys */
    char shown[512];

    kafka_client_redact(text, shown, sizeof shown);
    if (level > 5 || is_noise(facility)) {
        log_debug("kafka: %s: %s", facility, shown);
        return;
    }
    for (const char *c = facility; *c != '\0'; c++)
        key = (key * 31 + (unsigned char)*c) | 1u << 20;
    if (!kafka_limits_allow(limits, (int)(key & INT32_MAX), clock_mono_ms(), &suppressed))
        return;
    if (level <= 4)
        log_warn("kafka: %s: %s", facility, shown);
    else
        log_info("kafka: %s: %s", facility, shown);
}

/* ---- a client without a group ---- */

/* Called on the library's threads. Errors that matter are also the status of a call. */
static void on_log(const rd_kafka_t *rk CV_UNUSED, int level CV_UNUSED, const char *facility, const char *text)
{
    char shown[512];

    kafka_client_redact(text, shown, sizeof shown);
    log_debug("kafka: %s: %s", facility, shown);
}

/* Called from rd_kafka_poll(), on the thread of the client's user. */
static void on_error(rd_kafka_t *rk CV_UNUSED, int code, const char *reason, void *opaque)
{
    struct kafka_client *client = opaque;
    char shown[200];

    /* "All brokers are down" follows the error that says why. */
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && client->problem[0] != '\0')
        return;
    kafka_client_redact(reason, shown, sizeof shown);
    snprintf(client->problem, sizeof client->problem, "%s: %s", rd_kafka_err2name((rd_kafka_resp_err_t)code), shown);
}

enum cv_status kafka_client_open(struct kafka_client *client, const struct consumer_options *options,
                                 enum kafka_role role, struct err *err)
{
    rd_kafka_conf_t *conf;
    enum cv_status status = kafka_properties_new(options, role, &conf, err);

    *client = (struct kafka_client){.rk = NULL};
    if (status != CV_OK)
        return status;
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_opaque(conf, client);
    return kafka_client_new(conf, &client->rk, err);
}

void kafka_client_close(struct kafka_client *client)
{
    if (client->rk != NULL)
        rd_kafka_destroy_flags(client->rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    client->rk = NULL;
}

const char *kafka_client_problem(struct kafka_client *client)
{
    while (rd_kafka_poll(client->rk, 0) > 0) {
        /* Each event may have another error; the last one counts. */
    }
    return client->problem;
}
