#include "deploy/dev/simulate_directory.h"

#include <stdio.h>

static const char *const role = "Agent Impersonator";

/* Recreates what case events contain about the entity: events that were built before may still hold the old object. */
static void make_ref(const struct organization *organization, struct entity *entity)
{
    json_decref(entity->ref);
    json_t *ref = entity->ref = json_object();
    switch (entity->kind) {
    case ENTITY_USER:
        world_text(ref, "userId", entity->id);
        world_text(ref, "displayName", entity->name);
        world_text(ref, "initials", entity->detail);
        world_text(ref, "picture", entity->picture);
        break;
    case ENTITY_CUSTOMER:
        world_text(ref, "dataTableId", organization->data_table_id);
        world_text(ref, "recordId", entity->id);
        world_text(ref, "displayName", entity->name);
        break;
    case ENTITY_INBOX:
        world_text(ref, "id", entity->id);
        world_text(ref, "name", entity->name);
        world_text(ref, "colorCode", entity->detail);
        break;
    case ENTITY_UNIT:
    case ENTITY_SERVICE_CATEGORY:
    case ENTITY_SERVICE_TYPE:
    case ENTITY_WORKSTATION:
    case ENTITY_WORKSPACE:
    case ENTITY_APPLICATION:
        world_text(ref, "id", entity->id);
        world_text(ref, "name", entity->name);
        break;
    }
}

static void rename_entity(struct world *world, const struct organization *organization, struct entity *entity)
{
    name_make(&world->random, entity->kind, entity->index, entity->name);
    if (entity->kind == ENTITY_USER)
        name_initials(entity->name, entity->detail, sizeof entity->detail);
    else if (entity->kind == ENTITY_INBOX)
        snprintf(entity->detail, sizeof entity->detail, "%s", name_color(&world->random));
    make_ref(organization, entity);
}

/* The entity that the index-th one of a kind belongs to, NULL: none. */
static struct entity *parent_of(const struct organization *organization, enum entity_kind kind, uint32_t index)
{
    static const uint8_t per_unit[ENTITY_APPLICATION + 1] = {[ENTITY_INBOX] = WORLD_INBOXES,
                                                             [ENTITY_WORKSTATION] = WORLD_WORKSTATIONS,
                                                             [ENTITY_WORKSPACE] = WORLD_WORKSPACES};
    if (kind == ENTITY_SERVICE_TYPE)
        return &organization->lists[ENTITY_SERVICE_CATEGORY].items[index / (WORLD_TYPES / WORLD_CATEGORIES)];
    return per_unit[kind] ? &organization->lists[ENTITY_UNIT].items[index / per_unit[kind]] : NULL;
}

static void init_entity(struct world *world, const struct organization *organization, struct entity *entity,
                        enum entity_kind kind, uint32_t index)
{
    entity->kind = kind;
    entity->index = index;
    entity->parent = parent_of(organization, kind, index);
    random_uuid(&world->random, entity->id);
    if (kind == ENTITY_APPLICATION)
        snprintf(entity->detail, sizeof entity->detail, "client-%.8s", entity->id);
    if (kind == ENTITY_USER && random_chance(&world->random, 7000)) {
        char picture[UUID_TEXT_LEN + 1];
        random_uuid(&world->random, picture);
        entity->picture = cv_alloc(128);
        snprintf(entity->picture, 128, "https://pictures.example/public/profiles/%s", picture);
    }
    rename_entity(world, organization, entity);
}

