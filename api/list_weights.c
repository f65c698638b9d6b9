#include "list_weights.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { ROWS = 1024, WAYS = 4 };

struct entry {
    XXH128_hash_t key;
    int64_t until_ms; /* 0: free */
    enum list_weight weight;
};

struct list_weights {
    atomic_int_fast64_t last_until_ms; /* after this time all entries have expired: the usual case takes no lock */
    pthread_mutex_t mutex;             /* guards the entries */
    struct entry entries[ROWS][WAYS];
};

struct list_weights *list_weights_new(void)
{
    struct list_weights *weights = cv_zalloc(sizeof *weights);
    pthread_mutex_init(&weights->mutex, NULL);
    return weights;
}

void list_weights_free(struct list_weights *weights)
{
    if (weights == NULL)
        return;
    pthread_mutex_destroy(&weights->mutex);
    free(weights);
}

static struct entry *row_of(struct list_weights *weights, XXH128_hash_t key)
{
    return weights->entries[key.low64 % ROWS];
}

enum list_weight list_weights_find(struct list_weights *weights, XXH128_hash_t key, int64_t now_ms)
{
    if (atomic_load_explicit(&weights->last_until_ms, memory_order_acquire) <= now_ms)
        return LIST_SHORT;
    enum list_weight weight = LIST_SHORT;
    pthread_mutex_lock(&weights->mutex);
    const struct entry *row = row_of(weights, key);
    for (size_t way = 0; way < WAYS; way++)
        if (row[way].until_ms > now_ms && XXH128_isEqual(row[way].key, key))
            weight = row[way].weight;
    pthread_mutex_unlock(&weights->mutex);
    return weight;
}

void list_weights_note(struct list_weights *weights, XXH128_hash_t key, enum list_weight weight, int64_t until_ms)
{
    pthread_mutex_lock(&weights->mutex);
    struct entry *row = row_of(weights, key);
    struct entry *chosen = &row[0];
    for (size_t way = 0; way < WAYS; way++) {
        if (row[way].until_ms != 0 && XXH128_isEqual(row[way].key, key)) {
            chosen = &row[way];
            break;
        }
        if (row[way].until_ms < chosen->until_ms)
            chosen = &row[way];
    }
    *chosen = (struct entry){.key = key, .until_ms = until_ms, .weight = weight};
    if (until_ms > atomic_load(&weights->last_until_ms))
        atomic_store_explicit(&weights->last_until_ms, until_ms, memory_order_release);
    pthread_mutex_unlock(&weights->mutex);
}
