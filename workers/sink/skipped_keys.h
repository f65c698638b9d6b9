/*
 * skipped_keys.h: keys whose rows a round of rendering leaves out, because PostgreSQL refuses them. One thread.
 */
#ifndef CASEVIEW_SINK_SKIPPED_KEYS_H
#define CASEVIEW_SINK_SKIPPED_KEYS_H

#include "workers/sink/folder.h"

#define SKIPPED_KEYS_MAX 256 /* the oldest is overwritten */

struct skipped_keys {
    struct folder_key items[SKIPPED_KEYS_MAX];
    size_t count, next;
};

void skipped_keys_add(struct skipped_keys *skipped, const struct folder_key *key);
bool skipped_keys_has(const struct skipped_keys *skipped, const struct folder_key *key);
void skipped_keys_clear(struct skipped_keys *skipped);

#endif
