#include "workers/ops/stored_rows.h"

#include "sql_worker.h"
#include "workers/ops/operation.h"

const struct db_statement stored_cases_statement = {"stored_cases", sql_stored_cases};
const struct db_statement stored_agents_statement = {"stored_agents", sql_stored_agents};
static const struct db_statement listed_statement = {"row_listed", sql_row_listed};

struct uuid stored_case_read(const struct db_result *result, int row, struct stored_case *out_case)
{
    *out_case = (struct stored_case){
        .rev = db_int4(result, row, 1),
        .part = db_int4(result, row, 2),
        .flags = db_int2(result, row, 3),
        .has_degraded_at = db_bool(result, row, 4),
        .has_over_at = db_bool(result, row, 5),
        .state = db_str(result, row, 6),
    };
    return db_uuid(result, row, 0);
}

void stored_listed_read(const struct db_result *result, int row, struct stored_listed *out_listed)
{
    *out_listed = (struct stored_listed){
        .organization_id = db_uuid(result, row, 0),
        .case_id = db_uuid(result, row, 1),
        .user_id = db_uuid(result, row, 2),
        .unit_id = db_uuid(result, row, 3),
        .status_date = db_time(result, row, 4),
        .case_timestamp = db_time(result, row, 5),
        .degraded = db_bool(result, row, 6),
        .part = db_int4(result, row, 7),
        .customer_ref = db_is_null(result, row, 8) ? 0 : db_int8(result, row, 8),
        .refs = db_str(result, row, 9),
        .body = db_str(result, row, 10),
    };
}

void stored_agent_read(const struct db_result *result, int row, struct uuid out_key[2], struct stored_agent *out_agent)
{
    out_key[0] = db_uuid(result, row, 0);
    out_key[1] = db_uuid(result, row, 1);
    *out_agent = (struct stored_agent){
        .rev = db_int4(result, row, 2),
        .part = db_int4(result, row, 3),
        .has_unit = !db_is_null(result, row, 4),
        .has_workspaces = db_bool(result, row, 5),
        .degraded = db_bool(result, row, 6),
        .has_degraded_at = db_bool(result, row, 7),
        .refs = db_str(result, row, 8),
        .state = db_str(result, row, 9),
    };
    if (out_agent->has_unit)
        out_agent->current_unit_id = db_uuid(result, row, 4);
}

enum cv_status stored_case_find(struct db *db, struct arena *arena, const struct uuid *case_id,
                                struct db_result **out_result, struct err *err)
{
    struct db_args args;
    db_args_init(&args, arena);
    db_arg_uuid_array(&args, case_id, sizeof *case_id, 1);
    return db_exec(db, &stored_cases_statement, &args, OPERATION_QUERY_TIMEOUT_MS, out_result, err);
}

enum cv_status stored_listed_find(struct db *db, struct arena *arena, const struct uuid *organization_id,
                                  const struct uuid *case_id, struct db_result **out_result, struct err *err)
{
    struct db_args args;
    db_args_init(&args, arena);
    db_arg_uuid(&args, organization_id);
    db_arg_uuid(&args, case_id);
    return db_exec(db, &listed_statement, &args, OPERATION_QUERY_TIMEOUT_MS, out_result, err);
}

enum cv_status stored_agent_find(struct db *db, struct arena *arena, const struct uuid *organization_id,
                                 const struct uuid *user_id, struct db_result **out_result, struct err *err)
{
    struct db_args args;
    db_args_init(&args, arena);
    db_arg_uuid_array(&args, organization_id, sizeof *organization_id, 1);
    db_arg_uuid_array(&args, user_id, sizeof *user_id, 1);
    return db_exec(db, &stored_agents_statement, &args, OPERATION_QUERY_TIMEOUT_MS, out_result, err);
}
