/*
 * simulate_world.h: what is simulated apart from the cases: organizations with their directory and agents, the clock,
 * and how an event is put. The simulator obeys the contract's rules for agents and removed entities itself, so that it
 * knows what the view must show. One thread.
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
#define WORLD_CUSTOMERS         256 /* an organization keeps the last so many in mind */
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
    json_t *ref; /* the Ref, InboxRef, UserRef or CustomerRef by which cases name it today */
};

struct entity_list {
    struct entity *items;
    uint32_t count;
};

struct agent {
    struct organization *organization;
    struct entity *user;
    struct entity *workstation; /* where it sits */
    json_t *actor;
    int64_t sequence;
    struct entity *unit;              /* NULL: none */
    uint32_t workspaces[WORLD_UNITS]; /* a bit a workspace of that unit */
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
    uint32_t agents; /* of each */
};

/* sink is borrowed and must outlive the world. */
struct world *world_new(const struct world_options *options, struct sink *sink);
void world_free(struct world *world);

/* Moves the clock on by some time around mean_us; with the wall clock to the real time. */
void world_tick(struct world *world, int64_t mean_us);
/* Percent of the busiest hour. */
uint32_t world_busy_percent(const struct world *world);

/* Puts the whole directory and the choices of all agents. Statuses here and below are those of sink_put(). */
enum cv_status world_open(struct world *world, struct err *err) CV_MUST_CHECK;
/* One more event each. */
enum cv_status world_agent_step(struct world *world, struct err *err) CV_MUST_CHECK;
enum cv_status world_customer_step(struct world *world, struct err *err) CV_MUST_CHECK;
enum cv_status world_directory_step(struct world *world, struct err *err) CV_MUST_CHECK;

struct organization *world_organization(struct world *world); /* any one */
struct entity *world_entity(struct world *world, struct organization *organization, enum entity_kind kind);
/* Any inbox, workstation or workspace of the unit. */
struct entity *world_of_unit(struct world *world, struct organization *organization, enum entity_kind kind,
                             const struct entity *unit);
/* One that works in the unit now, if a few tries find one, else any. */
struct agent *world_agent_in(struct world *world, struct organization *organization, const struct entity *unit);

/* The unit that counts for an agent now, NULL: none. And whether its workspaces open the gate. */
const struct entity *world_current_unit(const struct agent *agent);
bool world_has_workspaces(const struct agent *agent);

/*
 * Puts {"topic", "value": {eventId, organizationId, <id_field>: id, <number_field>: number, occurredAt, actor,
 * payload: {<type>: payload}}}. Takes over payload; actor may be NULL.
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

/* Short words for building payloads. NULL text writes null; values are taken over. */
void world_text(json_t *object, const char *key, const char *text);
void world_int(json_t *object, const char *key, int64_t number);
void world_set(json_t *object, const char *key, json_t *value);

#endif
