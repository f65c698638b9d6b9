#include "workers/source/kafka_properties.h"

#include <ctype.h>
#include <stdio.h>
#include <strings.h>

#define QUEUE_BYTES_DEFAULT (8u << 20)
#define QUEUE_BYTES_MIN     (1u << 20)
#define QUEUE_KBYTES_MAX    2097151u /* librdkafka's ceiling */
#define FETCH_BYTES_MIN     (1u << 20)
#define FETCH_BYTES_MAX     (8u << 20)

#define ALL_ROLES       (KAFKA_MEMBER | KAFKA_READER | KAFKA_ASKER)
#define FETCHERS        (KAFKA_MEMBER | KAFKA_READER)
#define QUEUE_BACKOFF   "fetch.queue.backoff.ms"
#define QUEUE_KBYTES    "queued.max.messages.kbytes"
#define FETCH_MAX_BYTES "fetch.max.bytes"

/* Set by Caseview alone. A user's value is refused, because what it would change breaks a guarantee. */
static const struct fixed_property {
    const char *name;
    const char *value; /* NULL: comes from an option or stays at the library's default */
    unsigned roles;    /* the clients that set it; the user may set it for none */
    const char *why;
} fixed_properties[] = {
    {"enable.auto.commit", "false", KAFKA_MEMBER, "positions are kept in the database"},
    {"auto.commit.enable", "false", KAFKA_READER, "positions are kept in the database"},
    {"enable.auto.offset.store", "false", KAFKA_MEMBER, "positions are kept in the database"},
    {"offset.store.method", NULL, 0, "positions are kept in the database"},
    {"isolation.level", "read_committed", ALL_ROLES, "aborted records must not be folded"},
    {"auto.offset.reset", "error", FETCHERS, "a position that is out of range must never be replaced by a guess"},
    {"enable.partition.eof", "true", FETCHERS, "the end of a partition moves its cursor"},
    {"group.protocol", NULL, 0, "Caseview is tested with the classic protocol"},
    {"group.id", NULL, 0, "set it with --group-id"},
    {"group.instance.id", NULL, 0, "set it with --group-instance-id"},
    {"log.queue", "true", KAFKA_MEMBER, "the library's log is written by Caseview"},
    {"enabled_events", NULL, 0, "events are handled by Caseview"},
};

/*
 * Defaults for a worker that must be small when idle and react fast; the user may set others. An `optional` one is left
 * out if the library does not know it.
 */
static const struct default_property {
    const char *name;
    const char *value;
    unsigned roles;
    bool optional;
} default_properties[] = {
    {"partition.assignment.strategy", "range", KAFKA_MEMBER, false},
    {"session.timeout.ms", "10000", KAFKA_MEMBER, false},  /* a crashed worker's partitions move on after 10 s */
    {"heartbeat.interval.ms", "500", KAFKA_MEMBER, false}, /* members notice a rebalance with their next heartbeat */
    {"topic.metadata.refresh.interval.ms", "10000", ALL_ROLES, false}, /* finds new partitions and late topics */
    {"allow.auto.create.topics", "false", ALL_ROLES, false},
    {"statistics.interval.ms", "1000", KAFKA_MEMBER, false}, /* the last stable offset, for the lag */
    {"fetch.wait.max.ms", "100", FETCHERS, false}, /* ends of partitions, and starts, are noticed this much later */
    {"fetch.error.backoff.ms", "100", KAFKA_MEMBER, false},
    {"queued.min.messages", "100000", KAFKA_MEMBER, false},
    {QUEUE_BACKOFF, "10", FETCHERS, true}, /* its default of a second starves a small queue */
    {"check.crcs", "true", FETCHERS, false},
    {"socket.keepalive.enable", "true", ALL_ROLES, false},
    {"socket.nagle.disable", "true", ALL_ROLES, false},
    {"reconnect.backoff.ms", "100", ALL_ROLES, false},
    {"reconnect.backoff.max.ms", "2000", ALL_ROLES, false},
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

/* Decides by words in the name, since a misspelt name may have a secret as its value, too. */
static bool may_be_secret(const char *name)
{
    static const char *const words[] = {"pass",    "secret", "jaas", "token", "pem", "oauthbearer.config",
                                        "private", "key"};

    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcasestr(name, words[i]) != NULL)
            return true;
    return false;
}

static enum cv_status set(rd_kafka_conf_t *conf, const char *name, const char *value, struct err *err)
{
    char text[256];
    rd_kafka_conf_res_t result = rd_kafka_conf_set(conf, name, value, text, sizeof text);

