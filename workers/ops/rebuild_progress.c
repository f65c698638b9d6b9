#include "workers/ops/rebuild_progress.h"

#include <inttypes.h>
#include <stdlib.h>

#include "sql_worker.h"
#include "workers/ops/broker_options.h"

#define KAFKA_TIMEOUT_MS 10000

static const struct db_statement cursors_statement = {"rebuild_cursors", sql_rebuild_cursors};

static const char *const phase_names[] = {
    [PHASE_FILLING] = "filling", [PHASE_CAUGHT_UP] = "caught-up", [PHASE_PREPARING] = "preparing",
    [PHASE_READY] = "ready",     [PHASE_LIVE] = "live",           [PHASE_PAST] = "past",
};

const char *rebuild_phase_name(enum rebuild_phase phase)
{
    return phase_names[phase];
}

enum rebuild_phase rebuild_phase_parse(const char *name)
{
    size_t i = 0;
    while (strcmp(phase_names[i], name) != 0)
        i++;
    assert(i < ARRAY_LEN(phase_names)); /* the option's choices are these */
    return (enum rebuild_phase)i;
}

enum rebuild_phase rebuild_phase_of(const struct generation *generation, const struct rebuild_progress *progress)
{
    if (generation->state == GENERATION_LIVE)
        return PHASE_LIVE;
    if (generation->state != GENERATION_WAITING)
        return PHASE_PAST;
    if (generation->prepared)
        return PHASE_READY;
    if (generation->prepare_started)
        return PHASE_PREPARING;
    return progress->caught_up ? PHASE_CAUGHT_UP : PHASE_FILLING;
}

/* ---- Kafka ---- */

static enum cv_status read_log(struct rebuild *rebuild, struct arena *arena, struct rebuild_progress *progress,
                               struct err *err)
{
    const struct config *config = rebuild->operation.config;
    const char *topics[TOPIC_COUNT];
    size_t property_count, found[TOPIC_COUNT] = {0};
    struct watermark *list CV_CLEANUP(cv_free_ptr) = NULL;
    topic_names(config, topics);
    if (!broker_is_given(config)) {
        err_set(err, "no broker was given (--kafka bootstrap.servers=HOST:PORT)");
        return CV_FATAL;
    }
    const struct config_property *properties = config_pairs(config, "kafka", &property_count);
    enum cv_status status = watermarks_read(properties, property_count, topics, ARRAY_LEN(topics), KAFKA_TIMEOUT_MS,
                                            &list, &progress->count, err);
    if (status != CV_OK)
        return status;
    progress->partitions = arena_alloc(arena, (progress->count + 1) * sizeof *progress->partitions);
    assert(progress->partitions != NULL);
    for (size_t i = 0; i < progress->count; i++) {
        progress->partitions[i] = (struct rebuild_partition){.topic = (enum topic)list[i].topic,
                                                             .topic_name = topics[list[i].topic],
                                                             .part = list[i].partition,
                                                             .log_start = list[i].low,
                                                             .log_end = list[i].end};
        found[list[i].topic]++;
    }
    for (size_t i = 0; i < TOPIC_COUNT; i++) {
        if (found[i] > 0)
            continue;
        err_set(err, "kafka topic %s does not exist, or this client may not describe it: check --%s and its rights",
                topics[i], topic_options[i]);
        return CV_FATAL;
    }
    return CV_OK;
}

/* ---- the database ---- */

static struct rebuild_partition *find(struct rebuild_progress *progress, struct str topic, int32_t part)
{
    for (size_t i = 0; i < progress->count; i++)
        if (progress->partitions[i].part == part && str_eq(topic, str_of(progress->partitions[i].topic_name)))
            return &progress->partitions[i];
    return NULL;
}

