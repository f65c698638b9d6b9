#include "workers/fold/event.h"

static const char *const kind_names[] = {
    [ENTITY_UNIT] = "unit",
    [ENTITY_SERVICE_CATEGORY] = "service-category",
    [ENTITY_SERVICE_TYPE] = "service-type",
    [ENTITY_INBOX] = "inbox",
    [ENTITY_WORKSTATION] = "workstation",
    [ENTITY_WORKSPACE] = "workspace",
    [ENTITY_USER] = "user",
    [ENTITY_CUSTOMER] = "customer",
    [ENTITY_APPLICATION] = "application",
};

const char *entity_kind_name(enum entity_kind kind)
{
    return (unsigned)kind < ARRAY_LEN(kind_names) ? kind_names[kind] : NULL;
}

bool entity_kind_parse(struct str text, enum entity_kind *out_kind)
{
    for (unsigned kind = ENTITY_UNIT; kind < ARRAY_LEN(kind_names); kind++) {
        if (str_eq(text, str_of(kind_names[kind]))) {
            *out_kind = (enum entity_kind)kind;
            return true;
        }
    }
    return false;
}

const struct uuid *event_organization(const struct event *event)
{
    switch (event->topic) {
    case TOPIC_CASES:
        return &event->c.organization_id;
    case TOPIC_AGENTS:
        return &event->a.organization_id;
    case TOPIC_DIRECTORY:
        return &event->d.organization_id;
    case TOPIC_COUNT:
        break;
    }
    return NULL;
}
