#include "deploy/dev/simulate_life.h"

#include <stdio.h>

#define LIFE_US INT64_C(2400000000) /* average duration of a case: 40 minutes */

enum phase { PHASE_BOOKED, PHASE_QUEUED, PHASE_ACTIVE, PHASE_HELD, PHASE_RESOLVED, PHASE_OVER };

/* The fewest events from each phase to the usual end: served, resolved, closed. */
static const uint8_t events_to_end[] = {[PHASE_BOOKED] = 4, [PHASE_QUEUED] = 3,   [PHASE_ACTIVE] = 2,
                                        [PHASE_HELD] = 3,   [PHASE_RESOLVED] = 1, [PHASE_OVER] = 0};

struct sim_case {
    struct organization *organization;
    char id[UUID_TEXT_LEN + 1];
    enum phase phase;
    uint32_t events_left;
    int64_t sequence;
    int64_t status_date;
    struct entity *inbox; /* its parent is the unit */
    struct agent *agent;  /* who serves it, or NULL */
};

struct life {
    struct world *world;
    struct sim_case *cases;
    uint32_t count;
    uint32_t target;
    uint32_t events_per_case;
};

struct life *life_new(struct world *world, uint32_t cases, uint32_t events_per_case)
{
    struct life *life = cv_zalloc(sizeof *life);
    life->world = world;
    life->target = cases;
    life->events_per_case = events_per_case;
    life->cases = cv_zalloc(cases * sizeof *life->cases);
    return life;
}

void life_free(struct life *life)
{
    if (life == NULL)
        return;
    free(life->cases);
    free(life);
}

static void set_ref(json_t *payload, const char *key, const struct entity *entity)
{
    world_set(payload, key, entity ? json_incref(entity->ref) : json_null());
}

static void set_status(struct life *life, struct sim_case *c, json_t *payload, const char *status)
{
    c->status_date = life->world->now_us;
    if (status)
        world_text(payload, "status", status);
    world_int(payload, "statusDate", c->status_date);
}

/* Sometimes as large as the largest ranks of the platform. */
static void set_rank(struct life *life, json_t *payload)
{
    struct random *random = &life->world->random;
    double rank = (double)random_below(random, 1000000) / 100;
    world_set(payload, "rank", json_real(random_chance(random, 1000) ? rank * 3.7e33 : rank));
}

static void set_ticket(struct life *life, struct sim_case *c, json_t *payload)
{
    struct random *random = &life->world->random;
    char prefix[] = {(char)('A' + random_below(random, 6)), '\0'};
    json_t *ticket = json_object();
    world_text(ticket, "prefix", prefix);
    world_text(ticket, "suffix", random_chance(random, 500) ? "X" : NULL);
    world_int(ticket, "number", c->organization->ticket = c->organization->ticket % 999 + 1);
    world_set(payload, "ticket", ticket);
}

static char *phone(struct random *random, char out[24])
{
    snprintf(out, 24, "+1222%07u", random_below(random, 10000000));
    return out;
}

static char *meeting(struct random *random, char out[160])
{
    uint32_t room = random_below(random, 1000000);
    snprintf(out, 160,
             "{\"provider\":\"Meet\",\"url\":\"https://meet.example/r/%06u\",\"participants\":%u,\"open\":true}", room,
             1 + random_below(random, 4));
    return out;
}

static const char *channel(struct random *random)
{
    static const char *const channels[] = {"FaceToFace", "FaceToFace", "FaceToFace", "Phone", "Video", "Chat"};
    return channels[random_below(random, ARRAY_LEN(channels))];
}

static const struct entity *customer(struct life *life, const struct sim_case *c)
{
    return world_entity(life->world, c->organization, ENTITY_CUSTOMER);
}

