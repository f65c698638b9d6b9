#include "workers/ops/generation.h"

#include <stdio.h>

#include "sql_schema.h"
#include "sql_worker.h"

#define SCRIPT_MAX       (1u << 20)
#define QUERY_TIMEOUT_MS 60000

static const struct db_statement list_statement = {"generation_list", sql_generation_list};
static const struct db_statement dependents_statement = {"generation_dependents", sql_generation_dependents};
static const struct db_statement dropped_statement = {"generation_dropped", sql_generation_dropped};
static const struct db_statement lock_statement = {"generation_lock_cursors", sql_generation_lock_cursors};

/* The relations of schemas/db/gen.sql, as they are dropped: views first. */
static const char *const view_names[] = {"active_case", "agent", "application", "progress", "parked"};
static const char *const table_names[] = {
    "case_state", "active_case", "agent", "directory", "named", "names_progress", "parked",
};

static const char *const state_names[] = {
    [GENERATION_LIVE] = "live",
    [GENERATION_WAITING] = "waiting",
    [GENERATION_PAST] = "past",
    [GENERATION_DROPPED] = "dropped",
};

const char *generation_state_name(enum generation_state state)
{
    return state_names[state];
}

static enum generation_state state_of(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(state_names); i++)
        if (str_eq(name, str_of(state_names[i])))
            return (enum generation_state)i;
    return GENERATION_DROPPED; /* a state of a later version: not ours to touch */
}

enum cv_status generation_list_read(struct db *db, struct arena *arena, struct generation_list *out_list,
                                    struct err *err)
{
    struct db_result *result;
    enum cv_status status = db_exec(db, &list_statement, NULL, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    size_t count = (size_t)db_rows(result);
    struct generation *items = arena_alloc(arena, (count + 1) * sizeof *items);
    assert(items != NULL); /* a few rows */
    for (int row = 0; row < db_rows(result); row++)
        items[row] = (struct generation){
            .gen = db_int4(result, row, 0),
            .state = state_of(db_str(result, row, 1)),
            .template_version = db_int4(result, row, 2),
            .deferred = db_bool(result, row, 3),
            .carry_over_from = db_int4(result, row, 4),
            .prepare_started = db_bool(result, row, 5),
            .prepared = db_bool(result, row, 6),
            .created_at = db_time(result, row, 7),
            .log_only = db_bool(result, row, 8),
        };
    db_result_free(result);
    *out_list = (struct generation_list){items, count};
    return CV_OK;
}

enum cv_status generation_check_template(struct db *db, int32_t gen, struct err *err)
{
    static const struct db_statement statement = {
        "generation_template", "SELECT template_version FROM ctl.generation WHERE gen = $1::integer"};
    struct arena *arena = arena_new(1u << 10, 1u << 16);
    struct db_args args;
    struct db_result *result;
    db_args_init(&args, arena);
    db_arg_int4(&args, gen);
    enum cv_status status = db_exec(db, &statement, &args, QUERY_TIMEOUT_MS, &result, err);
    arena_free(arena);
    if (status != CV_OK)
        return status;
    int32_t version = db_rows(result) == 1 ? db_int4(result, 0, 0) : GENERATION_TEMPLATE;
    db_result_free(result);
    if (version == GENERATION_TEMPLATE)
        return CV_OK;
    err_set(err, GENERATION_MISFIT, gen, version, GENERATION_TEMPLATE);
    return CV_FATAL;
}

enum cv_status generation_check_carry_over(const struct generation *from, struct err *err)
{
    if (from->template_version >= GENERATION_TEMPLATE_OLDEST && from->template_version <= GENERATION_TEMPLATE)
        return CV_OK;
    err_set(err,
            "the states of generation %d have version %d, this program can carry over versions %d to %d: use another "
            "version of caseview, or --from-log-only",
            from->gen, from->template_version, GENERATION_TEMPLATE_OLDEST, GENERATION_TEMPLATE);
    return CV_FATAL;
}

const struct generation *generation_find(const struct generation_list *list, int32_t gen)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].gen == gen)
            return &list->items[i];
    return NULL;
}

const struct generation *generation_in_state(const struct generation_list *list, enum generation_state state)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].state == state)
            return &list->items[i];
    return NULL;
}

/* ---- create ---- */

/* Appends the template with gen_N and caseview_N replaced. */
static void expand_template(struct buf *out, const char *template, const char *schema, const char *views)
{
    const char *at = template;
    for (const char *mark; (mark = strstr(at, "_N")) != NULL; at = mark + 2) {
        bool is_gen = mark - template >= 3 && memcmp(mark - 3, "gen", 3) == 0;
        bool is_view = mark - template >= 8 && memcmp(mark - 8, "caseview", 8) == 0;
        size_t name_len = is_gen ? 3 : is_view ? 8 : 0;
        buf_append(out, at, (size_t)(mark - at) - name_len);
        buf_puts(out, is_gen ? schema : is_view ? views : "_N");
    }
    buf_puts(out, at);
}

