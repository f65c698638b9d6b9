/*
 * log_found.h: rows of the tables as log_compare.h takes them: what the statements row_*.sql and rows_*.sql answer.
 * Everything is borrowed from the result.
 */
#ifndef CASEVIEW_OPS_LOG_FOUND_H
#define CASEVIEW_OPS_LOG_FOUND_H

#include "caseview/db.h"
#include "workers/ops/log_compare.h"

struct uuid found_case(const struct db_result *result, int row, struct found_case *out_case); /* its case id */
void found_listed(const struct db_result *result, int row, struct found_listed *out_listed);
/* The key: organization and user. */
void found_agent(const struct db_result *result, int row, struct uuid out_key[2], struct found_agent *out_agent);

/* One row, or none. CV_OK or CV_RETRY; *out_result is the caller's. */
enum cv_status find_case(struct db *db, struct arena *arena, const struct uuid *case_id, struct db_result **out_result,
                         struct err *err) CV_MUST_CHECK;
enum cv_status find_listed(struct db *db, struct arena *arena, const struct uuid *organization_id,
                           const struct uuid *case_id, struct db_result **out_result, struct err *err) CV_MUST_CHECK;
enum cv_status find_agent(struct db *db, struct arena *arena, const struct uuid *organization_id,
                          const struct uuid *user_id, struct db_result **out_result, struct err *err) CV_MUST_CHECK;

#endif