static json_t *snapshot(struct life *life, struct sim_case *c)
{
    struct world *world = life->world;
    struct random *random = &world->random;
    const struct entity *type = world_entity(world, c->organization, ENTITY_SERVICE_TYPE);
    bool booked = c->phase == PHASE_BOOKED;
    char text[64];
    json_t *json = json_object();
    if (!booked)
        set_ticket(life, c, json);
    set_ref(json, "serviceCategory", type->parent);
    set_ref(json, "serviceType", type);
    set_status(life, c, json, booked ? "Scheduled" : "InQueue");
    world_int(json, "referenceDate", world->now_us + (booked ? random_below(random, 7200) * INT64_C(1000000) : 0));
    world_int(json, "dateOpened", world->now_us);
    if (random_chance(random, 1500))
        set_ref(json, "assignedTo", agents_pick(world, c->organization, c->inbox->parent)->user);
    world_text(json, "channel", channel(random));
    set_rank(life, json);
    set_ref(json, "unit", c->inbox->parent);
    set_ref(json, "inbox", c->inbox);
    if (random_chance(random, 8000))
        set_ref(json, "customer", customer(life, c));
    if (random_chance(random, 300))
        world_text(json, "onlineMeeting", meeting(random, (char[160]){0}));
    world_set(json, "printedTicket", json_boolean(!booked && random_chance(random, 5000)));
    if (random_chance(random, 6000))
        world_text(json, "contactPhoneNumber", phone(random, text));
    if (random_chance(random, 3000)) {
        snprintf(text, sizeof text, "visitor%u@mail.example", random_below(random, 1000000));
        world_text(json, "contactEmail", text);
    }
    world_text(json, "entryMode", booked ? "Appointment" : "WalkIn");
    return json;
}

static void start_service(struct life *life, struct sim_case *c, json_t *payload)
{
    c->agent = agents_pick(life->world, c->organization, c->inbox->parent);
    set_status(life, c, payload, "Active");
    set_ref(payload, "lockedBy", c->agent->user);
    set_ref(payload, "workstation", c->agent->workstation);
}

/* Moves the case to a random inbox of the organization: to an agent there, or into the queue. */
static void move(struct life *life, struct sim_case *c, json_t *payload, bool served)
{
    c->inbox = world_entity(life->world, c->organization, ENTITY_INBOX);
    if (served) {
        start_service(life, c, payload);
    } else {
        c->agent = NULL;
        set_status(life, c, payload, "InQueue");
    }
    set_ref(payload, "unit", c->inbox->parent);
    set_ref(payload, "inbox", c->inbox);
    set_rank(life, payload);
}

/* Updates random fields, some of them to null; the channel when no other was chosen. */
static void update(struct life *life, const struct sim_case *c, json_t *payload)
{
    struct random *random = &life->world->random;
    char text[24];
    bool some = false;
    if (random_chance(random, 4000)) {
        json_t *set = json_object();
        set_ref(set, "value", random_chance(random, 8500) ? customer(life, c) : NULL);
        world_set(payload, "customer", set);
        some = true;
    }
    for (int i = 0; i < 2; i++) {
        if (!random_chance(random, 3000))
            continue;
        json_t *set = json_object();
        world_text(set, "value", random_chance(random, 8000) ? i ? "späti@mail.example" : phone(random, text) : NULL);
        world_set(payload, i ? "contactEmail" : "contactPhoneNumber", set);
        some = true;
    }
    if (!some || random_chance(random, 2000))
        world_text(payload, "channel", channel(random));
}

static void end(struct life *life, struct sim_case *c, json_t *payload, const char *status)
{
    c->agent = NULL;
    set_status(life, c, payload, status);
    world_int(payload, "dateClosed", life->world->now_us);
}

