/*
 * stored_rows.h: rows of case_state, active_case and agent as structs: what the statements row_listed.sql, rows_*.sql
 * and stored_*.sql return. All texts are borrowed from the result.
 */
#ifndef CASEVIEW_OPS_STORED_ROWS_H
#define CASEVIEW_OPS_STORED_ROWS_H

#include "caseview/db.h"

struct stored_case {
    int32_t rev, part;
    int16_t flags;
    bool has_degraded_at, has_over_at;
    struct str state;
};

struct stored_listed {
    struct uuid organization_id, case_id, user_id, unit_id;
    int64_t status_date, case_timestamp;
    bool degraded;
    int32_t part;
    int64_t customer_ref; /* 0: NULL */
    struct str refs, body;
};

struct stored_agent {
    int32_t rev, part;
    bool has_unit;
    struct uuid current_unit_id;
    bool has_workspaces, degraded, has_degraded_at;
    struct str refs, state;
};

/* Reads the columns of row number `row` of a result. */
struct uuid stored_case_read(const struct db_result *result, int row, struct stored_case *out_case); /* its case id */
void stored_listed_read(const struct db_result *result, int row, struct stored_listed *out_listed);
/* The key: organization and user. */
void stored_agent_read(const struct db_result *result, int row, struct uuid out_key[2], struct stored_agent *out_agent);

/* The rows of all keys in the given arrays: case ids; organizations and users. */
extern const struct db_statement stored_cases_statement, stored_agents_statement;

/* Queries one row: the result has one or none. CV_OK or CV_RETRY; *out_result is the caller's to free. */
enum cv_status stored_case_find(struct db *db, struct arena *arena, const struct uuid *case_id,
                                struct db_result **out_result, struct err *err) CV_MUST_CHECK;
enum cv_status stored_listed_find(struct db *db, struct arena *arena, const struct uuid *organization_id,
                                  const struct uuid *case_id, struct db_result **out_result,
                                  struct err *err) CV_MUST_CHECK;
enum cv_status stored_agent_find(struct db *db, struct arena *arena, const struct uuid *organization_id,
                                 const struct uuid *user_id, struct db_result **out_result,
                                 struct err *err) CV_MUST_CHECK;

#endif
