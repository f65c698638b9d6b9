/* Carry-over of parked records: see rebuild_carry_over.h. */
#include <stdio.h>

#include "workers/ops/broker_options.h"
#include "workers/ops/carry_over_page.h"

#define SCRIPT_MAX 2048

/* Those that the log no longer holds: the others are parked, or folded, by the workers of the newer generation. */
#define PAGE_FMT                                                                                                       \
    "WITH page AS (SELECT p.* FROM gen_%d.parked p JOIN ctl.rebuild_partition r ON r.gen = %d AND r.topic = p.topic "  \
    "AND r.part = p.part AND p.\"offset\" < r.log_start WHERE (p.topic, p.part, p.\"offset\") > "                      \
    "($1::text, $2::integer, $3::bigint) AND p.topic = ANY ($4::text[]) ORDER BY p.topic, p.part, p.\"offset\" LIMIT " \
    "500), "                                                                                                           \
    "carried AS (INSERT INTO parked (organization_id, topic, part, \"offset\", key, value, headers, "                  \
    "record_timestamp, reason, text, parked_at) SELECT organization_id, topic, part, \"offset\", key, value, "         \
    "headers, record_timestamp, reason, text, parked_at FROM page ON CONFLICT (topic, part, \"offset\") DO NOTHING "   \
    "RETURNING 1) SELECT topic, part, \"offset\", (SELECT count(*) FROM page), (SELECT count(*) FROM carried) "        \
    "FROM page ORDER BY topic DESC, part DESC, \"offset\" DESC LIMIT 1"

/* The key of a page: in the order of the primary key. */
struct key {
    int64_t offset;
    int32_t part;
    int32_t topic; /* enum topic */
};

static void advance(const char *const topics[TOPIC_COUNT], struct rebuild_step *step, const struct db_result *result)
{
    const struct key last = {.topic = (int32_t)topic_role(topics, db_str(result, 0, 0)),
                             .part = db_int4(result, 0, 1),
                             .offset = db_int8(result, 0, 2)};
    carry_over_advance(step, (int)db_int8(result, 0, 3), (size_t)db_int8(result, 0, 4), &last, sizeof last);
}

enum cv_status carry_over_parked(struct carry_over *carry, struct rebuild_step *step, bool *out_more, struct err *err)
{
    char script[SCRIPT_MAX];
    const char *topics[TOPIC_COUNT];
    struct str names[TOPIC_COUNT];
    struct key after = {.part = -1};
    struct db_args args;
    struct db_result *result;
    if (step->has_after)
        memcpy(&after, step->after_key, sizeof after);
    topic_names(carry->rebuild->operation.config, topics);
    for (size_t i = 0; i < TOPIC_COUNT; i++)
        names[i] = str_of(topics[i]);
    snprintf(script, sizeof script, PAGE_FMT, carry->from, carry->to);
    const struct db_statement statement = {"carry_parked", script};
    db_args_init(&args, carry->arena);
    db_arg_text(&args, step->has_after ? names[after.topic] : STR(""));
    db_arg_int4(&args, after.part);
    db_arg_int8(&args, after.offset);
    db_arg_text_array(&args, names, sizeof *names, TOPIC_COUNT);
    enum cv_status status = carry_over_begin(carry, err);
    if (status == CV_OK)
        status = db_exec(carry->target, &statement, &args, OPERATION_QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    *out_more = db_rows(result) == 1;
    if (*out_more)
        advance(topics, step, result);
    db_result_free(result);
    return carry_over_commit(carry, step, err);
}