static void init_organization(struct world *world, struct organization *organization, uint32_t users)
{
    const uint32_t counts[ENTITY_APPLICATION + 1] = {
        [ENTITY_UNIT] = WORLD_UNITS,
        [ENTITY_SERVICE_CATEGORY] = WORLD_CATEGORIES,
        [ENTITY_SERVICE_TYPE] = WORLD_TYPES,
        [ENTITY_INBOX] = WORLD_UNITS * WORLD_INBOXES,
        [ENTITY_WORKSTATION] = WORLD_UNITS * WORLD_WORKSTATIONS,
        [ENTITY_WORKSPACE] = WORLD_UNITS * WORLD_WORKSPACES,
        [ENTITY_USER] = users,
        [ENTITY_CUSTOMER] = WORLD_CUSTOMERS,
        [ENTITY_APPLICATION] = WORLD_APPLICATIONS,
    };
    for (enum entity_kind kind = ENTITY_UNIT; kind <= ENTITY_APPLICATION; kind++) {
        struct entity_list *list = &organization->lists[kind];
        list->items = cv_zalloc(counts[kind] * sizeof *list->items);
        list->count = counts[kind];
        for (uint32_t i = 0; i < list->count; i++)
            init_entity(world, organization, &list->items[i], kind, i);
    }
    organization->next_customer = WORLD_INITIAL_CUSTOMERS;
}

void directory_create(struct world *world, uint32_t users)
{
    for (uint32_t i = 0; i < world->organization_count; i++)
        init_organization(world, &world->organizations[i], users);
}

static const char *upsert_type(enum entity_kind kind)
{
    static const char *const types[ENTITY_APPLICATION + 1] = {
        [ENTITY_UNIT] = "UnitUpserted",
        [ENTITY_SERVICE_CATEGORY] = "ServiceCategoryUpserted",
        [ENTITY_SERVICE_TYPE] = "ServiceTypeUpserted",
        [ENTITY_INBOX] = "InboxUpserted",
        [ENTITY_WORKSTATION] = "WorkstationUpserted",
        [ENTITY_WORKSPACE] = "WorkspaceUpserted",
        [ENTITY_USER] = "UserUpserted",
        [ENTITY_CUSTOMER] = "CustomerUpserted",
        [ENTITY_APPLICATION] = "ApplicationUpserted",
    };
    return types[kind];
}

/* The first application has the role, the second one needs it in the token, the third one is disabled. */
static void describe_application(json_t *payload, const struct entity *entity)
{
    json_t *roles = json_array();
    if (entity->index != 1)
        json_array_append_new(roles, json_string_nocheck(role));
    world_text(payload, "clientId", entity->detail);
    world_text(payload, "name", entity->name);
    world_set(payload, "roles", roles);
    world_set(payload, "enabled", json_boolean(entity->index != 2));
}

static json_t *describe(const struct organization *organization, const struct entity *entity)
{
    json_t *payload = json_object();
    switch (entity->kind) {
    case ENTITY_SERVICE_TYPE:
        world_text(payload, "serviceCategoryId", entity->parent->id);
        break;
    case ENTITY_INBOX:
        world_text(payload, "unitId", entity->parent->id);
        world_text(payload, "name", entity->name);
        world_text(payload, "colorCode", entity->detail);
        return payload;
    case ENTITY_WORKSTATION:
    case ENTITY_WORKSPACE:
        world_text(payload, "unitId", entity->parent->id);
        break;
    case ENTITY_USER:
        world_text(payload, "displayName", entity->name);
        world_text(payload, "initials", entity->detail);
        world_text(payload, "picture", entity->picture);
        return payload;
    case ENTITY_CUSTOMER:
        world_text(payload, "dataTableId", organization->data_table_id);
        world_text(payload, "displayName", entity->name);
        return payload;
    case ENTITY_APPLICATION:
        describe_application(payload, entity);
        return payload;
    case ENTITY_UNIT:
    case ENTITY_SERVICE_CATEGORY:
        break;
    }
    world_text(payload, "name", entity->name);
    return payload;
}

static enum cv_status put(struct world *world, const struct organization *organization, struct entity *entity,
                          const char *type, json_t *payload, struct err *err)
{
    struct world_event event = {.topic = "directory",
                                .organization = organization,
                                .id_field = "entityId",
                                .id = entity->id,
                                .number_field = "version",
                                .number = ++entity->version,
                                .type = type,
                                .payload = payload};
    return world_put(world, &event, err);
}

