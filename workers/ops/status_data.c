#include "workers/ops/status_data.h"

#include <math.h>
#include <stdio.h>

#include "caseview/clock.h"
#include "sql_worker.h"
#include "workers/ops/broker_options.h"

#define QUERY_TIMEOUT_MS 30000
#define KAFKA_TIMEOUT_MS 3000
#define HEALTHY_LAG_S    60

static const struct db_statement partitions_statement = {"status_partitions", sql_status_partitions};
static const struct db_statement counts_statement = {"status_counts", sql_status_counts};

static enum cv_status read_counts(struct db *db, const struct db_args *args, struct status_data *data, struct err *err)
{
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    enum cv_status status = db_exec(db, &counts_statement, args, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    if (db_rows(result) == 1) {
        data->generation_state = arena_str(data->arena, db_str(result, 0, 0));
        data->parked = db_int8(result, 0, 1);
        data->degraded = db_int8(result, 0, 2);
        data->incomplete = db_int8(result, 0, 3);
        data->listed = db_int8(result, 0, 4);
        data->agents = db_int8(result, 0, 5);
        data->degraded_option = arena_str(data->arena, db_str(result, 0, 6));
        data->incomplete_option = arena_str(data->arena, db_str(result, 0, 7));
        data->prepared = db_bool(result, 0, 8);
    }
    return CV_OK;
}

static int64_t time_or_never(const struct db_result *result, int row, int column)
{
    return db_is_null(result, row, column) ? INT64_MIN : db_time(result, row, column);
}

static struct status_partition *add(struct status_data *data, struct str topic, int32_t part)
{
    data->partitions = cv_realloc(data->partitions, (data->partition_count + 1) * sizeof *data->partitions);
    struct status_partition *partition = &data->partitions[data->partition_count++];
    *partition = (struct status_partition){
        .topic = topic,
        .part = part,
        .end_offset = -1,
        .lag = -1,
        .lag_seconds = -1,
        .state = STR("unclaimed"),
        .reason = STR_NULL,
        .owner = STR_NULL,
        .complete_at = INT64_MIN,
        .updated_at = INT64_MIN,
    };
    return partition;
}

static enum cv_status read_cursors(struct db *db, const struct db_args *args, struct status_data *data, struct err *err)
{
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    enum cv_status status = db_exec(db, &partitions_statement, args, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++) {
        struct status_partition *partition = add(data, arena_str(data->arena, db_str(result, row, 0)),
                                                 db_int4(result, row, 1));
        partition->has_cursor = true;
        partition->next_offset = db_int8(result, row, 2);
        partition->state = arena_str(data->arena, db_str(result, row, 3));
        partition->reason = arena_str(data->arena, db_str(result, row, 4));
        partition->owner = arena_str(data->arena, db_str(result, row, 5));
        if (!db_is_null(result, row, 7))
            partition->lag_seconds = (double)clock_wall_us() / 1e6 - (double)db_int8(result, row, 7) / 1e3;
        /* The partition was read to its end at complete_at, so no record has waited for longer than since then. */
        double since_end = db_is_null(result, row, 8) ? INFINITY
                                                      : (double)(clock_wall_us() - db_time(result, row, 8)) / 1e6;
        if (since_end >= 0 && partition->lag_seconds > since_end)
            partition->lag_seconds = since_end;
        partition->claims = db_int8(result, row, 6);
        partition->parked = db_int8(result, row, 10);
        partition->complete_at = time_or_never(result, row, 8);
        partition->updated_at = time_or_never(result, row, 9);
    }
    return CV_OK;
}

static struct status_partition *find(struct status_data *data, const char *topic, int32_t part)
{
    for (size_t i = 0; i < data->partition_count; i++)
        if (data->partitions[i].part == part && str_eq(data->partitions[i].topic, str_of(topic)))
            return &data->partitions[i];
    return NULL;
}

/* The topics that have no partition in the answer, with the options that name them. */
static void note_missing_topics(struct status_data *data, const char *const topics[TOPIC_COUNT],
                                const struct watermark *ends, size_t count)
{
    char names[560] = "", hints[80] = "";
    size_t used = 0, hinted = 0;
    for (size_t topic = 0; topic < TOPIC_COUNT; topic++) {
        size_t i = 0;
        while (i < count && ends[i].topic != topic)
            i++;
        if (i < count)
            continue;
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%.150s", used ? ", " : "", topics[topic]);
        hinted += (size_t)snprintf(hints + hinted, sizeof hints - hinted, "%s--%s", hinted ? ", " : "",
                                   topic_options[topic]);
    }
    if (used > 0)
        snprintf(data->kafka_problem, sizeof data->kafka_problem,
                 "kafka topics %s: they do not exist, or this client may not describe them: check %s and the topics' "
                 "rights",
                 names, hints);
}

static void note_unknown_ends(struct status_data *data, const char *const topics[TOPIC_COUNT],
                              const struct watermark *ends, size_t count)
{
    const struct watermark *first = NULL;
    size_t unknown = 0;
    for (size_t i = 0; i < count; i++) {
        if (ends[i].end >= 0)
            continue;
        first = first != NULL ? first : &ends[i];
        unknown++;
    }
    if (first != NULL && data->kafka_problem[0] == '\0')
        snprintf(data->kafka_problem, sizeof data->kafka_problem,
                 "the leaders of %zu partitions did not answer, the first is %.150s/%d: check the brokers", unknown,
                 topics[first->topic], first->partition);
}

static enum cv_status read_ends(const struct config *config, const struct config_property *properties, size_t count,
                                struct status_data *data, struct err *err)
{
    const char *topics[TOPIC_COUNT];
    struct watermark *ends;
    size_t end_count;
    topic_names(config, topics);
    enum cv_status status = watermarks_read(properties, count, topics, ARRAY_LEN(topics), KAFKA_TIMEOUT_MS, &ends,
                                            &end_count, err);
    if (status == CV_RETRY) {
        snprintf(data->kafka_problem, sizeof data->kafka_problem, "%.500s", err->text);
        return CV_OK;
    }
    if (status != CV_OK)
        return status;
    for (size_t i = 0; i < end_count; i++) {
        const char *topic = topics[ends[i].topic];
        struct status_partition *partition = find(data, topic, ends[i].partition);
        if (partition == NULL)
            partition = add(data, arena_str(data->arena, str_of(topic)), ends[i].partition);
        partition->end_offset = ends[i].end;
    }
    note_missing_topics(data, topics, ends, end_count);
    note_unknown_ends(data, topics, ends, end_count);
    free(ends);
    return CV_OK;
}

static enum cv_status ask_kafka(const struct config *config, struct status_data *data, struct err *err)
{
    size_t count;
    if (!broker_is_given(config)) {
        snprintf(data->kafka_problem, sizeof data->kafka_problem,
                 "no broker was given (--kafka bootstrap.servers=HOST:PORT)");
        return CV_OK;
    }
    const struct config_property *properties = config_pairs(config, "kafka", &count);
    return read_ends(config, properties, count, data, err);
}

bool status_is_late(const struct status_partition *partition)
{
    return partition->lag > 0 && (partition->lag_seconds < 0 || partition->lag_seconds > HEALTHY_LAG_S);
}

/* A cursor beyond the end counts as no lag here: the worker halts such a partition. */
static void judge(struct status_data *data)
{
    data->healthy = data->partition_count > 0 && data->kafka_problem[0] == '\0' && data->prepared;
    for (size_t i = 0; i < data->partition_count; i++) {
        struct status_partition *partition = &data->partitions[i];
        if (partition->end_offset >= 0)
            partition->lag = partition->end_offset > partition->next_offset
                                 ? partition->end_offset - partition->next_offset
                                 : 0;
        if (partition->lag == 0 || (partition->lag_seconds < 0 && partition->lag_seconds != -1))
            partition->lag_seconds = 0;
        if (!partition->has_cursor || !str_eq(partition->state, STR("live")) || partition->lag < 0 ||
            status_is_late(partition))
            data->healthy = false;
    }
}

enum cv_status status_read(const struct config *config, struct db *db, struct status_data *out_data, struct err *err)
{
    struct arena *arena = out_data->arena;
    free(out_data->partitions);
    *out_data = (struct status_data){.arena = arena, .gen = out_data->gen};
    arena_reset(arena);
    struct db_args args;
    db_args_init(&args, arena);
    db_arg_int4(&args, out_data->gen);
    enum cv_status status = read_counts(db, &args, out_data, err);
    if (status == CV_OK)
        status = read_cursors(db, &args, out_data, err);
    if (status != CV_OK)
        return status;
    status = ask_kafka(config, out_data, err);
    if (status != CV_OK)
        return status;
    judge(out_data);
    return CV_OK;
}
