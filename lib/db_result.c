/*
 * Reads rows in PostgreSQL's binary format. A wrong type or an unexpected null asserts: it means that our statement is
 * wrong.
 */
#include "db_internal.h"

#include <endian.h>

#define EPOCH_OFFSET_US INT64_C(946684800000000) /* 2000-01-01 */

void db_result_free(struct db_result *result)
{
    if (result == NULL)
        return;
    PQclear(result->rows);
    free(result);
}

int db_rows(const struct db_result *result)
{
    return PQntuples(result->rows);
}

bool db_is_null(const struct db_result *result, int row, int column)
{
    assert(row >= 0 && row < PQntuples(result->rows) && column >= 0 && column < PQnfields(result->rows));
    return PQgetisnull(result->rows, row, column);
}

struct str db_str(const struct db_result *result, int row, int column)
{
    if (db_is_null(result, row, column))
        return STR_NULL;
    return (struct str){PQgetvalue(result->rows, row, column), (size_t)PQgetlength(result->rows, row, column)};
}

static const char *fixed(const struct db_result *result, int row, int column, int size)
{
    assert(!db_is_null(result, row, column));
    assert(PQgetlength(result->rows, row, column) == size);
    return PQgetvalue(result->rows, row, column);
}

int16_t db_int2(const struct db_result *result, int row, int column)
{
    uint16_t value;
    memcpy(&value, fixed(result, row, column, sizeof value), sizeof value);
    return (int16_t)be16toh(value);
}

int32_t db_int4(const struct db_result *result, int row, int column)
{
    uint32_t value;
    memcpy(&value, fixed(result, row, column, sizeof value), sizeof value);
    return (int32_t)be32toh(value);
}

int64_t db_int8(const struct db_result *result, int row, int column)
{
    uint64_t value;
    memcpy(&value, fixed(result, row, column, sizeof value), sizeof value);
    return (int64_t)be64toh(value);
}

bool db_bool(const struct db_result *result, int row, int column)
{
    return *fixed(result, row, column, 1) != 0;
}

int64_t db_time(const struct db_result *result, int row, int column)
{
    int64_t us = db_int8(result, row, column);
    if (us == INT64_MIN || us == INT64_MAX) /* -infinity, infinity */
        return us;
    int64_t since_1970;
    if (__builtin_add_overflow(us, EPOCH_OFFSET_US, &since_1970))
        return INT64_MAX; /* beyond the year 294246 */
    return since_1970;
}

struct uuid db_uuid(const struct db_result *result, int row, int column)
{
    struct uuid uuid;
    memcpy(uuid.b, fixed(result, row, column, sizeof uuid.b), sizeof uuid.b);
    return uuid;
}
