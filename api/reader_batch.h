/*
 * reader_batch.h: the questions of one statement, and the wait for its answer.
 *
 * A batch forms (whoever adds has exclusive access), is sent, ends once, and is read-only for those who asked from then
 * on. It ends by one futex word: one system call wakes all of them.
 */
#ifndef CASEVIEW_API_READER_BATCH_H
#define CASEVIEW_API_READER_BATCH_H

#include "caseview/arena.h"
#include "caseview/db.h"
#include "reader.h"

#include <stdatomic.h>

/* A question, copied: who asked may have gone away before the statement is sent. */
struct item {
    struct uuid application;
    struct uuid user;
    struct str client; /* in the batch's arena */
    bool need_roles;
};

struct batch {
    struct batch *next_free;  /* the reader's */
    atomic_int references;    /* of those who asked, and of the reader until the end */
    int64_t sent_us;          /* the reader's, of the last sending */
    bool sent_again;          /* the reader's */
    atomic_uint ended;        /* the futex */
    struct db_result *result; /* once ended; NULL: failed */
    const char *why;          /* it failed, for the caller of the API; static text */
    struct arena *arena;
    struct db_args args; /* batch_args() */
    bool has_args;
    bool needs_roles; /* some item does */
    size_t count, capacity;
    struct item items[];
};

/* With one reference. */
struct batch *batch_new(size_t capacity);
void batch_free(struct batch *batch); /* NULL is fine */
/* As new, for the next questions; nobody may refer to it. */
void batch_reset(struct batch *batch);

/* There must be room. Returns the index of the question. */
size_t batch_add(struct batch *batch, const struct question *question);
/* The parameters of the statement, made once; borrowed until the batch is reset. No question is added any more. */
const struct db_args *batch_args(struct batch *batch);

/* Takes the result; NULL with why: failed. */
void batch_end(struct batch *batch, struct db_result *result, const char *why);
/* False: not ended at the deadline (clock_mono_us). */
bool batch_wait(struct batch *batch, int64_t deadline_us) CV_MUST_CHECK;
/* Of a batch that ended with a result. False: the result has nothing of this question. */
bool batch_read(const struct batch *batch, size_t index, struct reading *out_reading,
                struct buf *out_body) CV_MUST_CHECK;

#endif
