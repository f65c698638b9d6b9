#include "workers/ops/broker_options.h"

struct consumer_property *broker_properties(const struct config *config, size_t *out_count)
{
    struct consumer_property *properties = cv_zalloc(sizeof *properties);
    const char *name, *value;
    size_t count = 0;
    while (config_pair(config, "kafka", count, &name, &value)) {
        properties = cv_realloc(properties, (count + 2) * sizeof *properties);
        properties[count++] = (struct consumer_property){name, value};
    }
    *out_count = count;
    return properties;
}

bool broker_is_given(const struct config *config)
{
    const char *name, *value;
    for (size_t i = 0; config_pair(config, "kafka", i, &name, &value); i++)
        if (strcmp(name, "bootstrap.servers") == 0 || strcmp(name, "metadata.broker.list") == 0)
            return true;
    return false;
}