enum action {
    ACT_CHECK_IN,
    ACT_CANCEL,
    ACT_ABANDON,
    ACT_CALL,
    ACT_HOLD,
    ACT_REQUEUE,
    ACT_TOUCH_ACTIVE,
    ACT_START,
    ACT_RETURN,
    ACT_MOVE_QUEUED,
    ACT_MOVE_SERVED,
    ACT_RESOLVE,
    ACT_REOPEN,
    ACT_CLOSE,
    ACT_POSITION,
    ACT_ASSIGN,
    ACT_UNASSIGN,
    ACT_UPDATE,
    ACT_PRINT,
    ACT_MEETING,
};

static const char *const types[] = {
    [ACT_CHECK_IN] = "AppointmentCheckedIn",
    [ACT_CANCEL] = "AppointmentCancelled",
    [ACT_ABANDON] = "QueueAbandoned",
    [ACT_CALL] = "CaseStatusChanged",
    [ACT_HOLD] = "CaseStatusChanged",
    [ACT_REQUEUE] = "CaseStatusChanged",
    [ACT_TOUCH_ACTIVE] = "CaseStatusChanged",
    [ACT_START] = "CaseServiceStarted",
    [ACT_RETURN] = "CaseReturnedToQueue",
    [ACT_MOVE_QUEUED] = "CaseMoved",
    [ACT_MOVE_SERVED] = "CaseMoved",
    [ACT_RESOLVE] = "CaseResolved",
    [ACT_REOPEN] = "CaseReopened",
    [ACT_CLOSE] = "CaseClosed",
    [ACT_POSITION] = "CasePositionChanged",
    [ACT_ASSIGN] = "CaseUserAssigned",
    [ACT_UNASSIGN] = "CaseUserUnassigned",
    [ACT_UPDATE] = "CaseUpdated",
    [ACT_PRINT] = "CaseTicketPrinted",
    [ACT_MEETING] = "CaseOnlineMeetingSet",
};

/* The transitions of a case: what may happen in each phase, how often, and which phase follows. */
static const struct transition {
    enum phase from;
    uint8_t weight;
    enum action action;
    enum phase to;
} transitions[] = {
    {PHASE_BOOKED, 60, ACT_CHECK_IN, PHASE_QUEUED},    {PHASE_BOOKED, 10, ACT_UPDATE, PHASE_BOOKED},
    {PHASE_BOOKED, 8, ACT_ASSIGN, PHASE_BOOKED},       {PHASE_BOOKED, 5, ACT_MEETING, PHASE_BOOKED},
    {PHASE_BOOKED, 2, ACT_CANCEL, PHASE_OVER},         {PHASE_QUEUED, 35, ACT_START, PHASE_ACTIVE},
    {PHASE_QUEUED, 12, ACT_POSITION, PHASE_QUEUED},    {PHASE_QUEUED, 12, ACT_PRINT, PHASE_QUEUED},
    {PHASE_QUEUED, 10, ACT_UPDATE, PHASE_QUEUED},      {PHASE_QUEUED, 8, ACT_ASSIGN, PHASE_QUEUED},
    {PHASE_QUEUED, 5, ACT_UNASSIGN, PHASE_QUEUED},     {PHASE_QUEUED, 6, ACT_CALL, PHASE_QUEUED},
    {PHASE_QUEUED, 6, ACT_MOVE_QUEUED, PHASE_QUEUED},  {PHASE_QUEUED, 3, ACT_MEETING, PHASE_QUEUED},
    {PHASE_QUEUED, 1, ACT_ABANDON, PHASE_OVER},        {PHASE_ACTIVE, 30, ACT_UPDATE, PHASE_ACTIVE},
    {PHASE_ACTIVE, 10, ACT_MEETING, PHASE_ACTIVE},     {PHASE_ACTIVE, 6, ACT_ASSIGN, PHASE_ACTIVE},
    {PHASE_ACTIVE, 4, ACT_UNASSIGN, PHASE_ACTIVE},     {PHASE_ACTIVE, 4, ACT_PRINT, PHASE_ACTIVE},
    {PHASE_ACTIVE, 4, ACT_TOUCH_ACTIVE, PHASE_ACTIVE}, {PHASE_ACTIVE, 6, ACT_MOVE_SERVED, PHASE_ACTIVE},
    {PHASE_ACTIVE, 4, ACT_MOVE_QUEUED, PHASE_QUEUED},  {PHASE_ACTIVE, 5, ACT_RETURN, PHASE_QUEUED},
    {PHASE_ACTIVE, 6, ACT_HOLD, PHASE_HELD},           {PHASE_ACTIVE, 4, ACT_RESOLVE, PHASE_RESOLVED},
    {PHASE_HELD, 60, ACT_START, PHASE_ACTIVE},         {PHASE_HELD, 15, ACT_REQUEUE, PHASE_QUEUED},
    {PHASE_HELD, 10, ACT_UPDATE, PHASE_HELD},          {PHASE_RESOLVED, 50, ACT_CLOSE, PHASE_OVER},
    {PHASE_RESOLVED, 30, ACT_REOPEN, PHASE_QUEUED},    {PHASE_RESOLVED, 10, ACT_UPDATE, PHASE_RESOLVED},
};