    if (result == RD_KAFKA_CONF_OK)
        return CV_OK;
    /* The library quotes some of the values that it refuses; one in the form of a URL may have a password in it. */
    if (result == RD_KAFKA_CONF_INVALID && strstr(text, value) != NULL &&
        (may_be_secret(name) || strstr(value, "://") != NULL))
        err_set(err, "kafka property %s: this value is not accepted (it is not shown, because it may be a secret)",
                name);
    else
        err_set(err, "kafka property %s: %s", name, text);
    return CV_FATAL;
}

int kafka_properties_int(const rd_kafka_conf_t *conf, const char *name)
{
    char text[32];
    size_t size = sizeof text;
    rd_kafka_conf_res_t result = rd_kafka_conf_get(conf, name, text, &size);
    assert(result == RD_KAFKA_CONF_OK);
    return (int)strtol(text, NULL, 10);
}

bool kafka_properties_contain(const rd_kafka_conf_t *conf, const char *name, const char *word)
{
    char text[256];
    size_t size = sizeof text;
    return rd_kafka_conf_get(conf, name, text, &size) == RD_KAFKA_CONF_OK && strcasestr(text, word) != NULL;
}

bool kafka_properties_lack_queue_backoff(void)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    size_t size = 0;
    bool known = rd_kafka_conf_get(conf, QUEUE_BACKOFF, NULL, &size) == RD_KAFKA_CONF_OK;

    rd_kafka_conf_destroy(conf);
    return !known;
}

static enum cv_status set_ours(rd_kafka_conf_t *conf, enum kafka_role role, struct err *err)
{
    for (size_t i = 0; i < ARRAY_LEN(default_properties); i++) {
        const struct default_property *p = &default_properties[i];
        char unused[256];
        if (!(p->roles & role))
            continue;
        if (p->optional)
            (void)rd_kafka_conf_set(conf, p->name, p->value, unused, sizeof unused);
        else if (set(conf, p->name, p->value, err) != CV_OK)
            return CV_FATAL;
    }
    for (size_t i = 0; i < ARRAY_LEN(fixed_properties); i++) {
        const struct fixed_property *p = &fixed_properties[i];
        if (p->value != NULL && (p->roles & role) && set(conf, p->name, p->value, err) != CV_OK)
            return CV_FATAL;
    }
    return CV_OK;
}

static enum cv_status set_users(rd_kafka_conf_t *conf, const struct consumer_options *options, struct err *err)
{
    for (size_t i = 0; i < options->property_count; i++) {
        const struct config_property *p = &options->properties[i];
        const struct fixed_property *fixed = find_fixed(p->name);
        if (fixed != NULL) {
            err_set(err, "kafka property %s cannot be set: %s", p->name, fixed->why);
            return CV_FATAL;
        }
        if (strcmp(p->name, "partition.assignment.strategy") == 0 && strstr(p->value, "cooperative") != NULL &&
            rd_kafka_version() < COOPERATIVE_SINCE) {
            err_set(err,
                    "kafka property partition.assignment.strategy: %s needs librdkafka 2.6.1, this is %s; use range",
                    p->value, rd_kafka_version_str());
            return CV_FATAL;
        }
        if (set(conf, p->name, p->value, err) != CV_OK)
            return CV_FATAL;
    }
    return CV_OK;
}

static enum cv_status set_group(rd_kafka_conf_t *conf, const struct consumer_options *options, struct err *err)
{
    if (set(conf, "group.id", options->group_id, err) != CV_OK)
        return CV_FATAL;
    if (options->group_instance_id == NULL)
        return CV_OK;
    /* A static member that stays in the group is expected to return: its restart must not move partitions. */
    if (!options->leave_group && set(conf, "session.timeout.ms", "45000", err) != CV_OK)
        return CV_FATAL;
    return set(conf, "group.instance.id", options->group_instance_id, err);
}

/* ---- sizes ---- */

/* The last value that the user gave one of the names; NULL: none. */
static const char *users_value(const struct consumer_options *options, const char *name, const char *alias)
{
    const char *value = NULL;

    for (size_t i = 0; i < options->property_count; i++) {
        const char *given = options->properties[i].name;
        if (strcmp(given, name) == 0 || (alias != NULL && strcmp(given, alias) == 0))
            value = options->properties[i].value;
    }
    return value;
}

