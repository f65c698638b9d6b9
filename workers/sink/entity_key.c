#include "workers/sink/entity_key.h"

void entity_key(enum entity_kind kind, const struct uuid *organization_id, const struct uuid *entity_id,
                uint8_t out_key[ENTITY_KEY])
{
    memset(out_key, 0, ENTITY_KEY);
    out_key[0] = (uint8_t)kind;
    if (kind != ENTITY_APPLICATION)
        memcpy(out_key + 1, organization_id->b, sizeof organization_id->b);
    memcpy(out_key + 17, entity_id->b, sizeof entity_id->b);
}

struct entity_columns entity_key_columns(const uint8_t key[ENTITY_KEY])
{
    struct entity_columns columns = {.kind = key[0]};
    memcpy(columns.organization_id.b, key + 1, sizeof columns.organization_id.b);
    memcpy(columns.entity_id.b, key + 17, sizeof columns.entity_id.b);
    return columns;
}