static enum cv_status read_cursors(struct rebuild *rebuild, struct arena *arena, int32_t gen,
                                   struct rebuild_progress *progress, struct err *err)
{
    struct db_args args;
    struct db_result *result;
    db_args_init(&args, arena);
    db_arg_int4(&args, gen);
    enum cv_status status = db_exec(rebuild->operation.db, &cursors_statement, &args, OPERATION_QUERY_TIMEOUT_MS,
                                    &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++) {
        struct rebuild_partition *partition = find(progress, db_str(result, row, 0), db_int4(result, row, 1));
        if (partition == NULL)
            continue; /* of a topic that is no longer ours, or that lost partitions */
        partition->has_cursor = true;
        partition->next_offset = db_int8(result, row, 2);
        partition->state = arena_str(arena, db_str(result, row, 3));
        partition->reason = arena_str(arena, db_str(result, row, 4));
        partition->rendered = partition->topic == TOPIC_DIRECTORY || db_int8(result, row, 5) >= 0;
        partition->complete = db_bool(result, row, 6);
    }
    db_result_free(result);
    return CV_OK;
}

static bool is_at_end(const struct rebuild_partition *partition)
{
    return partition->has_cursor && str_eq(partition->state, STR("live")) && partition->log_end >= 0 &&
           (partition->next_offset >= partition->log_end || partition->complete);
}

void rebuild_progress_log_args(const struct rebuild_progress *progress, struct arena *arena, struct db_args *args)
{
    const struct rebuild_partition *partitions = progress->partitions;
    struct str *topics = arena_alloc(arena, (progress->count + 1) * sizeof *topics);
    assert(topics != NULL);
    for (size_t i = 0; i < progress->count; i++)
        topics[i] = str_of(partitions[i].topic_name);
    db_arg_text_array(args, topics, sizeof *topics, progress->count);
    db_arg_int4_array(args, &partitions->part, sizeof *partitions, progress->count);
    db_arg_int8_array(args, &partitions->log_start, sizeof *partitions, progress->count);
    db_arg_int8_array(args, &partitions->log_end, sizeof *partitions, progress->count);
}

const struct rebuild_partition *rebuild_progress_behind(const struct rebuild_progress *progress)
{
    for (size_t i = 0; i < progress->count; i++)
        if (!is_at_end(&progress->partitions[i]))
            return &progress->partitions[i];
    return NULL;
}

static void judge(struct rebuild_progress *progress)
{
    progress->left = 0;
    progress->rendered = true;
    for (size_t i = 0; i < progress->count; i++) {
        const struct rebuild_partition *partition = &progress->partitions[i];
        int64_t from = partition->next_offset > partition->log_start ? partition->next_offset : partition->log_start;
        if (partition->log_end > from)
            progress->left += partition->log_end - from;
        progress->rendered &= partition->rendered;
    }
    progress->caught_up = rebuild_progress_behind(progress) == NULL;
}

enum cv_status rebuild_progress_read(struct rebuild *rebuild, struct arena *arena, int32_t gen,
                                     struct rebuild_progress *out_progress, struct err *err)
{
    struct rebuild_progress progress = {0};
    enum cv_status status = read_log(rebuild, arena, &progress, err);
    if (status == CV_OK)
        status = read_cursors(rebuild, arena, gen, &progress, err);
    if (status != CV_OK)
        return status;
    judge(&progress);
    *out_progress = progress;
    return CV_OK;
}

enum cv_status rebuild_progress_read_all(struct rebuild *rebuild, struct arena *arena, int32_t gen,
                                         struct rebuild_progress *out_progress, struct err *err)
{
    struct rebuild_progress progress = {0};
    enum cv_status status = rebuild_progress_read(rebuild, arena, gen, &progress, err);
    for (size_t i = 0; i < progress.count && status == CV_OK; i++) {
        const struct rebuild_partition *partition = &progress.partitions[i];
        if (partition->log_start >= 0 && partition->log_end >= 0)
            continue;
        err_set(err, "kafka: the leader of %s/%d did not answer", partition->topic_name, partition->part);
        status = CV_RETRY;
    }
    if (status == CV_OK)
        *out_progress = progress;
    return status;
}
