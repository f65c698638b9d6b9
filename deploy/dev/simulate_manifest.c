#include "deploy/dev/simulate_manifest.h"

#include "deploy/dev/file.h"

struct listed {
    const struct agent *agent;
    const char *case_id;
    int64_t status_date;
};

struct listing {
    struct listed *items;
    size_t count, room;
};

static void collect(void *context, const struct agent *agent, const char *case_id, int64_t status_date)
{
    struct listing *listing = context;
    if (listing->count == listing->room) {
        listing->room = listing->room ? 2 * listing->room : 256;
        listing->items = cv_realloc(listing->items, listing->room * sizeof *listing->items);
    }
    listing->items[listing->count++] = (struct listed){agent, case_id, status_date};
}

static int compare_pointers(const struct agent *a, const struct agent *b)
{
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b; /* C does not order pointers into different arrays */
    return (x > y) - (x < y);
}

/* By agent, in any fixed order; then as the view is ordered. */
static int compare(const void *a, const void *b)
{
    const struct listed *x = a, *y = b;
    if (x->agent != y->agent)
        return compare_pointers(x->agent, y->agent);
    if (x->status_date != y->status_date)
        return x->status_date < y->status_date ? -1 : 1;
    return strcmp(x->case_id, y->case_id);
}

static int compare_agent(const void *key, const void *item)
{
    return compare_pointers(key, ((const struct listed *)item)->agent);
}

static json_t *case_ids(const struct listing *listing, const struct agent *agent)
{
    json_t *ids = json_array();
    const struct listed *found =
        listing->count ? bsearch(agent, listing->items, listing->count, sizeof *listing->items, compare_agent) : NULL;
    if (found == NULL)
        return ids;
    while (found > listing->items && found[-1].agent == agent)
        found--;
    for (; found < listing->items + listing->count && found->agent == agent; found++)
        json_array_append_new(ids, json_string_nocheck(found->case_id));
    return ids;
}

static json_t *describe_applications(const struct organization *organization)
{
    json_t *array = json_array();
    const struct entity_list *list = &organization->lists[ENTITY_APPLICATION];
    for (uint32_t i = 0; i < list->count; i++) {
        json_t *json = json_object();
        world_text(json, "applicationId", list->items[i].id);
        world_text(json, "clientId", list->items[i].detail);
        world_set(json, "hasRole", json_boolean(i != 1));
        world_set(json, "enabled", json_boolean(i != 2));
        json_array_append_new(array, json);
    }
    return array;
}

static json_t *describe_agents(const struct organization *organization, const struct listing *listing)
{
    json_t *array = json_array();
    for (uint32_t i = 0; i < organization->agent_count; i++) {
        const struct agent *agent = &organization->agents[i];
        const struct entity *unit = agent_current_unit(agent);
        json_t *json = json_object();
        world_text(json, "userId", agent->user->id);
        world_text(json, "displayName", agent->user->name);
        world_text(json, "currentUnitId", unit ? unit->id : NULL);
        world_set(json, "hasWorkspaces", json_boolean(unit && agent_has_workspaces(agent)));
        world_set(json, "activeCases", case_ids(listing, agent));
        json_array_append_new(array, json);
    }
    return array;
}

enum cv_status manifest_write(const char *path, const struct world *world, const struct life *life, struct err *err)
{
    struct listing listing = {0};
    life_listed(life, collect, &listing);
    if (listing.count)
        qsort(listing.items, listing.count, sizeof *listing.items, compare);
    json_t *organizations = json_array();
    for (uint32_t i = 0; i < world->organization_count; i++) {
        const struct organization *organization = &world->organizations[i];
        json_t *json = json_object();
        world_text(json, "organizationId", organization->id);
        world_set(json, "applications", describe_applications(organization));
        world_set(json, "agents", describe_agents(organization, &listing));
        json_array_append_new(organizations, json);
    }
    json_t *manifest = json_object();
    world_int(manifest, "records", (int64_t)sink_count(world->sink));
    world_set(manifest, "organizations", organizations);
    char *text CV_CLEANUP(cv_free_ptr) = json_dumps(manifest, JSON_INDENT(1));
    json_decref(manifest);
    free(listing.items);
    if (text == NULL) {
        err_set(err, "--manifest: out of memory");
        return CV_FATAL;
    }
    return file_replace(path, text, 0644, err);
}
