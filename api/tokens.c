#include "tokens.h"

#include <pthread.h>
#include <stdlib.h>
#include <xxhash.h>

#include "caseview/uuid.h"

enum {
    SHARDS = 64,
    SETS = 128, /* a shard */
    WAYS = 8,   /* a set */
    SHARD_BYTES_MAX = 1024 * 1024,
};

struct stored {
    int64_t not_before_us, expires_us;
    uint64_t keys_version;
    uint32_t token_len;
    uint16_t client_len;
    bool has_role, client_too_long;
    char bytes[]; /* token, then client */
};

struct slot {
    uint64_t hash;
    struct stored *stored; /* NULL: free */
};

/* The mutex guards the whole shard. A set is a row of WAYS slots, the newest first. */
struct shard {
    pthread_mutex_t mutex;
    size_t bytes;
    size_t hand; /* set where room is made next */
    struct slot slots[SETS][WAYS];
};

struct tokens {
    uint64_t seed;
    struct metric *remembered;
    struct shard shards[SHARDS];
};

static size_t size_of(const struct stored *stored)
{
    return sizeof *stored + stored->token_len + stored->client_len;
}

struct tokens *tokens_new(struct metrics *metrics)
{
    struct tokens *tokens = cv_zalloc(sizeof *tokens);
    struct uuid random;
    uuid_random(&random);
    memcpy(&tokens->seed, random.b, sizeof tokens->seed);
    tokens->remembered = metrics_gauge(metrics, "caseview_api_remembered_tokens", NULL,
                                       "Verified tokens that are remembered");
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&tokens->shards[i].mutex, NULL);
    return tokens;
}

void tokens_free(struct tokens *tokens)
{
    if (tokens == NULL)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        for (size_t set = 0; set < SETS; set++)
            for (size_t way = 0; way < WAYS; way++)
                free(tokens->shards[i].slots[set][way].stored);
        pthread_mutex_destroy(&tokens->shards[i].mutex);
    }
    free(tokens);
}

static bool is_token(const struct slot *slot, uint64_t hash, struct str token)
{
    return slot->stored != NULL && slot->hash == hash && slot->stored->token_len == token.len &&
           memcmp(slot->stored->bytes, token.ptr, token.len) == 0;
}

static struct shard *shard_of(struct tokens *tokens, uint64_t hash)
{
    return &tokens->shards[hash % SHARDS];
}

static struct slot *set_of(struct shard *shard, uint64_t hash)
{
    return shard->slots[hash / SHARDS % SETS];
}

bool tokens_find(struct tokens *tokens, struct str token, uint64_t keys_version, int64_t now_us,
                 struct principal *out_principal)
{
    uint64_t hash = XXH3_64bits_withSeed(token.ptr, token.len, tokens->seed);
    struct shard *shard = shard_of(tokens, hash);
    bool found = false;
    pthread_mutex_lock(&shard->mutex);
    const struct slot *set = set_of(shard, hash);
    for (size_t way = 0; way < WAYS && !found; way++) {
        if (!is_token(&set[way], hash, token))
            continue;
        const struct stored *stored = set[way].stored;
        if (stored->keys_version != keys_version || now_us >= stored->expires_us || now_us < stored->not_before_us)
            break;
        out_principal->not_before_us = stored->not_before_us;
        out_principal->expires_us = stored->expires_us;
        out_principal->keys_version = keys_version;
        out_principal->has_role = stored->has_role;
        out_principal->client_too_long = stored->client_too_long;
        out_principal->client_len = stored->client_len;
        memcpy(out_principal->client, stored->bytes + stored->token_len, stored->client_len);
        found = true;
    }
    pthread_mutex_unlock(&shard->mutex);
    return found;
}

static void forget(struct tokens *tokens, struct shard *shard, struct slot *slot)
{
    if (slot->stored == NULL)
        return;
    shard->bytes -= size_of(slot->stored);
    free(slot->stored);
    slot->stored = NULL;
    metric_add(tokens->remembered, -1);
}

void tokens_remember(struct tokens *tokens, struct str token, const struct principal *principal)
{
    struct stored *stored = cv_alloc(sizeof *stored + token.len + principal->client_len);
    *stored = (struct stored){
        .not_before_us = principal->not_before_us,
        .expires_us = principal->expires_us,
        .keys_version = principal->keys_version,
        .token_len = (uint32_t)token.len,
        .client_len = principal->client_len,
        .has_role = principal->has_role,
        .client_too_long = principal->client_too_long,
    };
    memcpy(stored->bytes, token.ptr, token.len);
    memcpy(stored->bytes + token.len, principal->client, principal->client_len);

    uint64_t hash = XXH3_64bits_withSeed(token.ptr, token.len, tokens->seed);
    struct shard *shard = shard_of(tokens, hash);
    pthread_mutex_lock(&shard->mutex);
    struct slot *set = set_of(shard, hash);
    size_t gone = WAYS - 1; /* the oldest, or an older memory of the same token */
    for (size_t way = 0; way < WAYS; way++)
        if (set[way].stored == NULL || is_token(&set[way], hash, token)) {
            gone = way;
            break;
        }
    forget(tokens, shard, &set[gone]);
    memmove(set + 1, set, gone * sizeof *set);
    set[0] = (struct slot){hash, NULL};
    while (shard->bytes + size_of(stored) > SHARD_BYTES_MAX) {
        for (size_t way = 0; way < WAYS; way++)
            forget(tokens, shard, &shard->slots[shard->hand][way]);
        shard->hand = (shard->hand + 1) % SETS;
    }
    set[0].stored = stored;
    shard->bytes += size_of(stored);
    pthread_mutex_unlock(&shard->mutex);
    metric_add(tokens->remembered, 1);
}
