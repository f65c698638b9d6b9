#include "workers/ops/broker_options.h"

bool broker_is_given(const struct config *config)
{
    size_t count;
    const struct config_property *properties = config_pairs(config, "kafka", &count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(properties[i].name, "bootstrap.servers") == 0 ||
            strcmp(properties[i].name, "metadata.broker.list") == 0)
            return true;
    return false;
}
