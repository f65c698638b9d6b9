#include "lookup_batch.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "role.h"

enum {
    ARENA_BLOCK = 32 * 1024,
    LIST_ROWS_MAX = 32, /* api/sql/active_cases.sql sends one more row of a longer list */
};

static struct batch *batch_new(size_t capacity)
{
    struct batch *batch = cv_zalloc(sizeof *batch + capacity * sizeof batch->items[0]);
    /* holds the client ids, all items once more as parameters, and the comment */
    batch->arena = arena_new(ARENA_BLOCK, 2 * ARENA_BLOCK + capacity * (2 * CLIENT_ID_MAX + 256) + TRACE_COMMENT_MAX);
    batch->capacity = capacity;
    batch->slot_count = 16;
    while (batch->slot_count < 2 * capacity)
        batch->slot_count *= 2;
    batch->slots = cv_zalloc(batch->slot_count * sizeof batch->slots[0]);
    atomic_init(&batch->references, 1);
    return batch;
}

void batch_free(struct batch *batch)
{
    if (batch == NULL)
        return;
    db_result_free(batch->result);
    arena_free(batch->arena);
    free(batch->slots);
    free(batch);
}

static void batch_reset(struct batch *batch)
{
    db_result_free(batch->result);
    batch->result = NULL;
    batch->count = 0;
    batch->traces.count = batch->traces.more = 0;
    batch->sent_again = false;
    batch->has_args = false;
    batch->needs_roles = false;
    atomic_store_explicit(&batch->ended, 0, memory_order_relaxed);
    memset(batch->slots, 0, batch->slot_count * sizeof batch->slots[0]);
    arena_reset(batch->arena);
    atomic_store_explicit(&batch->references, 1, memory_order_relaxed);
}

void batch_pool_init(struct batch_pool *pool, size_t capacity, int kept_max)
{
    *pool = (struct batch_pool){.capacity = capacity, .kept_max = kept_max};
    pthread_mutex_init(&pool->mutex, NULL);
}

void batch_pool_done(struct batch_pool *pool)
{
    for (struct batch *batch = pool->free, *next; batch != NULL; batch = next) {
        next = batch->next_free;
        batch_free(batch);
    }
    pthread_mutex_destroy(&pool->mutex);
}

struct batch *batch_pool_get(struct batch_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    struct batch *batch = pool->free;
    if (batch != NULL) {
        pool->free = batch->next_free;
        pool->free_count--;
    }
    pthread_mutex_unlock(&pool->mutex);
    return batch != NULL ? batch : batch_new(pool->capacity);
}

void batch_pool_release(struct batch_pool *pool, struct batch *batch)
{
    if (atomic_fetch_sub_explicit(&batch->references, 1, memory_order_acq_rel) != 1)
        return;
    batch_reset(batch);
    pthread_mutex_lock(&pool->mutex);
    bool keep = pool->free_count < pool->kept_max;
    if (keep) {
        batch->next_free = pool->free;
        pool->free = batch;
        pool->free_count++;
    }
    pthread_mutex_unlock(&pool->mutex);
    if (!keep)
        batch_free(batch);
}

bool batch_add(struct batch *batch, const struct question *question, size_t *out_index)
{
    size_t slot = question->key.low64 & (batch->slot_count - 1);
    for (; batch->slots[slot] != 0; slot = (slot + 1) & (batch->slot_count - 1)) {
        size_t index = batch->slots[slot] - 1;
        if (XXH128_isEqual(batch->items[index].key, question->key)) {
            *out_index = index;
            return true;
        }
    }
    if (batch->count == batch->capacity)
        return false;
    batch->items[batch->count] = (struct item){
        .application = question->application,
        .user = question->user,
        .client = arena_str(batch->arena, question->client),
        .need_roles = question->need_roles,
        .key = question->key,
    };
    batch->needs_roles |= question->need_roles;
    *out_index = batch->count++;
    batch->slots[slot] = (uint32_t)batch->count;
    return true;
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
    if (batch->traces.count > 0) {
        char comment[TRACE_COMMENT_MAX];
        trace_list_comment(&batch->traces, comment);
        batch->args.comment = arena_str(batch->arena, str_of(comment)).ptr;
    }
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
    while (atomic_load_explicit(&batch->ended, memory_order_acquire) == 0) {
        long result = syscall(SYS_futex, &batch->ended, FUTEX_WAIT_BITSET_PRIVATE, 0, &until, NULL,
                              FUTEX_BITSET_MATCH_ANY);
        if (result == -1 && errno == ETIMEDOUT)
            return atomic_load_explicit(&batch->ended, memory_order_acquire) != 0;
    }
    return true;
}

/* Columns of api/sql/active_cases.sql. */
enum { COLUMN_N, COLUMN_ACCEPTED, COLUMN_ROLES, COLUMN_HAS_UNIT, COLUMN_HAS_WORKSPACES, COLUMN_LISTED, COLUMN_BODY };

static bool is_true(const struct db_result *result, int row, int column)
{
    return !db_is_null(result, row, column) && db_bool(result, row, column);
}

/* The first row of item `n`, counted from 1: the rows are in the order of the items, at least one each. */
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

static enum batch_reading put_cases(const struct db_result *result, int row, int64_t n, struct buf *out)
{
    int rows = db_rows(result);
    int count = 0;
    buf_byte(out, '[');
    for (; row < rows && db_int8(result, row, COLUMN_N) == n; row++) {
        if (!db_bool(result, row, COLUMN_LISTED))
            break; /* the one row of an agent without a case */
        struct str body = db_str(result, row, COLUMN_BODY);
        if (body.ptr == NULL || ++count > LIST_ROWS_MAX)
            return BATCH_TOO_LONG;
        if (count > 1)
            buf_byte(out, ',');
        buf_str(out, body);
    }
    buf_byte(out, ']');
    return BATCH_FOUND;
}

enum batch_reading batch_read(const struct batch *batch, size_t index, struct findings *out_findings,
                              struct buf *out_body)
{
    const struct db_result *result = batch->result;
    int64_t n = (int64_t)index + 1;
    int row = first_row(result, n);
    if (row >= db_rows(result) || db_int8(result, row, COLUMN_N) != n)
        return BATCH_NO_ROW;
    bool need_roles = batch->items[index].need_roles;
    *out_findings = (struct findings){
        .application_accepted = is_true(result, row, COLUMN_ACCEPTED),
        .application_has_role = need_roles && role_array_has_impersonator(db_str(result, row, COLUMN_ROLES)),
        .has_current_unit = is_true(result, row, COLUMN_HAS_UNIT),
        .has_workspaces = is_true(result, row, COLUMN_HAS_WORKSPACES),
    };
    if (!findings_allow(out_findings, need_roles))
        return BATCH_FOUND;
    return put_cases(result, row, n, out_body);
}
