/* `caseview rebuild start`: creates the next generation, and says what its log no longer holds. */
#include <inttypes.h>
#include <stdio.h>

#include "caseview/failpoint.h"
#include "caseview/json.h"
#include "sql_worker.h"
#include "workers/ops/rebuild_progress.h"

#define OUTPUT_MAX (16u << 20)

static const struct db_statement generation_statement = {"rebuild_generation", sql_rebuild_generation};

struct start {
    int32_t gen, live;
    bool carry_over;
    struct rebuild_progress log; /* with the live generation's cursors */
    int64_t missing;             /* records that retention has removed */
};

static int64_t missing_of(const struct rebuild_partition *partition)
{
    return partition->log_start > 0 ? partition->log_start : 0;
}

/* Every refusal that needs no change. */
static enum cv_status plan(struct rebuild *rebuild, struct start *start, struct err *err)
{
    const struct config *config = rebuild->operation.config;
    const struct generation *live = generation_in_state(&rebuild->list, GENERATION_LIVE);
    const struct generation *waiting = generation_in_state(&rebuild->list, GENERATION_WAITING);
    if (waiting != NULL) {
        err_set(err,
                "generation %d is waiting already: go on with `caseview rebuild status`, or drop it with `caseview "
                "rebuild abort`",
                waiting->gen);
        return CV_FATAL;
    }
    if (live == NULL) {
        err_set(err, "no generation is live: run `caseview migrate`");
        return CV_FATAL;
    }
    start->live = live->gen;
    start->gen = rebuild->list.items[rebuild->list.count - 1].gen + 1;
    for (size_t i = 0; i < start->log.count; i++)
        start->missing += missing_of(&start->log.partitions[i]);
    start->carry_over = config_flag(config, "carry-over") ||
                        (start->missing > 0 && !config_flag(config, "from-log-only"));
    return start->carry_over ? generation_check_carry_over(live, err) : CV_OK;
}

static enum cv_status note_log(struct rebuild *rebuild, const struct start *start, struct err *err)
{
    struct db_args args;
    db_args_init(&args, rebuild->arena);
    db_arg_int4(&args, start->gen);
    if (start->carry_over)
        db_arg_int4(&args, start->live);
    else
        db_arg_null(&args, DB_INT4);
    rebuild_progress_log_args(&start->log, rebuild->arena, &args);
    db_arg_int4(&args, start->live);
    db_arg_bool(&args, config_flag(rebuild->operation.config, "from-log-only"));
    return db_exec(rebuild->operation.db, &generation_statement, &args, OPERATION_QUERY_TIMEOUT_MS, NULL, err);
}

static void print_json(const struct start *start)
{
    struct buf out CV_CLEANUP(buf_done);
    struct json_writer json;
    buf_init(&out, OUTPUT_MAX);
    json_begin(&json, &out);
    json_open_object(&json, NULL);
    json_put_int(&json, "generation", start->gen);
    json_put_bool(&json, "carry_over", start->carry_over);
    json_put_int(&json, "missing", start->missing);
    json_open_array(&json, "partitions");
    for (size_t i = 0; i < start->log.count; i++) {
        const struct rebuild_partition *partition = &start->log.partitions[i];
        json_open_object(&json, NULL);
        json_put_text(&json, "topic", partition->topic_name);
        json_put_int(&json, "partition", partition->part);
        json_put_int(&json, "log_start", partition->log_start);
        json_put_int(&json, "log_end", partition->log_end);
        json_put_known(&json, "live_next_offset", partition->has_cursor ? partition->next_offset : -1);
        json_put_int(&json, "missing", missing_of(partition));
        json_close(&json);
    }
    json_close(&json);
    char worker[64];
    snprintf(worker, sizeof worker, "caseview worker --generation %d", start->gen);
    json_put_text(&json, "worker", worker);
    json_close(&json);
    printf("%.*s\n", (int)out.len, out.data);
}

static void print_text(const struct start *start)
{
    printf("generation %d is waiting\n\n", start->gen);
    printf("%-20s %4s %14s %14s %14s %14s\n", "topic", "part", "log start", "log end", "live at", "missing");
    for (size_t i = 0; i < start->log.count; i++) {
        const struct rebuild_partition *partition = &start->log.partitions[i];
        char live[24] = "-";
        if (partition->has_cursor)
            snprintf(live, sizeof live, "%" PRId64, partition->next_offset);
        printf("%-20s %4d %14" PRId64 " %14" PRId64 " %14s %14" PRId64 "\n", partition->topic_name, partition->part,
               partition->log_start, partition->log_end, live, missing_of(partition));
    }
    if (start->missing > 0)
        printf("\nRetention has removed %" PRId64 " records. %s\n", start->missing,
               start->carry_over ? "`rebuild prepare` carries over what the live generation knows beyond the log."
                                 : "What only they said is missing in this generation (--from-log-only).");
    printf("\nnext: fill it with one or more workers that have the options of the present ones, and\n"
           "  caseview worker --generation %d\n",
           start->gen);
}

enum cv_status rebuild_start(struct rebuild *rebuild, int *out_exit_code, struct err *err)
{
    struct start start = {0};
    const struct generation *live = generation_in_state(&rebuild->list, GENERATION_LIVE);
    char detail[128];
    enum cv_status status = rebuild_progress_read_all(rebuild, rebuild->arena, live != NULL ? live->gen : 1, &start.log,
                                                      err);
    if (status == CV_OK)
        status = rebuild_begin(rebuild, err);
    if (status == CV_OK)
        status = plan(rebuild, &start, err);
    if (status == CV_OK)
        status = generation_create(rebuild->operation.db, start.gen, true, err);
    if (status == CV_OK)
        status = note_log(rebuild, &start, err);
    snprintf(detail, sizeof detail, "{\"missing\": %" PRId64 ", \"carry_over\": %s}", start.missing,
             start.carry_over ? "true" : "false");
    if (status == CV_OK)
        status = rebuild_audit(rebuild, start.gen, detail, err);
    FAIL_POINT("start.before");
    if (status == CV_OK)
        status = rebuild_commit(rebuild, err);
    FAIL_POINT("start.after");
    if (status != CV_OK)
        return status;
    if (config_flag(rebuild->operation.config, "json"))
        print_json(&start);
    else
        print_text(&start);
    *out_exit_code = CV_EXIT_OK;
    return CV_OK;
}
