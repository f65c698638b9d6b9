#include "workers/operator_control.h"

#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "sql_worker.h"

#define POLL_MS          1000
#define QUERY_TIMEOUT_MS 5000

static const struct db_statement cursor_states_statement = {"cursor_states", sql_cursor_states};

enum { COL_TOPIC, COL_PART, COL_STATE, COL_REASON, COL_CLAIM, COL_OWNER };

/* The others are about to be claimed or halted. */
static bool is_polled(const struct partition *partition)
{
    return partition->state != PARTITION_UNCLAIMED && partition->state != PARTITION_HALTING;
}

static enum cv_status read_cursors(struct claims *claims, struct db_result **out_result, struct err *err)
{
    const struct partitions *partitions = claims->partitions;
    arena_reset(claims->arena);
    struct str *topics = arena_alloc(claims->arena, (partitions->count + 1) * sizeof *topics);
    int32_t *parts = arena_alloc(claims->arena, (partitions->count + 1) * sizeof *parts);
    assert(topics != NULL && parts != NULL); /* far more room than partitions */
    size_t count = 0;
    for (size_t i = 0; i < partitions->count; i++) {
        if (!is_polled(partitions->all[i]))
            continue;
        topics[count] = partitions->all[i]->topic_name;
        parts[count++] = partitions->all[i]->part;
    }
    struct db_args args;
    db_args_init(&args, claims->arena);
    db_arg_int4(&args, claims->gen);
    db_arg_text_array(&args, topics, sizeof *topics, count);
    db_arg_int4_array(&args, parts, sizeof *parts, count);
    return db_exec(writer_loader(claims->writer), &cursor_states_statement, &args, QUERY_TIMEOUT_MS, out_result, err);
}

static struct partition *find(const struct partitions *partitions, struct str topic, int32_t part)
{
    for (int i = 0; i < TOPIC_COUNT; i++)
        if (str_eq(topic, str_of(partitions->topic_names[i])))
            return partitions_find(partitions, (enum topic)i, part);
    return NULL;
}

/* The consumer group in an owner's text, empty: the default one. */
static struct str group_of(struct str owner)
{
    size_t len = owner.len;
    while (len > 0 && owner.ptr[len - 1] != '@')
        len--;
    return (struct str){owner.ptr, len};
}

/* True: an operator's command has written rows of the partition or moved its cursor; this worker is still its owner. */
static bool check_claim(struct operator_control *control, const struct partition *partition,
                        const struct db_result *result, int row)
{
    struct uuid claim = db_uuid(result, row, COL_CLAIM);
    struct str owner = db_str(result, row, COL_OWNER), own = str_of(control->claims->owner);
    if (uuid_eq(&claim, &partition->cursor.claim))
        return false;
    if (!str_eq(group_of(owner), group_of(own)))
        snprintf(control->rival, sizeof control->rival, "partition %.*s/%d was claimed by %.*s",
                 (int)partition->topic_name.len, partition->topic_name.ptr, partition->part, (int)owner.len, owner.ptr);
    return str_eq(owner, own);
}

/* True: the partition has to stop. */
static bool check_state(struct operator_control *control, struct partition *partition, const struct db_result *result,
                        int row)
{
    struct str reason = db_str(result, row, COL_REASON);
    enum cursor_state state = cursor_state_of(db_str(result, row, COL_STATE));
    bool was_halted = partition->state == PARTITION_HALTED;
    if (state == CURSOR_LIVE && was_halted) {
        log_info("partition %.*s/%d: resumed", (int)partition->topic_name.len, partition->topic_name.ptr,
                 partition->part);
        partitions_release(control->claims->partitions, partition);
        partition->stop_reported = false; /* stopped once more before the claim, it is news */
        return false;
    }
    partition->cursor.state = state;
    snprintf(partition->cursor.reason, sizeof partition->cursor.reason, "%.*s", (int)reason.len,
             reason.ptr != NULL ? reason.ptr : "");
    return state != CURSOR_LIVE && !was_halted;
}

void operator_control_poll_now(struct operator_control *control)
{
    control->next_poll_ms = 0;
}

enum cv_status operator_control_poll(struct operator_control *control, struct err *err)
{
    struct claims *claims = control->claims;
    int64_t now = clock_mono_ms();
    if (now < control->next_poll_ms || pipeline_is_busy(claims->pipeline) || !writer_is_connected(claims->writer) ||
        claims->partitions->count == 0)
        return CV_OK;
    control->next_poll_ms = now + POLL_MS;
    control->rival[0] = '\0';
    control->stopped = false;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    enum cv_status status = read_cursors(claims, &result, err);
    if (status != CV_OK)
        return status;
    bool taken = false, stopped = false;
    for (int row = 0; row < db_rows(result); row++) {
        struct partition *partition = find(claims->partitions, db_str(result, row, COL_TOPIC),
                                           db_int4(result, row, COL_PART));
        if (partition == NULL || !is_polled(partition))
            continue;
        taken |= check_claim(control, partition, result, row);
        stopped |= check_state(control, partition, result, row);
    }
    control->stopped = taken || stopped;
    if (!control->stopped)
        return CV_OK;
    err_set(err, stopped ? "an operator paused a partition" : "an operator's command took a claim");
    return CV_RETRY;
}