/*
 * Picks a transition that still lets the case end with the events that it has left. When there is none, allows more
 * events, one at a time.
 */
static const struct transition *choose(struct life *life, const struct sim_case *c)
{
    for (uint32_t slack = 0;; slack++) {
        uint32_t sum = 0;
        for (size_t i = 0; i < ARRAY_LEN(transitions); i++)
            if (transitions[i].from == c->phase && 1u + events_to_end[transitions[i].to] <= c->events_left + slack)
                sum += transitions[i].weight;
        if (sum == 0)
            continue;
        uint32_t dice = random_below(&life->world->random, sum);
        for (size_t i = 0; i < ARRAY_LEN(transitions); i++) {
            if (transitions[i].from != c->phase || 1u + events_to_end[transitions[i].to] > c->events_left + slack)
                continue;
            if (dice < transitions[i].weight)
                return &transitions[i];
            dice -= transitions[i].weight;
        }
    }
}

/* The status that an action's payload carries, where that is all it does about the status; else NULL. */
static const char *const statuses[] = {
    [ACT_CHECK_IN] = "InQueue", [ACT_CALL] = "Called",         [ACT_HOLD] = "OnHold",
    [ACT_REQUEUE] = "InQueue",  [ACT_TOUCH_ACTIVE] = "Active", /* again: nothing but the date moves, and the lock
                                                                  remains */
    [ACT_RETURN] = "InQueue",   [ACT_REOPEN] = "InQueue",      [ACT_MEETING] = NULL, /* the last one */
};

static json_t *act(struct life *life, struct sim_case *c, enum action action)
{
    struct random *random = &life->world->random;
    json_t *payload = json_object();
    if (statuses[action])
        set_status(life, c, payload, statuses[action]);
    switch (action) {
    case ACT_CHECK_IN:
        set_rank(life, payload);
        if (random_chance(random, 8000))
            set_ticket(life, c, payload);
        break;
    case ACT_CANCEL:
        end(life, c, payload, "Canceled");
        break;
    case ACT_ABANDON:
        end(life, c, payload, "Abandoned");
        break;
    case ACT_HOLD:
        c->agent = NULL;
        break;
    case ACT_START:
        start_service(life, c, payload);
        break;
    case ACT_RETURN:
    case ACT_REOPEN:
        c->agent = NULL;
        set_rank(life, payload);
        break;
    case ACT_MOVE_QUEUED:
    case ACT_MOVE_SERVED:
        move(life, c, payload, action == ACT_MOVE_SERVED);
        break;
    case ACT_RESOLVE:
        c->agent = NULL;
        set_status(life, c, payload, NULL);
        break;
    case ACT_CLOSE:
        end(life, c, payload, NULL);
        break;
    case ACT_POSITION:
        set_rank(life, payload);
        break;
    case ACT_ASSIGN:
        set_ref(payload, "assignedTo", agents_pick(life->world, c->organization, c->inbox->parent)->user);
        break;
    case ACT_UPDATE:
        update(life, c, payload);
        break;
    case ACT_MEETING:
        world_text(payload, "onlineMeeting", random_chance(random, 8000) ? meeting(random, (char[160]){0}) : NULL);
        break;
    case ACT_CALL:
    case ACT_REQUEUE:
    case ACT_TOUCH_ACTIVE:
    case ACT_UNASSIGN:
    case ACT_PRINT:
        break;
    }
    return payload;
}

