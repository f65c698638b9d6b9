#include "deploy/dev/simulate_world.h"

#include <stdio.h>

#include "caseview/clock.h"

#define DAY_US   INT64_C(86400000000)
#define HOUR_US  INT64_C(3600000000)
#define START_US INT64_C(1712815200000000) /* 2024-04-11T06:00:00Z, before opening hours */

/* How busy each hour of the day is, in percent of the busiest one. */
static const uint8_t busy_hours[24] = {3,  2,  2,  2,  3,  5,  10, 30, 70, 95, 100, 95,
                                       75, 80, 90, 85, 70, 45, 25, 15, 10, 8,  6,   4};

void world_text(json_t *object, const char *key, const char *text)
{
    json_object_set_new_nocheck(object, key, text ? json_string_nocheck(text) : json_null());
}

void world_int(json_t *object, const char *key, int64_t number)
{
    json_object_set_new_nocheck(object, key, json_integer(number));
}

void world_set(json_t *object, const char *key, json_t *value)
{
    json_object_set_new_nocheck(object, key, value);
}

enum cv_status world_put(struct world *world, const struct world_event *event, struct err *err)
{
    char event_id[UUID_TEXT_LEN + 1];
    random_uuid(&world->random, event_id);
    json_t *value = json_object();
    world_text(value, "eventId", event_id);
    world_text(value, "organizationId", event->organization->id);
    world_text(value, event->id_field, event->id);
    world_int(value, event->number_field, event->number);
    world_int(value, "occurredAt", world->now_us);
    if (event->actor)
        world_set(value, "actor", json_incref(event->actor));
    json_t *payload = json_object();
    world_set(payload, event->type, event->payload);
    world_set(value, "payload", payload);
    json_t *json = json_object();
    world_text(json, "topic", event->topic);
    world_set(json, "value", value);
    enum cv_status status = sink_put(world->sink, json, err);
    json_decref(json);
    return status;
}

void world_tick(struct world *world, int64_t mean_us)
{
    if (world->wall_clock) {
        world->now_us = clock_wall_us();
        return;
    }
    if (mean_us > HOUR_US)
        mean_us = HOUR_US;
    world->now_us += 1 + random_below(&world->random, (uint32_t)(2 * mean_us / 1000 + 1)) * INT64_C(1000);
    world->now_us += random_below(&world->random, 1000);
}

uint32_t world_busy_percent(const struct world *world)
{
    return world->wall_clock ? 100 : busy_hours[world->now_us % DAY_US / HOUR_US];
}

struct world *world_new(const struct world_options *options, struct sink *sink)
{
    struct world *world = cv_zalloc(sizeof *world);
    random_seed(&world->random, options->seed);
    world->sink = sink;
    world->wall_clock = options->wall_clock;
    world->now_us = options->wall_clock ? clock_wall_us() : START_US;
    world->organization_count = options->organizations;
    world->organizations = cv_zalloc(options->organizations * sizeof *world->organizations);
    for (uint32_t i = 0; i < options->organizations; i++) {
        random_uuid(&world->random, world->organizations[i].id);
        random_uuid(&world->random, world->organizations[i].data_table_id);
    }
    return world;
}

static void free_organization(struct organization *organization)
{
    for (uint32_t i = 0; i < organization->agent_count; i++)
        json_decref(organization->agents[i].actor);
    free(organization->agents);
    for (int kind = ENTITY_UNIT; kind <= ENTITY_APPLICATION; kind++) {
        for (uint32_t i = 0; i < organization->lists[kind].count; i++) {
            free(organization->lists[kind].items[i].picture);
            json_decref(organization->lists[kind].items[i].ref);
        }
        free(organization->lists[kind].items);
    }
}

void world_free(struct world *world)
{
    if (world == NULL)
        return;
    for (uint32_t i = 0; i < world->organization_count; i++)
        free_organization(&world->organizations[i]);
    free(world->organizations);
    free(world);
}

struct organization *world_organization(struct world *world)
{
    return &world->organizations[random_below(&world->random, world->organization_count)];
}

struct entity *world_entity(struct world *world, struct organization *organization, enum entity_kind kind)
{
    struct entity_list *list = &organization->lists[kind];
    return &list->items[random_below(&world->random, list->count)];
}

struct entity *world_of_unit(struct world *world, struct organization *organization, enum entity_kind kind,
                             const struct entity *unit)
{
    struct entity_list *list = &organization->lists[kind];
    uint32_t per_unit = list->count / WORLD_UNITS;
    return &list->items[unit->index * per_unit + random_below(&world->random, per_unit)];
}
