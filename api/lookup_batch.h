/*
 * lookup_batch.h: the questions of one statement, and the wait for its answer.
 *
 * A batch is filled under its owner's lock, is sent, ends once, and is read-only for its waiters from then on. Equal
 * questions share one item. It ends by one futex word: one system call wakes all waiters, which then take no lock
 * (docs/decisions/0013).
 */
#ifndef CASEVIEW_API_LOOKUP_BATCH_H
#define CASEVIEW_API_LOOKUP_BATCH_H

#include <pthread.h>
#include <stdatomic.h>

#include "caseview/arena.h"
#include "caseview/buf.h"
#include "caseview/db.h"
#include "question.h"
#include "trace_list.h"

/* A copy of a question: a waiter that timed out may be gone before the statement is sent. */
struct item {
    struct uuid application;
    struct uuid user;
    struct str client; /* in the batch's arena */
    bool need_roles;
    XXH128_hash_t key;
};

struct batch {
    struct batch *next_free;  /* the pool's */
    atomic_int references;    /* one per waiter, one of the owner until the end */
    int64_t sent_us;          /* owner's, of the last time it was sent */
    bool sent_again;          /* owner's */
    atomic_uint ended;        /* the futex */
    struct db_result *result; /* set before the end; NULL: failed */
    const char *why;          /* of a failure, one sentence for the API's client; static text */
    struct arena *arena;
    struct db_args args; /* made by batch_args() */
    bool has_args;
    bool needs_roles;         /* at least one item needs them */
    struct trace_list traces; /* that its statement names; sent in full then, not prepared */
    size_t count, capacity;
    uint32_t *slots; /* hash table over the items: index + 1, 0 is free */
    size_t slot_count;
    struct item items[];
};

/* What batch_read() found. */
enum batch_reading {
    BATCH_FOUND,    /* findings; when they allow it, the JSON array */
    BATCH_TOO_LONG, /* the list is too long for a shared statement */
    BATCH_NO_ROW,   /* the result lacks this question */
};

/* Keeps a few batches for their next use, with their memory. Any thread. */
struct batch_pool {
    size_t capacity; /* distinct questions per batch */
    int kept_max;
    pthread_mutex_t mutex; /* guards the next two */
    struct batch *free;
    int free_count;
};

void batch_pool_init(struct batch_pool *pool, size_t capacity, int kept_max);
void batch_pool_done(struct batch_pool *pool); /* no batch of it may be in use */
/* An empty batch with one reference. */
struct batch *batch_pool_get(struct batch_pool *pool);
/* Gives up one reference; after the last one the batch returns to the pool. */
void batch_pool_release(struct batch_pool *pool, struct batch *batch);
void batch_free(struct batch *batch); /* ignores its references; NULL is fine */

/* Returns the index of the question's item: that of an equal question, else a new one. False: the batch is full. */
bool batch_add(struct batch *batch, const struct question *question, size_t *out_index) CV_MUST_CHECK;
/* The statement's parameters and comment, made once; borrowed until the reset. Nothing may be added afterwards. */
const struct db_args *batch_args(struct batch *batch);

/* Takes the result; NULL with why: failed. */
void batch_end(struct batch *batch, struct db_result *result, const char *why);
/* False: the batch had not ended at the deadline (clock_mono_us). */
bool batch_wait(struct batch *batch, int64_t deadline_us) CV_MUST_CHECK;
/* Of a batch that ended with a result. */
enum batch_reading batch_read(const struct batch *batch, size_t index, struct findings *out_findings,
                              struct buf *out_body) CV_MUST_CHECK;

#endif