static enum cv_status set_number(rd_kafka_conf_t *conf, const char *name, size_t number, struct err *err)
{
    char text[24];

    snprintf(text, sizeof text, "%zu", number);
    return set(conf, name, text, err);
}

/*
 * One queue holds the fetched records of all partitions. Fetching stops when it is full, but each broker's answer in
 * flight, at most fetch.max.bytes, still comes. A quarter of the queue is enough: half of it took 12 MiB more
 * with three brokers and the default queue, at the same speed. A record larger than all of this is read all the same: a
 * broker always sends at least one whole batch.
 */
static enum cv_status set_sizes(rd_kafka_conf_t *conf, const struct consumer_options *options, struct err *err)
{
    size_t queue = options->queue_bytes > 0 ? options->queue_bytes : QUEUE_BYTES_DEFAULT;
    size_t record = (size_t)kafka_properties_int(conf, "message.max.bytes"), fetch;

    queue = queue < QUEUE_BYTES_MIN ? QUEUE_BYTES_MIN : queue;
    queue = queue / 1024 > QUEUE_KBYTES_MAX ? QUEUE_KBYTES_MAX * (size_t)1024 : queue;
    fetch = queue / 4 < FETCH_BYTES_MIN ? FETCH_BYTES_MIN : queue / 4;
    fetch = fetch > FETCH_BYTES_MAX ? FETCH_BYTES_MAX : fetch;
    fetch = fetch < record ? record : fetch; /* the library refuses less */
    if (users_value(options, QUEUE_KBYTES, NULL) == NULL && set_number(conf, QUEUE_KBYTES, queue / 1024, err) != CV_OK)
        return CV_FATAL;
    if (users_value(options, FETCH_MAX_BYTES, NULL) == NULL)
        return set_number(conf, FETCH_MAX_BYTES, fetch, err);
    return CV_OK;
}

/* ---- contradictions ---- */

static enum cv_status refuse_server(struct err *err, size_t number, const char *why)
{
    err_set(err, "kafka property bootstrap.servers: entry %zu %s", number, why);
    return CV_FATAL;
}

/* PROTOCOL:// before a server must be the security.protocol, else librdkafka ignores the server without an error. */
static enum cv_status check_protocol(const rd_kafka_conf_t *conf, struct str protocol, size_t number, struct err *err)
{
    static const char *const known[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"};
    char configured[32] = "";
    size_t size = sizeof configured;

    (void)rd_kafka_conf_get(conf, "security.protocol", configured, &size);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strlen(known[i]) != protocol.len || strncasecmp(known[i], protocol.ptr, protocol.len) != 0)
            continue;
        if (strcasecmp(known[i], configured) == 0)
            return CV_OK;
        err_set(err,
                "kafka property bootstrap.servers: entry %zu begins with %s://, but security.protocol is %s: set "
                "security.protocol=%s, or remove the prefix",
                number, known[i], configured, known[i]);
        return CV_FATAL;
    }
    return refuse_server(err, number,
                         "begins with an unknown protocol: it must be HOST:PORT, or begin with PLAINTEXT://, SSL://, "
                         "SASL_PLAINTEXT:// or SASL_SSL://");
}

static bool is_port(struct str text)
{
    unsigned long port = 0;

    for (size_t i = 0; i < text.len && port <= UINT16_MAX; i++) {
        if (!isdigit((unsigned char)text.ptr[i]))
            return false;
        port = port * 10 + (unsigned)(text.ptr[i] - '0');
    }
    return port > 0 && port <= UINT16_MAX;
}

static struct str trim(struct str text)
{
    while (text.len > 0 && isspace((unsigned char)text.ptr[0]))
        text = (struct str){text.ptr + 1, text.len - 1};
    while (text.len > 0 && isspace((unsigned char)text.ptr[text.len - 1]))
        text.len--;
    return text;
}

/* One of [PROTOCOL://]HOST[:PORT]; what it consists of is not shown, since a URL may hold a password. */
static enum cv_status check_server(const rd_kafka_conf_t *conf, struct str server, size_t number, struct err *err)
{
    const char *end = server.ptr + server.len;
    const char *slashes = memmem(server.ptr, server.len, "://", 3);

