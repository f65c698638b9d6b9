/*
 * stored_rows.h: rows of the tables as history_compare.h takes them: what the statements row_*.sql and rows_*.sql
 * answer. Everything is borrowed from the result.
 */
#ifndef CASEVIEW_OPS_STORED_ROWS_H
#define CASEVIEW_OPS_STORED_ROWS_H

#include "caseview/db.h"
#include "workers/ops/history_compare.h"

struct uuid stored_case_read(const struct db_result *result, int row, struct stored_case *out_case); /* its case id */
void stored_listed_read(const struct db_result *result, int row, struct stored_listed *out_listed);
/* The key: organization and user. */
void stored_agent_read(const struct db_result *result, int row, struct uuid out_key[2], struct stored_agent *out_agent);

/* One row, or none. CV_OK or CV_RETRY; *out_result is the caller's. */
enum cv_status stored_case_find(struct db *db, struct arena *arena, const struct uuid *case_id,
                                struct db_result **out_result, struct err *err) CV_MUST_CHECK;
enum cv_status stored_listed_find(struct db *db, struct arena *arena, const struct uuid *organization_id,
                                  const struct uuid *case_id, struct db_result **out_result,
                                  struct err *err) CV_MUST_CHECK;
enum cv_status stored_agent_find(struct db *db, struct arena *arena, const struct uuid *organization_id,
                                 const struct uuid *user_id, struct db_result **out_result,
                                 struct err *err) CV_MUST_CHECK;

#endif
