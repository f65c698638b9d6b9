/* `caseview rebuild status`: phase, partitions, rate and the time left of a generation. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "caseview/clock.h"
#include "caseview/json.h"
#include "caseview/output.h"
#include "caseview/stop.h"
#include "sql_worker.h"
#include "workers/ops/rebuild_progress.h"

#define OUTPUT_MAX (16u << 20)
#define LOOK_MS    1000
#define BAR_WIDTH  40
#define ARENA_MAX  (64u << 20)
#define STEPS_MAX  16
#define WINDOW_MS  30000 /* cursors may move as rarely as that: the rate is that of one to two windows */

static const struct db_statement steps_statement = {"rebuild_steps", sql_rebuild_steps};

struct step {
    char name[32];
    int64_t seen, changed;
    bool finished;
};

/* One look at the generation. */
struct look {
    struct generation generation;
    struct rebuild_progress progress;
    enum rebuild_phase phase;
    struct step steps[STEPS_MAX];
    size_t step_count;
    int64_t at_ms;
    int64_t done; /* records read or gone: sum of the cursors, of the log's start where that is greater */
    int64_t gone; /* of these, removed by retention */
    double rate;  /* events a second; -1: not known yet */
};

/* ---- reading ---- */

static enum cv_status read_steps(struct rebuild *rebuild, struct look *look, struct arena *arena, struct err *err)
{
    struct db_args args;
    struct db_result *result;
    db_args_init(&args, arena);
    db_arg_int4(&args, look->generation.gen);
    enum cv_status status = db_exec(rebuild->operation.db, &steps_statement, &args, OPERATION_QUERY_TIMEOUT_MS, &result,
                                    err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result) && look->step_count < STEPS_MAX; row++) {
        struct step *step = &look->steps[look->step_count++];
        struct str name = db_str(result, row, 0);
        snprintf(step->name, sizeof step->name, "%.*s", (int)name.len, name.ptr);
        step->seen = db_int8(result, row, 1);
        step->changed = db_int8(result, row, 2);
        step->finished = db_bool(result, row, 3);
    }
    db_result_free(result);
    return CV_OK;
}

/* Without --generation: the waiting one, else the live one, unless a phase before that is asked for. */
static enum cv_status choose(struct rebuild *rebuild, struct look *look, struct err *err)
{
    const struct config *config = rebuild->operation.config;
    const struct generation *found = generation_in_state(&rebuild->list, GENERATION_WAITING);
    bool before = config_is_set(config, "check") && rebuild_phase_parse(config_text(config, "check")) < PHASE_LIVE;
    if (found == NULL && !before)
        found = generation_in_state(&rebuild->list, GENERATION_LIVE);
    enum cv_status status = CV_OK;
    if (found == NULL || rebuild_named(rebuild) > 0)
        status = rebuild_choose(rebuild, &found, err);
    if (status == CV_OK)
        look->generation = *found;
    return status;
}

static enum cv_status take_look(struct rebuild *rebuild, struct look *look, struct arena *arena, struct err *err)
{
    *look = (struct look){.rate = -1};
    arena_reset(arena);
    enum cv_status status = generation_list_read(rebuild->operation.db, arena, &rebuild->list, err);
    if (status == CV_OK)
        status = choose(rebuild, look, err);
    if (status == CV_OK)
        status = rebuild_progress_read(rebuild, arena, look->generation.gen, &look->progress, err);
    if (status == CV_OK)
        status = read_steps(rebuild, look, arena, err);
    if (status != CV_OK)
        return status;
    look->at_ms = clock_mono_ms();
    look->phase = rebuild_phase_of(&look->generation, &look->progress);
    for (size_t i = 0; i < look->progress.count; i++) {
        const struct rebuild_partition *partition = &look->progress.partitions[i];
        look->gone += partition->log_start > 0 ? partition->log_start : 0;
        look->done += partition->next_offset > partition->log_start ? partition->next_offset : partition->log_start;
    }
    return CV_OK;
}

/* Where the rate is measured from: a look that is one to two windows old. */
struct window {
    int64_t at_ms, done, next_at_ms, next_done;
};

/* Since the last look that counts; when the cursors did not move since, since the generation was made. */
static void set_rate(struct look *look, struct window *window)
{
    if (look->at_ms >= window->next_at_ms + WINDOW_MS)
        *window = (struct window){window->next_at_ms, window->next_done, look->at_ms, look->done};
    int64_t moved = look->done - window->done, passed_ms = look->at_ms - window->at_ms;
    if (moved <= 0) {
        moved = look->done - look->gone;
        passed_ms = (clock_wall_us() - look->generation.created_at) / 1000;
    }
    if (passed_ms > 0)
        look->rate = (double)moved * 1000.0 / (double)passed_ms;
}