enum cv_status generation_create(struct db *db, int32_t gen, bool waiting, struct err *err)
{
    char schema[32], views[32];
    struct buf script CV_CLEANUP(buf_done);
    snprintf(schema, sizeof schema, "gen_%d", gen);
    snprintf(views, sizeof views, "caseview_%d", gen);
    buf_init(&script, SCRIPT_MAX);
    /* A clock that begins at 1: the number that the first rendering writes to the cursors is not 0 (fence.sql). */
    buf_printf(&script,
               "INSERT INTO ctl.generation (gen, schema_name, template_version, state, deferred, prepared_at, "
               "switched_at) VALUES (%d, '%s', %d, '%s', %s, %s, %s);\n"
               "INSERT INTO ctl.dir_clock (gen, no) VALUES (%d, %d);\n",
               gen, schema, GENERATION_TEMPLATE, waiting ? "waiting" : "live", waiting ? "true" : "false",
               waiting ? "NULL" : "now()", waiting ? "NULL" : "now()", gen, waiting ? 1 : 0);
    expand_template(&script, sql_gen, schema, waiting ? views : "caseview");
    assert(!script.overflow); /* the template is a part of the program */
    enum cv_status status = db_script(db, script.data, QUERY_TIMEOUT_MS, err);
    return status == CV_OK && !waiting ? generation_create_indexes(db, gen, err) : status;
}

enum cv_status generation_create_indexes(struct db *db, int32_t gen, struct err *err)
{
    char schema[32];
    struct buf script CV_CLEANUP(buf_done);
    snprintf(schema, sizeof schema, "gen_%d", gen);
    buf_init(&script, SCRIPT_MAX);
    expand_template(&script, sql_gen_indexes, schema, "");
    return db_script(db, script.data, 0, err);
}

/* ---- drop ---- */

static enum cv_status find_dependents(struct db *db, struct arena *arena, int32_t gen, struct str *out_names,
                                      struct err *err)
{
    char schema[32], views[32];
    struct str schemas[2], relations[ARRAY_LEN(view_names) + ARRAY_LEN(table_names)];
    struct db_args args;
    struct db_result *result;
    size_t count = 0;
    snprintf(schema, sizeof schema, "gen_%d", gen);
    snprintf(views, sizeof views, "caseview_%d", gen);
    schemas[0] = str_of(schema);
    schemas[1] = str_of(views);
    for (size_t i = 0; i < ARRAY_LEN(view_names); i++)
        relations[count++] = str_of(view_names[i]);
    for (size_t i = 0; i < ARRAY_LEN(table_names); i++)
        relations[count++] = str_of(table_names[i]);
    db_args_init(&args, arena);
    db_arg_text_array(&args, schemas, sizeof *schemas, ARRAY_LEN(schemas));
    db_arg_text_array(&args, relations, sizeof *relations, count);
    enum cv_status status = db_exec(db, &dependents_statement, &args, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    *out_names = arena_str(arena, db_str(result, 0, 0));
    db_result_free(result);
    return CV_OK;
}

static void put_drops(struct buf *script, const char *kind, const char *schema, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buf_printf(script, "DROP %s IF EXISTS %s.%s RESTRICT;\n", kind, schema, names[i]);
    buf_printf(script, "DROP SCHEMA IF EXISTS %s RESTRICT;\n", schema);
}

enum cv_status generation_drop(struct db *db, struct arena *arena, int32_t gen, struct str *out_dependents,
                               struct err *err)
{
    char schema[32], views[32];
    struct db_args args;
    struct buf script CV_CLEANUP(buf_done);
    buf_init(&script, SCRIPT_MAX);
    db_args_init(&args, arena);
    db_arg_int4(&args, gen);
    enum cv_status status = db_exec(db, &lock_statement, &args, QUERY_TIMEOUT_MS, NULL, err);
    if (status == CV_OK)
        status = find_dependents(db, arena, gen, out_dependents, err);
    if (status != CV_OK || out_dependents->ptr != NULL)
        return status;
    snprintf(schema, sizeof schema, "gen_%d", gen);
    snprintf(views, sizeof views, "caseview_%d", gen);
    put_drops(&script, "VIEW", views, view_names, ARRAY_LEN(view_names));
    put_drops(&script, "TABLE", schema, table_names, ARRAY_LEN(table_names));
    status = db_script(db, script.data, 0, err);
    return status == CV_OK ? db_exec(db, &dropped_statement, &args, QUERY_TIMEOUT_MS, NULL, err) : status;
}