/* Sends one event of the case. Takes ownership of payload. */
static enum cv_status put(struct life *life, struct sim_case *c, const char *type, json_t *payload, json_t *actor,
                          struct err *err)
{
    struct world_event event = {.topic = "case",
                                .organization = c->organization,
                                .id_field = "caseId",
                                .id = c->id,
                                .number_field = "sequence",
                                .number = ++c->sequence,
                                .actor = actor,
                                .type = type,
                                .payload = payload};
    c->events_left -= c->events_left > 0;
    return world_put(life->world, &event, err);
}

static enum cv_status arrive(struct life *life, struct err *err)
{
    struct world *world = life->world;
    uint32_t mean = life->events_per_case;
    struct sim_case c = {.organization = world_organization(world), .phase = PHASE_QUEUED, .events_left = 1};
    random_uuid(&world->random, c.id);
    c.inbox = world_entity(world, c.organization, ENTITY_INBOX);
    if (mean > 1) {
        uint32_t fewest = mean - mean / 2 < 2 ? 2 : mean - mean / 2;
        c.events_left = fewest + random_below(&world->random, mean + mean / 2 - fewest + 1);
        if (random_chance(&world->random, 3000))
            c.phase = PHASE_BOOKED;
    }
    json_t *payload = json_object();
    json_t *json = snapshot(life, &c);
    world_int(json, "caseTimestamp", world->now_us);
    world_set(payload, "case", json);
    enum cv_status status = put(life, &c, c.phase == PHASE_BOOKED ? "AppointmentBooked" : "CaseQueued", payload, NULL,
                                err);
    if (status == CV_OK && mean > 1)
        life->cases[life->count++] = c;
    return status;
}

static enum cv_status advance(struct life *life, struct err *err)
{
    struct sim_case *c = &life->cases[random_below(&life->world->random, life->count)];
    const struct transition *transition = choose(life, c);
    json_t *actor = c->agent ? c->agent->actor : NULL; /* the agent that served the case before the event */
    json_t *payload = act(life, c, transition->action);
    world_int(payload, "caseTimestamp", life->world->now_us);
    c->phase = transition->to;
    enum cv_status status = put(life, c, types[transition->action], payload, actor, err);
    if (c->phase == PHASE_OVER)
        *c = life->cases[--life->count];
    return status;
}

enum cv_status life_step(struct life *life, struct err *err)
{
    bool lone = life->events_per_case == 1;
    world_tick(life->world,
               LIFE_US / (lone ? life->target * INT64_C(10) : (life->count + 1) * (int64_t)life->events_per_case));
    uint32_t target = (uint32_t)(life->target * (uint64_t)world_busy_percent(life->world) / 100);
    if (lone || life->count == 0)
        return arrive(life, err);
    /* The fewer cases there are, the more likely is a new one. */
    if (life->count < target && random_below(&life->world->random, target) >= life->count)
        return arrive(life, err);
    return advance(life, err);
}

void life_listed(const struct life *life, life_visit visit, void *context)
{
    for (uint32_t i = 0; i < life->count; i++) {
        const struct sim_case *c = &life->cases[i];
        if (c->phase == PHASE_ACTIVE && c->agent && agent_current_unit(c->agent) == c->inbox->parent)
            visit(context, c->agent, c->id, c->status_date);
    }
}
