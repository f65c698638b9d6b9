/*
 * simulate_world.h: the data that all parts of the simulator share (organizations with their entities and agents), the
 * simulated clock, and how an event is sent. simulate_directory.h and simulate_agents.h fill and change these data,
 * simulate_life.h adds the cases. The simulator follows the contract's rules for agents and removed entities itself, so
 * that it knows what the view must contain. One thread.
 */
#ifndef CASEVIEW_DEV_SIMULATE_WORLD_H
#define CASEVIEW_DEV_SIMULATE_WORLD_H

#include "deploy/dev/random.h"
#include "deploy/dev/simulate_names.h"
#include "deploy/dev/simulate_sink.h"

#define WORLD_UNITS             4 /* an organization */
#define WORLD_CATEGORIES        3
#define WORLD_TYPES             9 /* three a category */
#define WORLD_INBOXES           3 /* a unit, as the next two */
#define WORLD_WORKSTATIONS      5
#define WORLD_WORKSPACES        3
#define WORLD_APPLICATIONS      3
#define WORLD_CUSTOMERS         256 /* an organization keeps the latest ones */
#define WORLD_INITIAL_CUSTOMERS 16

struct entity {
    enum entity_kind kind;
    uint32_t index;        /* within its parent, or within its organization */
    struct entity *parent; /* the unit of an inbox, a workstation, a workspace; the category of a service type */
    char id[UUID_TEXT_LEN + 1];
    char name[NAME_SIZE];
    char detail[48]; /* inbox: color; user: initials; application: client id */
    char *picture;   /* user: NULL for some */
    int64_t version;
    bool removed;
    json_t *ref; /* the Ref, InboxRef, UserRef or CustomerRef that case events contain now */
};

struct entity_list {
    struct entity *items;
    uint32_t count;
};

struct agent {
    struct organization *organization;
    struct entity *user;
    struct entity *workstation;
    json_t *actor;
    int64_t sequence;
    struct entity *unit;              /* NULL: none */
    uint32_t workspaces[WORLD_UNITS]; /* by unit: one bit for each of its workspaces */
};

struct organization {
    char id[UUID_TEXT_LEN + 1];
    char data_table_id[UUID_TEXT_LEN + 1];
    struct entity_list lists[ENTITY_APPLICATION + 1]; /* by kind */
    struct entity *removed;                           /* at most one at a time */
    struct agent *agents;
    uint32_t agent_count;
    uint32_t next_customer;
    int32_t ticket;
};

struct world {
    struct random random;
    struct sink *sink;
    bool wall_clock;
    int64_t now_us;
    struct organization *organizations;
    uint32_t organization_count;
};

struct world_options {
    uint64_t seed;
    bool wall_clock;
    uint32_t organizations;
};

/* Creates organizations without entities and agents. Borrows sink, which must outlive the world. */
struct world *world_new(const struct world_options *options, struct sink *sink);
void world_free(struct world *world); /* entities and agents included */

/* Advances the clock by a random time with mean mean_us; with wall_clock sets it to the real time. */
void world_tick(struct world *world, int64_t mean_us);
/* How busy the hour of the clock is, in percent of the busiest one. */
uint32_t world_busy_percent(const struct world *world);

struct organization *world_organization(struct world *world); /* a random one */
/* A random entity of a kind. */
struct entity *world_entity(struct world *world, struct organization *organization, enum entity_kind kind);
/* A random inbox, workstation or workspace of the unit. */
struct entity *world_of_unit(struct world *world, struct organization *organization, enum entity_kind kind,
                             const struct entity *unit);
/*
 * Sends {"topic", "value": {eventId, organizationId, <id_field>: id, <number_field>: number, occurredAt, actor,
 * payload: {<type>: payload}}}. Takes ownership of payload; actor may be NULL. Statuses of sink_put().
 */
struct world_event {
    const char *topic;
    const struct organization *organization;
    const char *id_field, *id;
    const char *number_field;
    int64_t number;
    json_t *actor; /* borrowed */
    const char *type;
    json_t *payload;
};

enum cv_status world_put(struct world *world, const struct world_event *event, struct err *err) CV_MUST_CHECK;

/* Set a member of a payload. NULL text sets null; world_set() takes ownership of value. */
void world_text(json_t *object, const char *key, const char *text);
void world_int(json_t *object, const char *key, int64_t number);
void world_set(json_t *object, const char *key, json_t *value);

#endif
