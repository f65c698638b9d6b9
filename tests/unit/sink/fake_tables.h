/*
 * fake_tables.h: answers the three statements with which a folder reads states, from tables that the test fills, or
 * others by a function of the test. Takes the place of db_exec() by the linker's --wrap option (tests/CMakeLists.txt).
 */
#ifndef CASEVIEW_TESTS_FAKE_TABLES_H
#define CASEVIEW_TESTS_FAKE_TABLES_H

#include <endian.h>

#include "lib/db_internal.h"
#include "workers/fold/directory.h"
#include "workers/sink/cache.h"

#define FAKE_ROWS_MAX 64

/* A row of case_state or agent. */
struct fake_row {
    struct uuid key[2]; /* case; organization and user */
    int32_t rev, part;
    int16_t flags; /* cases */
    struct str state;
};

struct fake_entity {
    int16_t kind, status;
    struct uuid organization_id, entity_id;
    int64_t version;
    struct str name, roles;
};

static struct {
    struct fake_row cases[FAKE_ROWS_MAX], agents[FAKE_ROWS_MAX];
    struct fake_entity entities[FAKE_ROWS_MAX];
    size_t case_count, agent_count, entity_count;
    int queries;      /* answered */
    size_t last_keys; /* keys that the last one asked for */
    bool away;        /* the database does not answer */
    /* If set, answers instead of the tables above. */
    PGresult *(*other)(const char *name, const struct db_args *args);
} fake;

/* Arguments: one-dimensional arrays in PostgreSQL's binary format, without nulls. */
#define FAKE_HEADER 20

static inline size_t fake_keys(const struct db_args *args, int argument, size_t item)
{
    return args->lengths[argument] <= FAKE_HEADER ? 0 : ((size_t)args->lengths[argument] - FAKE_HEADER) / (4 + item);
}

static inline struct uuid fake_uuid(const struct db_args *args, int argument, size_t i)
{
    struct uuid uuid;
    memcpy(uuid.b, args->values[argument] + FAKE_HEADER + i * 20 + 4, sizeof uuid.b);
    return uuid;
}

static inline int16_t fake_int2(const struct db_args *args, int argument, size_t i)
{
    uint16_t value;
    memcpy(&value, args->values[argument] + FAKE_HEADER + i * 6 + 4, sizeof value);
    return (int16_t)be16toh(value);
}

static inline int64_t fake_int8(const struct db_args *args, int argument, size_t i)
{
    uint64_t value;
    memcpy(&value, args->values[argument] + FAKE_HEADER + i * 12 + 4, sizeof value);
    return (int64_t)be64toh(value);
}

static inline PGresult *fake_result(int columns)
{
    static char name[] = "column";
    PGresAttDesc attributes[16] = {{0}};
    assert((size_t)columns <= ARRAY_LEN(attributes));
    for (int i = 0; i < columns; i++)
        attributes[i] = (PGresAttDesc){.name = name, .format = 1};
    PGresult *rows = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    int ok = PQsetResultAttrs(rows, columns, attributes);
    assert(ok);
    return rows;
}

static inline void fake_put(PGresult *rows, int row, int column, const void *value, size_t size)
{
    char *copy = cv_alloc(size + 1);
    if (value != NULL)
        memcpy(copy, value, size);
    int ok = PQsetvalue(rows, row, column, copy, value != NULL ? (int)size : -1);
    assert(ok);
    free(copy);
}

static inline void fake_put_int2(PGresult *rows, int row, int column, int16_t number)
{
    uint16_t value = htobe16((uint16_t)number);
    fake_put(rows, row, column, &value, sizeof value);
}

static inline void fake_put_int4(PGresult *rows, int row, int column, int32_t number)
{
    uint32_t value = htobe32((uint32_t)number);
    fake_put(rows, row, column, &value, sizeof value);
}

static inline void fake_put_int8(PGresult *rows, int row, int column, int64_t number)
{
    uint64_t value = htobe64((uint64_t)number);
    fake_put(rows, row, column, &value, sizeof value);
}

