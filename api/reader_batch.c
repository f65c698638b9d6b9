#include "reader_batch.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "role.h"
#include "tokens.h"

enum { ARENA_BLOCK = 32 * 1024 };

struct batch *batch_new(size_t capacity)
{
    struct batch *batch = cv_zalloc(sizeof *batch + capacity * sizeof batch->items[0]);
    /* the clients' names, and all of it once more as parameters */
    batch->arena = arena_new(ARENA_BLOCK, 2 * ARENA_BLOCK + capacity * (2 * CLIENT_ID_MAX + 256));
    batch->capacity = capacity;
    atomic_init(&batch->references, 1);
    return batch;
}

void batch_free(struct batch *batch)
{
    if (!batch)
        return;
    db_result_free(batch->result);
    arena_free(batch->arena);
    free(batch);
}

void batch_reset(struct batch *batch)
{
    db_result_free(batch->result);
    batch->result = NULL;
    batch->count = 0;
    batch->sent_again = false;
    batch->has_args = false;
    batch->needs_roles = false;
    arena_reset(batch->arena);
    atomic_store_explicit(&batch->references, 1, memory_order_relaxed);
    atomic_store_explicit(&batch->ended, 0, memory_order_relaxed);
}

size_t batch_add(struct batch *batch, const struct question *question)
{
    assert(batch->count < batch->capacity);
    batch->items[batch->count] = (struct item){
        .application = question->application,
        .user = question->user,
        .client = arena_str(batch->arena, question->client),
        .need_roles = question->need_roles,
    };
    batch->needs_roles |= question->need_roles;
    return batch->count++;
}

const struct db_args *batch_args(struct batch *batch)
{
    if (batch->has_args)
        return &batch->args;
    const size_t stride = sizeof batch->items[0];
    db_args_init(&batch->args, batch->arena);
    db_arg_uuid_array(&batch->args, &batch->items[0].application, stride, batch->count);
    db_arg_uuid_array(&batch->args, &batch->items[0].user, stride, batch->count);
    db_arg_text_array(&batch->args, &batch->items[0].client, stride, batch->count);
    db_arg_bool(&batch->args, batch->needs_roles);
    batch->has_args = true;
    return &batch->args;
}

void batch_end(struct batch *batch, struct db_result *result, const char *why)
{
    batch->result = result;
    batch->why = why;
    atomic_store_explicit(&batch->ended, 1, memory_order_release);
    syscall(SYS_futex, &batch->ended, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

bool batch_wait(struct batch *batch, int64_t deadline_us)
{
    struct timespec until = {.tv_sec = deadline_us / 1000000, .tv_nsec = deadline_us % 1000000 * 1000};
    while (!atomic_load_explicit(&batch->ended, memory_order_acquire)) {
        long result = syscall(SYS_futex, &batch->ended, FUTEX_WAIT_BITSET_PRIVATE, 0, &until, NULL,
                              FUTEX_BITSET_MATCH_ANY);
        if (result == -1 && errno == ETIMEDOUT)
            return atomic_load_explicit(&batch->ended, memory_order_acquire);
    }
    return true;
}

/* Columns of api/sql/active_cases.sql. */
enum { COLUMN_N, COLUMN_ACCEPTED, COLUMN_ROLES, COLUMN_HAS_UNIT, COLUMN_HAS_WORKSPACES, COLUMN_BODY };

static bool is_true(const struct db_result *result, int row, int column)
{
    return !db_is_null(result, row, column) && db_bool(result, row, column);
}

/* The rows are in the order of the items, at least one each: the first one of item `n`, counted from 1. */
static int first_row(const struct db_result *result, int64_t n)
{
    int low = 0;
    int high = db_rows(result);
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (db_int8(result, middle, COLUMN_N) < n)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void put_cases(const struct db_result *result, int row, int64_t n, struct buf *out)
{
    int rows = db_rows(result);
    buf_byte(out, '[');
    for (bool first = true; row < rows && db_int8(result, row, COLUMN_N) == n; row++, first = false) {
        struct str body = db_str(result, row, COLUMN_BODY);
        if (!body.ptr)
            break; /* the one row of an agent without a case */
        if (!first)
            buf_byte(out, ',');
        buf_str(out, body);
    }
    buf_byte(out, ']');
}

bool batch_read(const struct batch *batch, size_t index, struct reading *out_reading, struct buf *out_body)
{
    const struct db_result *result = batch->result;
    int64_t n = (int64_t)index + 1;
    int row = first_row(result, n);
    if (row >= db_rows(result) || db_int8(result, row, COLUMN_N) != n)
        return false; /* the statement gives every item a row */
    bool need_roles = batch->items[index].need_roles;
    *out_reading = (struct reading){
        .application_accepted = is_true(result, row, COLUMN_ACCEPTED),
        .application_has_role = need_roles && role_array_has_impersonator(db_str(result, row, COLUMN_ROLES)),
        .has_current_unit = is_true(result, row, COLUMN_HAS_UNIT),
        .has_workspaces = is_true(result, row, COLUMN_HAS_WORKSPACES),
    };
    if (out_reading->application_accepted && (!need_roles || out_reading->application_has_role) &&
        out_reading->has_current_unit && out_reading->has_workspaces)
        put_cases(result, row, n, out_body);
    return true;
}
