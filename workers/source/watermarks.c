#include "workers/source/watermarks.h"

#include "caseview/clock.h"
#include "workers/source/kafka_client.h"

struct list {
    struct watermark *items;
    size_t count;
};

static int left_ms(int64_t deadline_ms)
{
    int64_t left = deadline_ms - clock_mono_ms();

    return left > 0 ? (int)left : 0;
}

static int by_partition(const void *a, const void *b)
{
    const struct watermark *x = a, *y = b;

    return x->partition < y->partition ? -1 : x->partition > y->partition;
}

static enum cv_status no_answer(struct kafka_client *client, rd_kafka_resp_err_t code, struct err *err)
{
    const char *problem = kafka_client_problem(client);

    err_set(err, "kafka: no broker answered: %s%s%s", rd_kafka_err2str(code),
            problem[0] != '\0' ? "; last error: " : "", problem);
    return CV_RETRY;
}

/* The partitions of one topic, without their offsets. */
static enum cv_status add_partitions(struct kafka_client *client, const char *name, size_t topic, int64_t deadline_ms,
                                     struct list *list, struct err *err)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(client->rk, name, NULL);

    if (handle == NULL) {
        err_set(err, "kafka topic %s: %s", name, rd_kafka_err2str(rd_kafka_last_error()));
        return CV_FATAL;
    }
    rd_kafka_resp_err_t code = rd_kafka_metadata(client->rk, 0, handle, &metadata, left_ms(deadline_ms));
    rd_kafka_topic_destroy(handle);
    if (code)
        return no_answer(client, code, err);
    size_t first = list->count;
    for (int i = 0; i < metadata->topic_cnt; i++) {
        const struct rd_kafka_metadata_topic *found = &metadata->topics[i];
        if (strcmp(found->topic, name) != 0 || found->partition_cnt == 0)
            continue;
        size_t count = list->count + (size_t)found->partition_cnt;
        list->items = cv_realloc(list->items, count * sizeof *list->items);
        for (int p = 0; p < found->partition_cnt; p++)
            list->items[list->count++] = (struct watermark){topic, found->partitions[p].id, -1, -1};
    }
    rd_kafka_metadata_destroy(metadata);
    if (list->count > first)
        qsort(list->items + first, list->count - first, sizeof *list->items, by_partition);
    return CV_OK;
}

/* Fills in one of the two offsets of items[0..count); false: the question failed as a whole. */
static bool ask(rd_kafka_t *rk, const char *const *topics, struct watermark *items, size_t count, int64_t which,
                int timeout_ms)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);

    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(list, topics[items[i].topic], items[i].partition);
    rd_kafka_resp_err_t code = kafka_client_offsets(rk, list, which, timeout_ms);
    for (size_t i = 0; !code && i < count; i++) {
        const rd_kafka_topic_partition_t *answer = rd_kafka_topic_partition_list_find(list, topics[items[i].topic],
                                                                                      items[i].partition);
        int64_t offset = answer != NULL && !answer->err ? answer->offset : -1;
        *(which == RD_KAFKA_OFFSET_BEGINNING ? &items[i].low : &items[i].end) = offset;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return !code;
}

/* All at once in half the time. When that fails because one leader is away, each by itself in the time left. */
static void ask_all(rd_kafka_t *rk, const char *const *topics, struct list *list, int64_t which, int64_t deadline_ms)
{
    if (list->count == 0 || ask(rk, topics, list->items, list->count, which, left_ms(deadline_ms) / 2))
        return;
    for (size_t i = 0; i < list->count; i++)
        (void)ask(rk, topics, &list->items[i], 1, which, left_ms(deadline_ms) / 4);
}

enum cv_status watermarks_read(const struct config_property *properties, size_t property_count,
                               const char *const *topics, size_t topic_count, int timeout_ms,
                               struct watermark **out_list, size_t *out_count, struct err *err)
{
    const struct consumer_options options = {.properties = properties, .property_count = property_count};
    int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    struct list list = {NULL, 0};
    struct kafka_client client;
    enum cv_status status;

    for (size_t t = 0; t < topic_count; t++) {
        status = consumer_topic_check(topics[t], err);
        if (status != CV_OK)
            return status;
    }
    status = kafka_client_open(&client, &options, KAFKA_ASKER, err);
    for (size_t t = 0; status == CV_OK && t < topic_count; t++)
        status = add_partitions(&client, topics[t], t, deadline_ms, &list, err);
    if (status == CV_OK) {
        ask_all(client.rk, topics, &list, RD_KAFKA_OFFSET_END, deadline_ms);
        ask_all(client.rk, topics, &list, RD_KAFKA_OFFSET_BEGINNING, deadline_ms);
    }
    kafka_client_close(&client);
    if (status != CV_OK) {
        free(list.items);
        return status;
    }
    *out_list = list.items;
    *out_count = list.count;
    return CV_OK;
}
