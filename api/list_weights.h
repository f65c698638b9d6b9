/*
 * list_weights.h: remembers for a while which questions had a long list, so that they are not asked together with short
 * ones, and which had a list that is too long, so that the database is not asked at all. A fixed table; when a row of
 * it is full the entry that expires first is evicted. What is forgotten costs one more statement, nothing else.
 * Any thread.
 */
#ifndef CASEVIEW_API_LIST_WEIGHTS_H
#define CASEVIEW_API_LIST_WEIGHTS_H

#include "question.h"

enum list_weight {
    LIST_SHORT, /* or not known */
    LIST_LONG,
    LIST_TOO_LONG,
};

struct list_weights;

struct list_weights *list_weights_new(void);
void list_weights_free(struct list_weights *weights); /* NULL is fine */
enum list_weight list_weights_find(struct list_weights *weights, XXH128_hash_t key, int64_t now_ms);
/* weight: LIST_LONG or LIST_TOO_LONG. */
void list_weights_note(struct list_weights *weights, XXH128_hash_t key, enum list_weight weight, int64_t until_ms);

#endif