/* -1: unknown. */
static double seconds_left(const struct look *look)
{
    if (look->progress.left == 0)
        return 0;
    return look->rate > 0 ? (double)look->progress.left / look->rate : -1;
}

/* What to do in this phase; NULL: nothing. */
static const char *next_command(const struct look *look, char text[96])
{
    int32_t gen = look->generation.gen;
    switch (look->phase) {
    case PHASE_FILLING:
        snprintf(text, 96, "caseview worker --generation %d (more of them fill it faster)", gen);
        return text;
    case PHASE_CAUGHT_UP:
    case PHASE_PREPARING:
        return "caseview rebuild prepare";
    case PHASE_READY:
        snprintf(text, 96, "caseview rebuild compare; caseview rebuild switch %d", gen);
        return text;
    case PHASE_LIVE:
    case PHASE_PAST:
        break;
    }
    return NULL;
}

/* ---- printing ---- */

static int64_t lag_of(const struct rebuild_partition *partition)
{
    if (partition->log_end < 0)
        return -1;
    return partition->log_end > partition->next_offset ? partition->log_end - partition->next_offset : 0;
}

static const char *offset_text(int64_t offset, char text[24])
{
    if (offset < 0)
        return "?";
    snprintf(text, 24, "%" PRId64, offset);
    return text;
}

static void put_partitions(struct json_writer *json, const struct look *look)
{
    json_open_array(json, "partitions");
    for (size_t i = 0; i < look->progress.count; i++) {
        const struct rebuild_partition *partition = &look->progress.partitions[i];
        json_open_object(json, NULL);
        json_put_text(json, "topic", partition->topic_name);
        json_put_int(json, "partition", partition->part);
        json_put_str(json, "state", partition->has_cursor ? partition->state : STR("unclaimed"));
        json_put_str(json, "reason", partition->has_cursor ? partition->reason : STR_NULL);
        json_put_known(json, "log_start", partition->log_start);
        json_put_int(json, "next_offset", partition->next_offset);
        json_put_known(json, "end_offset", partition->log_end);
        json_put_known(json, "lag", lag_of(partition));
        json_put_bool(json, "rendered", partition->rendered);
        json_close(json);
    }
    json_close(json);
}

static void print_json(const struct look *look, struct buf *out)
{
    struct json_writer json;
    char next[96];
    double left = seconds_left(look);
    json_begin(&json, out);
    json_open_object(&json, NULL);
    json_put_int(&json, "generation", look->generation.gen);
    json_put_text(&json, "phase", rebuild_phase_name(look->phase));
    json_put_bool(&json, "carry_over", look->generation.carry_over_from > 0);
    json_put_int(&json, "records_left", look->progress.left);
    json_put_double(&json, "events_per_second", look->rate < 0 ? NAN : look->rate);
    json_put_double(&json, "seconds_left", left < 0 ? NAN : left);
    put_partitions(&json, look);
    json_open_array(&json, "steps");
    for (size_t i = 0; i < look->step_count; i++) {
        json_open_object(&json, NULL);
        json_put_text(&json, "step", look->steps[i].name);
        json_put_int(&json, "seen", look->steps[i].seen);
        json_put_int(&json, "changed", look->steps[i].changed);
        json_put_bool(&json, "finished", look->steps[i].finished);
        json_close(&json);
    }
    json_close(&json);
    json_put_text(&json, "next", next_command(look, next));
    json_close(&json);
    buf_byte(out, '\n');
}

