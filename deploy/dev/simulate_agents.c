#include "deploy/dev/simulate_agents.h"

#define PICK_TRIES 8

enum choice { CHOICE_SELECT, CHOICE_CLEAR, CHOICE_WORKSPACES, CHOICE_REVOKE };

const struct entity *agent_current_unit(const struct agent *agent)
{
    return agent->unit != NULL && !agent->unit->removed ? agent->unit : NULL;
}

bool agent_has_workspaces(const struct agent *agent)
{
    if (agent->unit == NULL)
        return false;
    const struct entity *items = agent->organization->lists[ENTITY_WORKSPACE].items;
    for (uint32_t i = 0; i < WORLD_WORKSPACES; i++)
        if ((agent->workspaces[agent->unit->index] >> i & 1) &&
            !items[agent->unit->index * WORLD_WORKSPACES + i].removed)
            return true;
    return false;
}

static json_t *workspace_ids(const struct agent *agent, const struct entity *unit)
{
    json_t *ids = json_array();
    const struct entity *items = agent->organization->lists[ENTITY_WORKSPACE].items;
    for (uint32_t i = 0; i < WORLD_WORKSPACES; i++)
        if (agent->workspaces[unit->index] >> i & 1)
            json_array_append_new(ids, json_string_nocheck(items[unit->index * WORLD_WORKSPACES + i].id));
    return ids;
}

static enum cv_status put(struct world *world, struct agent *agent, const char *type, json_t *payload, struct err *err)
{
    struct world_event event = {.topic = "agent",
                                .organization = agent->organization,
                                .id_field = "userId",
                                .id = agent->user->id,
                                .number_field = "sequence",
                                .number = ++agent->sequence,
                                .actor = agent->actor,
                                .type = type,
                                .payload = payload};
    return world_put(world, &event, err);
}

static enum cv_status choose(struct world *world, struct agent *agent, enum choice choice, struct entity *unit,
                             struct err *err)
{
    json_t *payload = json_object();
    if (choice != CHOICE_CLEAR)
        world_text(payload, "unitId", unit->id);
    switch (choice) {
    case CHOICE_SELECT:
        agent->unit = unit;
        agent->workstation = world_of_unit(world, agent->organization, ENTITY_WORKSTATION, unit);
        return put(world, agent, "AgentCurrentUnitSelected", payload, err);
    case CHOICE_CLEAR:
        agent->unit = NULL;
        return put(world, agent, "AgentCurrentUnitCleared", payload, err);
    case CHOICE_WORKSPACES: /* sometimes an empty set */
        agent->workspaces[unit->index] = random_chance(&world->random, 500)
                                             ? 0
                                             : 1 + random_below(&world->random, (1u << WORLD_WORKSPACES) - 1);
        world_set(payload, "workspaceIds", workspace_ids(agent, unit));
        return put(world, agent, "AgentWorkspacesSelected", payload, err);
    case CHOICE_REVOKE:
        agent->workspaces[unit->index] = 0;
        if (agent->unit == unit)
            agent->unit = NULL;
        break;
    }
    return put(world, agent, "AgentUnitAccessRevoked", payload, err);
}

void agents_create(struct world *world)
{
    for (uint32_t i = 0; i < world->organization_count; i++) {
        struct organization *organization = &world->organizations[i];
        const struct entity_list *users = &organization->lists[ENTITY_USER];
        organization->agents = cv_zalloc(users->count * sizeof *organization->agents);
        organization->agent_count = users->count;
        for (uint32_t k = 0; k < users->count; k++) {
            struct agent *agent = &organization->agents[k];
            agent->organization = organization;
            agent->user = &users->items[k];
            agent->actor = json_object();
            world_text(agent->actor, "kind", "User");
            world_text(agent->actor, "userId", agent->user->id);
        }
    }
}

enum cv_status agents_publish(struct world *world, struct organization *organization, struct err *err)
{
    enum cv_status status = CV_OK;
    for (uint32_t i = 0; i < organization->agent_count && status == CV_OK; i++) {
        struct agent *agent = &organization->agents[i];
        struct entity *unit = world_entity(world, organization, ENTITY_UNIT);
        world_tick(world, 1000);
        status = choose(world, agent, CHOICE_SELECT, unit, err);
        if (status == CV_OK)
            status = choose(world, agent, CHOICE_WORKSPACES, unit, err);
    }
    return status;
}

enum cv_status agents_step(struct world *world, struct err *err)
{
    struct organization *organization = world_organization(world);
    struct agent *agent = &organization->agents[random_below(&world->random, organization->agent_count)];
    struct agent *other = &organization->agents[random_below(&world->random, organization->agent_count)];
    if (other->unit == NULL) /* prefer those without a unit, so that most agents have one */
        agent = other;
    struct entity *unit = world_entity(world, organization, ENTITY_UNIT);
    if (agent->unit == NULL)
        return choose(world, agent, CHOICE_SELECT, unit, err);
    if (agent->workspaces[agent->unit->index] == 0)
        return choose(world, agent, CHOICE_WORKSPACES, agent->unit, err);
    uint32_t dice = random_below(&world->random, 100);
    if (dice < 40)
        return choose(world, agent, CHOICE_WORKSPACES, agent->unit, err);
    if (dice < 75)
        return choose(world, agent, CHOICE_SELECT, unit, err);
    return choose(world, agent, dice < 90 ? CHOICE_CLEAR : CHOICE_REVOKE, unit, err);
}

struct agent *agents_pick(struct world *world, struct organization *organization, const struct entity *unit)
{
    struct agent *agent = NULL;
    for (int i = 0; i < PICK_TRIES; i++) {
        agent = &organization->agents[random_below(&world->random, organization->agent_count)];
        if (agent->unit == unit && agent_has_workspaces(agent))
            break;
    }
    return agent;
}