static inline PGresult *fake_cases(const struct db_args *args)
{
    PGresult *rows = fake_result(5);
    fake.last_keys = fake_keys(args, 0, sizeof(struct uuid));
    for (size_t i = 0; i < fake.last_keys; i++) {
        struct uuid key = fake_uuid(args, 0, i);
        for (size_t j = 0; j < fake.case_count; j++) {
            const struct fake_row *found = &fake.cases[j];
            int row = PQntuples(rows);
            if (!uuid_eq(&found->key[0], &key))
                continue;
            fake_put(rows, row, 0, found->key[0].b, sizeof key.b);
            fake_put_int4(rows, row, 1, found->rev);
            fake_put_int2(rows, row, 2, found->flags);
            fake_put(rows, row, 3, found->state.ptr, found->state.len);
            fake_put_int4(rows, row, 4, found->part);
        }
    }
    return rows;
}

static inline PGresult *fake_agents(const struct db_args *args)
{
    PGresult *rows = fake_result(5);
    fake.last_keys = fake_keys(args, 0, sizeof(struct uuid));
    for (size_t i = 0; i < fake.last_keys; i++) {
        struct uuid organization = fake_uuid(args, 0, i), user = fake_uuid(args, 1, i);
        for (size_t j = 0; j < fake.agent_count; j++) {
            const struct fake_row *found = &fake.agents[j];
            int row = PQntuples(rows);
            if (!uuid_eq(&found->key[0], &organization) || !uuid_eq(&found->key[1], &user))
                continue;
            fake_put(rows, row, 0, found->key[0].b, sizeof user.b);
            fake_put(rows, row, 1, found->key[1].b, sizeof user.b);
            fake_put_int4(rows, row, 2, found->rev);
            fake_put(rows, row, 3, found->state.ptr, found->state.len);
            fake_put_int4(rows, row, 4, found->part);
        }
    }
    return rows;
}

static inline void fake_put_entity(PGresult *rows, const struct fake_entity *found)
{
    int row = PQntuples(rows);
    fake_put_int2(rows, row, 0, found->kind);
    fake_put(rows, row, 1, found->organization_id.b, sizeof found->organization_id.b);
    fake_put(rows, row, 2, found->entity_id.b, sizeof found->entity_id.b);
    fake_put_int2(rows, row, 3, found->status);
    fake_put_int8(rows, row, 4, found->version);
    fake_put(rows, row, 5, found->name.ptr, found->name.len);
    fake_put(rows, row, 6, NULL, 0);
    fake_put(rows, row, 7, NULL, 0);
    fake_put(rows, row, 8, NULL, 0);
    fake_put(rows, row, 9, found->roles.ptr, found->roles.len);
    fake_put(rows, row, 10, "\1", 1);
}

static inline PGresult *fake_entities(const struct db_args *args)
{
    PGresult *rows = fake_result(11);
    fake.last_keys = fake_keys(args, 1, sizeof(struct uuid));
    for (size_t i = 0; i < fake.last_keys; i++) {
        int16_t kind = fake_int2(args, 0, i);
        struct uuid organization = fake_uuid(args, 1, i), id = fake_uuid(args, 2, i);
        for (size_t j = 0; j < fake.entity_count; j++) {
            const struct fake_entity *found = &fake.entities[j];
            bool mine = kind == ENTITY_APPLICATION ? found->status != ENTITY_FORGOTTEN
                                                   : uuid_eq(&found->organization_id, &organization);
            if (found->kind == kind && uuid_eq(&found->entity_id, &id) && mine)
                fake_put_entity(rows, found);
        }
    }
    return rows;
}

enum cv_status __wrap_db_exec(struct db *db, const struct db_statement *statement, const struct db_args *args,
                              int timeout_ms, struct db_result **out_result, struct err *err);
enum cv_status __wrap_db_exec(struct db *db CV_UNUSED, const struct db_statement *statement, const struct db_args *args,
                              int timeout_ms, struct db_result **out_result, struct err *err)
{
    assert(timeout_ms > 0 && !args->failed);
    if (fake.away) {
        err_set(err, "the database is away");
        return CV_RETRY;
    }
    PGresult *rows = fake.other != NULL                           ? fake.other(statement->name, args)
                     : strcmp(statement->name, "case_load") == 0  ? fake_cases(args)
                     : strcmp(statement->name, "agent_load") == 0 ? fake_agents(args)
                                                                  : fake_entities(args);
    fake.queries++;
    *out_result = cv_alloc(sizeof **out_result);
    (*out_result)->rows = rows;
    return CV_OK;
}

#endif
