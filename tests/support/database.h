/*
 * database.h: connections of integration tests to a real PostgreSQL. CASEVIEW_TEST_DATABASE names it; empty means
 * libpq's PG… variables, as pg_virtualenv sets them. Include it after cmocka.h.
 */
#ifndef CASEVIEW_TESTS_SUPPORT_DATABASE_H
#define CASEVIEW_TESTS_SUPPORT_DATABASE_H

#include "caseview/db.h"

#include <stdio.h>

#define TIMEOUT_MS 20000

static const struct db_statement st_one = {"one", "select 1::int4"};
static const struct db_statement st_divide = {"divide", "select 1 / $1"};
static const struct db_statement st_echo = {"echo", "select $1::text"};
static const struct db_statement st_count = {"count", "select count(*) from t"};

static inline void assert_ok(enum cv_status status, const struct err *err)
{
    if (status != CV_OK)
        fail_msg("status %d: %s", (int)status, err->text);
}

/* NULL, with one line on standard error, when the tests have no database. */
static inline const char *test_database(const char *program)
{
    const char *conninfo = getenv("CASEVIEW_TEST_DATABASE");
    if (!conninfo)
        fprintf(stderr, "%s: CASEVIEW_TEST_DATABASE is not set (a conninfo, or empty for the PG... variables)\n",
                program);
    return conninfo;
}

static inline struct db *open_db(void)
{
    struct err err = ERR_INIT;
    struct db *db = NULL;
    assert_ok(db_open(getenv("CASEVIEW_TEST_DATABASE"), "caseview-test", NULL, TIMEOUT_MS, &db, &err), &err);
    return db;
}

static inline void run(struct db *db, const char *sql)
{
    struct err err = ERR_INIT;
    assert_ok(db_script(db, sql, 0, &err), &err);
}

static inline int64_t count_rows(struct db *db)
{
    struct err err = ERR_INIT;
    struct db_result *result = NULL;
    assert_ok(db_exec(db, &st_count, NULL, TIMEOUT_MS, &result, &err), &err);
    int64_t count = db_int8(result, 0, 0);
    db_result_free(result);
    return count;
}

#endif