static enum cv_status put_upsert(struct world *world, const struct organization *organization, struct entity *entity,
                                 struct err *err)
{
    return put(world, organization, entity, upsert_type(entity->kind), describe(organization, entity), err);
}

static enum cv_status put_removal(struct world *world, struct organization *organization, struct entity *entity,
                                  struct err *err)
{
    entity->removed = true;
    organization->removed = entity;
    json_t *payload = json_object();
    world_text(payload, "kind", entity_kind_name(entity->kind));
    return put(world, organization, entity, "EntityRemoved", payload, err);
}

/* A null value: the view behaves as if the entity had never existed. */
static enum cv_status put_forgotten(struct world *world, const struct organization *organization,
                                    const struct entity *entity, struct err *err)
{
    char key[128];
    snprintf(key, sizeof key, "%s:%s:%s", entity_kind_name(entity->kind), organization->id, entity->id);
    json_t *json = json_object();
    world_text(json, "topic", "directory");
    world_text(json, "key", key);
    world_text(json, "value", NULL);
    enum cv_status status = sink_put(world->sink, json, err);
    json_decref(json);
    return status;
}

enum cv_status directory_publish(struct world *world, struct organization *organization, struct err *err)
{
    enum cv_status status = CV_OK;
    for (enum entity_kind kind = ENTITY_UNIT; kind <= ENTITY_APPLICATION; kind++) {
        struct entity_list *list = &organization->lists[kind];
        uint32_t count = kind == ENTITY_CUSTOMER ? WORLD_INITIAL_CUSTOMERS : list->count;
        for (uint32_t i = 0; i < count && status == CV_OK; i++) {
            world_tick(world, 1000);
            status = put_upsert(world, organization, &list->items[i], err);
        }
    }
    return status;
}

/* Replaces the oldest customer by a new one. Case events name some customers that are published later or never. */
enum cv_status directory_customer_step(struct world *world, struct err *err)
{
    struct organization *organization = world_organization(world);
    struct entity *entity = &organization->lists[ENTITY_CUSTOMER].items[organization->next_customer];
    organization->next_customer = (organization->next_customer + 1) % WORLD_CUSTOMERS;
    if (entity->version) {
        random_uuid(&world->random, entity->id);
        entity->version = 0;
        rename_entity(world, organization, entity);
    }
    return put_upsert(world, organization, entity, err);
}

enum cv_status directory_step(struct world *world, struct err *err)
{
    static const enum entity_kind kinds[] = {
        ENTITY_UNIT,      ENTITY_SERVICE_CATEGORY, ENTITY_SERVICE_TYPE, ENTITY_INBOX,   ENTITY_WORKSTATION,
        ENTITY_WORKSPACE, ENTITY_WORKSTATION,      ENTITY_USER,         ENTITY_CUSTOMER};
    struct organization *organization = world_organization(world);
    enum entity_kind kind = kinds[random_below(&world->random, ARRAY_LEN(kinds))];
    struct entity *entity = world_entity(world, organization, kind);
    uint32_t dice = random_below(&world->random, 100);
    if (dice < 10)
        return put_forgotten(world, organization, world_entity(world, organization, ENTITY_CUSTOMER), err);
    if (organization->removed && dice < 40) {
        entity = organization->removed;
        organization->removed = NULL;
        entity->removed = false;
        return put_upsert(world, organization, entity, err);
    }
    if (!organization->removed && dice < 25 && kind != ENTITY_CUSTOMER)
        return put_removal(world, organization, entity, err);
    if (entity->removed) /* remains removed until a later step restores it */
        entity = world_entity(world, organization, ENTITY_CUSTOMER);
    if (dice < 85)
        rename_entity(world, organization, entity); /* else the same texts are published again */
    return put_upsert(world, organization, entity, err);
}