    if (memchr(server.ptr, '@', server.len) != NULL)
        return refuse_server(err, number, "has a user part: set sasl.username and sasl.password instead");
    if (slashes != NULL) {
        struct str protocol = {server.ptr, (size_t)(slashes - server.ptr)};
        if (check_protocol(conf, protocol, number, err) != CV_OK)
            return CV_FATAL;
        server = (struct str){slashes + 3, (size_t)(end - slashes) - 3};
    }
    if (memchr(server.ptr, '/', server.len) != NULL)
        return refuse_server(err, number, "has a path: it must be HOST:PORT");
    /* More than one colon without brackets is an IPv6 address without a port. */
    const char *colon = memrchr(server.ptr, ':', server.len);
    bool has_port = colon != NULL && colon > server.ptr &&
                    (memchr(server.ptr, ':', server.len) == colon || colon[-1] == ']');
    if (server.len == 0 || colon == server.ptr)
        return refuse_server(err, number, "has no host");
    if (has_port && !is_port((struct str){colon + 1, (size_t)(end - colon) - 1}))
        return refuse_server(err, number, "has a port that is not a number from 1 to 65535");
    return CV_OK;
}

static enum cv_status check_servers(const rd_kafka_conf_t *conf, const struct consumer_options *options,
                                    struct err *err)
{
    const char *at = users_value(options, "bootstrap.servers", "metadata.broker.list");
    size_t number = 0;

    while (at != NULL && *at != '\0') {
        size_t length = strcspn(at, ",");
        struct str server = trim((struct str){at, length});
        if (server.len > 0 && check_server(conf, server, ++number, err) != CV_OK)
            return CV_FATAL;
        at += length + (at[length] == ',');
    }
    if (number == 0) {
        err_set(err, "kafka property bootstrap.servers is missing: give --kafka bootstrap.servers=HOST:PORT,…");
        return CV_FATAL;
    }
    return CV_OK;
}

/* Refuses settings that librdkafka accepts but never uses, or waits for indefinitely. */
static enum cv_status check_sasl(const rd_kafka_conf_t *conf, const struct consumer_options *options, struct err *err)
{
    bool uses_sasl = kafka_properties_contain(conf, "security.protocol", "sasl");

    for (size_t i = 0; i < options->property_count && !uses_sasl; i++) {
        const char *name = options->properties[i].name;
        if (strncmp(name, "sasl.mechanism", 14) != 0 && strcmp(name, "sasl.username") != 0 &&
            strcmp(name, "sasl.password") != 0 && strncmp(name, "sasl.oauthbearer.", 17) != 0)
            continue;
        err_set(err,
                "kafka property %s has no effect: security.protocol is neither SASL_SSL nor SASL_PLAINTEXT; set it to "
                "what the brokers' listener uses",
                name);
        return CV_FATAL;
    }
    if (uses_sasl && kafka_properties_contain(conf, "sasl.mechanisms", "OAUTHBEARER") &&
        !kafka_properties_contain(conf, "sasl.oauthbearer.method", "oidc") &&
        !kafka_properties_contain(conf, "enable.sasl.oauthbearer.unsecure.jwt", "true")) {
        err_set(err, "kafka property sasl.mechanisms: OAUTHBEARER needs a source of tokens: set "
                     "sasl.oauthbearer.method=oidc with sasl.oauthbearer.token.endpoint.url, "
                     "sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret (librdkafka must be built with "
                     "libcurl for it)");
        return CV_FATAL;
    }
    const char *url = users_value(options, "sasl.oauthbearer.token.endpoint.url", NULL);
    if (url != NULL && strchr(url, '@') != NULL) {
        err_set(err, "kafka property sasl.oauthbearer.token.endpoint.url has a user part: set "
                     "sasl.oauthbearer.client.id and sasl.oauthbearer.client.secret instead");
        return CV_FATAL;
    }
    return CV_OK;
}

enum cv_status kafka_properties_new(const struct consumer_options *options, enum kafka_role role,
                                    rd_kafka_conf_t **out_conf, struct err *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    enum cv_status status = set_ours(conf, role, err);

    if (status == CV_OK && options->client_id != NULL)
        status = set(conf, "client.id", options->client_id, err);
    if (status == CV_OK && role == KAFKA_MEMBER)
        status = set_group(conf, options, err);
    if (status == CV_OK)
        status = set_users(conf, options, err);
    if (status == CV_OK && role == KAFKA_MEMBER)
        status = set_sizes(conf, options, err);
    if (status == CV_OK)
        status = check_servers(conf, options, err);
    if (status == CV_OK)
        status = check_sasl(conf, options, err);
    if (status != CV_OK) {
        rd_kafka_conf_destroy(conf);
        return status;
    }
    *out_conf = conf;
    return CV_OK;
}
