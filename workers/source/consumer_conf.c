#include <stdio.h>
#include <stdlib.h>

#include "workers/source/consumer_internal.h"

/* Set by Caseview alone; a user's value is refused, since what it would change breaks a guarantee. */
static const struct fixed_property {
    const char *name;
    const char *value; /* NULL: comes from an option or stays at the library's default */
    bool group_only;   /* means nothing to a client that only asks */
    const char *why;
} fixed_properties[] = {
    {"enable.auto.commit", "false", true, "positions are kept in the database"},
    {"auto.commit.enable", NULL, false, "positions are kept in the database"},
    {"enable.auto.offset.store", "false", true, "positions are kept in the database"},
    {"offset.store.method", NULL, false, "positions are kept in the database"},
    {"isolation.level", "read_committed", false, "aborted records must not be folded"},
    {"auto.offset.reset", "error", true, "a position that is out of range must never be replaced by a guess"},
    {"enable.partition.eof", "true", true, "the end of a partition moves its cursor"},
    {"group.protocol", NULL, false, "the classic protocol is the one Caseview is tested with"},
    {"group.id", NULL, true, "set it with --group-id"},
    {"group.instance.id", NULL, true, "set it with --group-instance-id"},
    {"log.queue", "true", true, "the library's log goes through Caseview's"},
    {"enabled_events", NULL, false, "events are handled by Caseview"},
};

/*
 * Good for a worker that must stay small when idle and quick in all it does; the user may set others.
 * A library that does not know one of them (`optional`) does without.
 */
static const struct default_property {
    const char *name;
    const char *value;
    bool group_only, optional;
} default_properties[] = {
    {"partition.assignment.strategy", "range", true, false},
    {"session.timeout.ms", "10000", true, false}, /* a crashed worker's partitions move on after 10 s */
    {"heartbeat.interval.ms", "3000", true, false},
    {"topic.metadata.refresh.interval.ms", "10000", false, false}, /* finds new partitions and late topics */
    {"allow.auto.create.topics", "false", false, false},
    {"statistics.interval.ms", "1000", true, false}, /* the last stable offset, for the lag */
    {"fetch.wait.max.ms", "100", true, false},       /* an end of a partition is heard this much later, a start too */
    {"fetch.error.backoff.ms", "100", true, false},
    {"queued.min.messages", "100000", true, false},
    {"queued.max.messages.kbytes", "8192", true, false},
    {FETCH_QUEUE_BACKOFF, "10", true, true}, /* its default of a second starves a small queue */
    {"fetch.max.bytes", "4194304", true, false},
    {"check.crcs", "true", true, false},
    {"socket.keepalive.enable", "true", false, false},
    {"socket.nagle.disable", "true", false, false},
    {"reconnect.backoff.ms", "100", false, false},
    {"reconnect.backoff.max.ms", "2000", false, false},
};

/* The first version whose cooperative assignor neither spins nor hangs on close. */
#define COOPERATIVE_SINCE 0x020601ff

static const struct fixed_property *find_fixed(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(fixed_properties); i++)
        if (strcmp(fixed_properties[i].name, name) == 0)
            return &fixed_properties[i];
    return NULL;
}

static enum cv_status set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
{
    char text[256];

    if (rd_kafka_conf_set(conf, name, value, text, sizeof text) == RD_KAFKA_CONF_OK)
        return CV_OK;
    err_set(err, "kafka property %s: %s", name, text);
    return CV_FATAL;
}

int consumer_conf_int(const rd_kafka_conf_t *conf, const char *property)
{
    char text[32];
    size_t size = sizeof text;
    rd_kafka_conf_res_t result = rd_kafka_conf_get(conf, property, text, &size);
    assert(result == RD_KAFKA_CONF_OK);
    return (int)strtol(text, NULL, 10);
}

bool consumer_conf_is_cooperative(const rd_kafka_conf_t *conf)
{
    char text[256];
    size_t size = sizeof text;
    return rd_kafka_conf_get(conf, "partition.assignment.strategy", text, &size) == RD_KAFKA_CONF_OK &&
           strstr(text, "cooperative") != NULL;
}

bool consumer_conf_knows(const char *property)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    size_t size = 0;
    bool known = rd_kafka_conf_get(conf, property, NULL, &size) == RD_KAFKA_CONF_OK;

    rd_kafka_conf_destroy(conf);
    return known;
}

static enum cv_status set_ours(rd_kafka_conf_t *conf, bool in_group, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(default_properties); i++) {
        const struct default_property *p = &default_properties[i];
        if (p->group_only && !in_group)
            continue;
        char unused[256];
        if (p->optional)
            (void)rd_kafka_conf_set(conf, p->name, p->value, unused, sizeof unused);
        else if (set(conf, p->name, p->value, err) != CV_OK)
            return CV_FATAL;
    }
    for (size_t i = 0; i < ARRAY_LEN(fixed_properties); i++) {
        const struct fixed_property *p = &fixed_properties[i];
        if (p->value && (in_group || !p->group_only) && set(conf, p->name, p->value, err) != CV_OK)
            return CV_FATAL;
    }
    return CV_OK;
}

static enum cv_status set_users(rd_kafka_conf_t *conf, const struct consumer_options *options, struct err *err)
{
    bool has_servers = false;

    for (size_t i = 0; i < options->property_count; i++) {
        const struct consumer_property *p = &options->properties[i];
        const struct fixed_property *fixed = find_fixed(p->name);
        if (fixed) {
            err_set(err, "kafka property %s cannot be set: %s", p->name, fixed->why);
            return CV_FATAL;
        }
        if (strcmp(p->name, "partition.assignment.strategy") == 0 && strstr(p->value, "cooperative") &&
            rd_kafka_version() < COOPERATIVE_SINCE) {
            err_set(err,
                    "kafka property partition.assignment.strategy: %s needs librdkafka 2.6.1, this is %s; use range",
                    p->value, rd_kafka_version_str());
            return CV_FATAL;
        }
        if (set(conf, p->name, p->value, err) != CV_OK)
            return CV_FATAL;
        if (strcmp(p->name, "bootstrap.servers") == 0 || strcmp(p->name, "metadata.broker.list") == 0)
            has_servers = p->value[0] != '\0';
    }
    if (!has_servers) {
        err_set(err, "kafka property bootstrap.servers is missing: give --kafka bootstrap.servers=HOST:PORT,…");
        return CV_FATAL;
    }
    return CV_OK;
}

static enum cv_status set_group(rd_kafka_conf_t *conf, const struct consumer_options *options, struct err *err)
{
    if (set(conf, "group.id", options->group_id, err) != CV_OK)
        return CV_FATAL;
    if (!options->group_instance_id)
        return CV_OK;
    /* A static member is expected back: its restart must not move partitions. */
    if (set(conf, "session.timeout.ms", "45000", err) != CV_OK)
        return CV_FATAL;
    return set(conf, "group.instance.id", options->group_instance_id, err);
}

enum cv_status consumer_conf_new(const struct consumer_options *options, bool in_group, rd_kafka_conf_t **out_conf,
                                 struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum cv_status status = set_ours(conf, in_group, err);

    if (status == CV_OK && options->client_id)
        status = set(conf, "client.id", options->client_id, err);
    if (status == CV_OK && in_group)
        status = set_group(conf, options, err);
    if (status == CV_OK)
        status = set_users(conf, options, err);
    if (status != CV_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    *out_conf = conf;
    return CV_OK;
}