/* "12 s", "3 min", "2 h 10 min" */
static void put_duration(struct buf *out, double seconds)
{
    int64_t s = (int64_t)(seconds + 0.5);
    if (s < 120)
        buf_printf(out, "%" PRId64 " s", s);
    else if (s < 7200)
        buf_printf(out, "%" PRId64 " min", (s + 30) / 60);
    else
        buf_printf(out, "%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
}

static void put_rate(const struct look *look, struct buf *out)
{
    double left = seconds_left(look);
    if (look->rate >= 0)
        buf_printf(out, "%.0f events/s", look->rate);
    if (look->progress.left > 0 && left >= 0) {
        buf_puts(out, ", ");
        put_duration(out, left);
        buf_puts(out, " left");
    }
}

/* The share of the log that is read: of what it still holds. */
static double share_done(const struct look *look)
{
    int64_t total = 0;
    for (size_t i = 0; i < look->progress.count; i++)
        if (look->progress.partitions[i].log_start >= 0 && look->progress.partitions[i].log_end >= 0)
            total += look->progress.partitions[i].log_end - look->progress.partitions[i].log_start;
    return total > 0 ? 1.0 - (double)look->progress.left / (double)total : 1.0;
}

static void print_bar(const struct look *look, struct buf *out)
{
    double share = share_done(look);
    buf_printf(out, "\r\033[Kgeneration %d  %-9s [", look->generation.gen, rebuild_phase_name(look->phase));
    for (int i = 0; i < BAR_WIDTH; i++)
        buf_byte(out, i < (int)(share * BAR_WIDTH) ? '#' : '.');
    buf_printf(out, "] %5.1f %%  ", share * 100);
    put_rate(look, out);
}

static void print_text(const struct look *look, struct buf *out)
{
    char next[96];
    const char *command = next_command(look, next);
    buf_printf(out, "generation %d: %s   %" PRId64 " records left   ", look->generation.gen,
               rebuild_phase_name(look->phase), look->progress.left);
    put_rate(look, out);
    buf_printf(out, "\n\n%-20s %4s  %-9s %14s %14s %14s %12s  %s\n", "topic", "part", "state", "log start", "next",
               "end", "lag", "reason");
    for (size_t i = 0; i < look->progress.count; i++) {
        const struct rebuild_partition *p = &look->progress.partitions[i];
        struct str state = p->has_cursor ? p->state : STR("unclaimed");
        char log_start[24], log_end[24], lag[24];
        buf_printf(out, "%-20s %4d  %-9.*s %14s %14" PRId64 " %14s %12s  %.*s\n", p->topic_name, p->part,
                   (int)state.len, state.ptr, offset_text(p->log_start, log_start), p->next_offset,
                   offset_text(p->log_end, log_end), offset_text(lag_of(p), lag), (int)p->reason.len,
                   p->reason.ptr != NULL ? p->reason.ptr : "");
    }
    if (look->step_count > 0)
        buf_printf(out, "\n%-20s %14s %14s\n", "step", "rows read", "rows written");
    for (size_t i = 0; i < look->step_count; i++)
        buf_printf(out, "%-20s %14" PRId64 " %14" PRId64 "  %s\n", look->steps[i].name, look->steps[i].seen,
                   look->steps[i].changed, look->steps[i].finished ? "done" : "");
    if (command != NULL)
        buf_printf(out, "\nnext: %s\n", command);
}

static bool print(struct rebuild *rebuild, const struct look *look, bool bar, struct buf *out)
{
    buf_reset(out);
    if (bar)
        print_bar(look, out);
    else if (config_flag(rebuild->operation.config, "json"))
        print_json(look, out);
    else
        print_text(look, out);
    fwrite(out->data, 1, out->len, stdout);
    return output_flush();
}

/* `past` is not a later phase than `live`: a generation may become live again. */
static bool is_reached(const struct config *config, const struct look *look)
{
    if (!config_is_set(config, "check"))
        return true;
    enum rebuild_phase wanted = rebuild_phase_parse(config_text(config, "check"));
    return wanted >= PHASE_LIVE ? look->phase == wanted : look->phase >= wanted;
}

enum cv_status rebuild_status(struct rebuild *rebuild, int *out_exit_code, struct err *err)
{
    const struct config *config = rebuild->operation.config;
    bool watch = config_flag(config, "watch"), json = config_flag(config, "json");
    bool bar = watch && !json && isatty(STDOUT_FILENO);
    struct arena *arena = arena_new(1u << 16, ARENA_MAX);
    struct look look;
    struct buf out CV_CLEANUP(buf_done);
    buf_init(&out, OUTPUT_MAX);
    enum cv_status status = take_look(rebuild, &look, arena, err);
    struct window window = {look.at_ms, look.done, look.at_ms, look.done};
    bool more = status == CV_OK && (watch || look.phase == PHASE_FILLING);
    if (!more && status == CV_OK)
        (void)print(rebuild, &look, bar, &out);
    while (more && !stop_wait(LOOK_MS)) {
        status = take_look(rebuild, &look, arena, err);
        if (status != CV_OK)
            break;
        set_rate(&look, &window);
        more = print(rebuild, &look, bar, &out) && watch;
    }
    if (bar)
        putchar('\n');
    arena_free(arena);
    if (status == CV_OK)
        *out_exit_code = is_reached(config, &look) ? CV_EXIT_OK : CV_EXIT_NO;
    return status;
}
