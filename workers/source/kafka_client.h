/*
 * kafka_client.h: what Caseview's clients of Kafka share: creating one, the library's log and errors, and the query
 * for offsets. The group consumer (consumer.h) adds its callbacks; `struct kafka_client` is the one without a group,
 * for watermarks.h and consumer_scan.h.
 */
#ifndef CASEVIEW_SOURCE_KAFKA_CLIENT_H
#define CASEVIEW_SOURCE_KAFKA_CLIENT_H

#include "workers/source/kafka_properties.h"

/* ---- any client ---- */

/* Creates the library's client; conf is taken over in any case. CV_OK, or CV_FATAL with the library's reason. */
enum cv_status kafka_client_new(rd_kafka_conf_t *conf, rd_kafka_t **out_rk, struct err *err) CV_MUST_CHECK;

/*
 * Asks the brokers for an offset of all partitions of the list at once. which: RD_KAFKA_OFFSET_BEGINNING or _END, the
 * last stable offset. Each element then has its offset or its err. Waits at most timeout_ms.
 */
rd_kafka_resp_err_t kafka_client_offsets(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, int64_t which,
                                         int timeout_ms) CV_MUST_CHECK;

/* Makes a text of the library one line, without the user part and the query of any URL in it. */
void kafka_client_redact(const char *text, char *out, size_t size);

/* ---- rate limit: one kind of message is shown at once, then at doubling intervals of 1–60 s while it goes on ---- */

#define KAFKA_LIMIT_KINDS 16 /* with more kinds, the one that was quiet longest is forgotten */

struct kafka_limits {
    struct kafka_limit {
        int key;
        int interval_ms;
        int64_t next_at_ms;
        unsigned suppressed;
    } kinds[KAFKA_LIMIT_KINDS];
};

/* True when a message of this kind may be shown now; *out_suppressed: how many were held back since the last one. */
bool kafka_limits_allow(struct kafka_limits *limits, int key, int64_t now_ms, unsigned *out_suppressed);

/* Writes a log line of the library to our log, rate-limited by its facility. */
void kafka_client_log(struct kafka_limits *limits, int level, const char *facility, const char *text);

/* ---- a client without a group; one thread, and it must not move while it is open ---- */

struct kafka_client {
    rd_kafka_t *rk;
    char problem[256]; /* the last error of a broker or of a connection; "": none */
};

/* Does not wait for a broker. CV_OK or CV_FATAL; closed by kafka_client_close() in either case. */
enum cv_status kafka_client_open(struct kafka_client *client, const struct consumer_options *options,
                                 enum kafka_role role, struct err *err) CV_MUST_CHECK;
void kafka_client_close(struct kafka_client *client);
/* Serves the library's error callback and returns client->problem: the reason when no answer came. */
const char *kafka_client_problem(struct kafka_client *client);

#endif
