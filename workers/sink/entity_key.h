/*
 * entity_key.h: the keys under which entities of the directory and their names are cached, and the columns of
 * directory's primary key that they stand for. Any thread.
 */
#ifndef CASEVIEW_SINK_ENTITY_KEY_H
#define CASEVIEW_SINK_ENTITY_KEY_H

#include "workers/fold/event.h"

#define ENTITY_KEY 33 /* kind, organization (zeros for an application, which is globally unique), entity */

struct entity_columns {
    int16_t kind;
    struct uuid organization_id, entity_id;
};

void entity_key(enum entity_kind kind, const struct uuid *organization_id, const struct uuid *entity_id,
                uint8_t out_key[ENTITY_KEY]);
struct entity_columns entity_key_columns(const uint8_t key[ENTITY_KEY]);

#endif
