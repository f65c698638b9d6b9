#include "workers/sink/skipped_keys.h"

void skipped_keys_add(struct skipped_keys *skipped, const struct folder_key *key)
{
    skipped->items[skipped->next] = *key;
    skipped->next = (skipped->next + 1) % SKIPPED_KEYS_MAX;
    if (skipped->count < SKIPPED_KEYS_MAX)
        skipped->count++;
}

/* The id of a case is enough: its organization may not be known here. */
bool skipped_keys_has(const struct skipped_keys *skipped, const struct folder_key *key)
{
    for (size_t i = 0; i < skipped->count; i++) {
        const struct folder_key *item = &skipped->items[i];
        if (item->topic == key->topic && uuid_eq(&item->id, &key->id) &&
            (key->topic == TOPIC_CASES || uuid_eq(&item->organization_id, &key->organization_id)))
            return true;
    }
    return false;
}

void skipped_keys_clear(struct skipped_keys *skipped)
{
    skipped->count = skipped->next = 0;
}
