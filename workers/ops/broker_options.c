#include "workers/ops/broker_options.h"

void topic_names(const struct config *config, const char *out_names[TOPIC_COUNT])
{
    for (enum topic topic = TOPIC_CASES; topic < TOPIC_COUNT; topic++)
        out_names[topic] = config_text(config, topic_options[topic]);
}

enum topic topic_role(const char *const names[TOPIC_COUNT], struct str name)
{
    enum topic topic = TOPIC_CASES;
    while (topic < TOPIC_COUNT && !str_eq(name, str_of(names[topic])))
        topic++;
    return topic;
}

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
