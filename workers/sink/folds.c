#include "workers/sink/folds.h"

#include "workers/fold/agent.h"
#include "workers/fold/case.h"
#include "workers/sink/rows.h"

#define STORED_MAX  (16u << 20)
#define AGENT_BLOCK (64u << 10)
#define AGENT_MAX   (16u << 20)

void fold_scratch_init(struct fold_scratch *scratch)
{
    buf_init(&scratch->stored, STORED_MAX);
    scratch->agent = arena_new(AGENT_BLOCK, AGENT_MAX);
}

void fold_scratch_done(struct fold_scratch *scratch)
{
    buf_done(&scratch->stored);
    arena_free(scratch->agent);
}

static struct fold_result refused(enum park_reason reason, const char *text)
{
    return (struct fold_result){.reason = reason, .text = text};
}

/* ---- cases ---- */

struct fold_result case_fold(struct states *cases, struct state *state, int32_t part, const struct case_event *event,
                             struct fold_scratch *scratch, struct batch *batch)
{
    struct case_state folded;
    if (state->blob == NULL)
        case_init(&folded, &event->organization_id);
    else if (!case_load(state_blob(state), &folded))
        return refused(PARK_REFUSED_BY_DATABASE,
                       "case_state holds a state of this case that this version cannot read: caseview repair");
    enum fold_outcome outcome = case_apply(&folded, event);
    if (outcome == FOLD_KEY_MISMATCH)
        return refused(PARK_KEY_MISMATCH, "the case belongs to another organization");
    if (outcome != FOLD_APPLIED && outcome != FOLD_UNKNOWN_TYPE)
        return (struct fold_result){.outcome = outcome};

    buf_reset(&scratch->stored);
    case_store(&folded, &scratch->stored);
    if (scratch->stored.overflow || scratch->stored.len > CASE_STATE_MAX)
        return refused(PARK_TOO_LARGE, "with it the state of its case would be larger than 256 KiB");
    state->flags = case_row_flags(&folded); /* before the old blob is freed, which owns its texts */
    states_set(cases, state, (struct str){scratch->stored.data, scratch->stored.len});
    state->part = part;
    batch_add_case(batch, state, (state->flags & CASE_LISTED) != 0);
    return (struct fold_result){.outcome = outcome};
}

void case_fold_replace(struct states *cases, struct state *state, const struct uuid *organization_id,
                       struct batch *batch)
{
    struct case_state stored;
    /* Deletes the row of active_case of another organization. Our own one may or may not exist. */
    if (state->blob != NULL && case_load(state_blob(state), &stored) &&
        !uuid_eq(&stored.organization_id, organization_id)) {
        struct uuid case_id;
        memcpy(case_id.b, state->entry.key, sizeof case_id.b);
        batch_add_foreign(batch, &stored.organization_id, &case_id);
    }
    states_forget_blob(cases, state);
    state->listed = true;
}

/* ---- agents ---- */

struct fold_result agent_fold(struct states *agents, struct state *state, int32_t part, const struct agent_event *event,
                              struct fold_scratch *scratch, struct batch *batch)
{
    static const char too_large[] = "with it the state of its agent would be larger than 1 MiB";
    struct agent_state folded;
    arena_reset(scratch->agent);
    if (state->blob == NULL)
        agent_init(&folded, scratch->agent);
    else if (!agent_load(state_blob(state), scratch->agent, &folded))
        return refused(PARK_REFUSED_BY_DATABASE,
                       "the table agent holds a state of this agent that this version cannot read: caseview repair");
    enum fold_outcome outcome = agent_apply(&folded, event);
    if (arena_full(scratch->agent))
        return refused(PARK_TOO_LARGE, too_large);
    if (outcome != FOLD_APPLIED && outcome != FOLD_UNKNOWN_TYPE)
        return (struct fold_result){.outcome = outcome};

    buf_reset(&scratch->stored);
    agent_store(&folded, &scratch->stored);
    if (scratch->stored.overflow || scratch->stored.len > AGENT_STATE_MAX)
        return refused(PARK_TOO_LARGE, too_large);
    states_set(agents, state, (struct str){scratch->stored.data, scratch->stored.len});
    state->part = part;
    batch_add_agent(batch, state);
    return (struct fold_result){.outcome = outcome};
}

/* ---- entities of the directory ---- */

void entity_load(struct cache *entities, const struct db_result *result, int row, struct arena *arena)
{
    uint8_t key[ENTITY_KEY];
    struct directory_state state;
    struct uuid entity_id = db_uuid(result, row, ENTITY_ID);
    entity_read(result, row, arena, &state);
    entity_key((enum entity_kind)db_int2(result, row, ENTITY_KIND), &state.organization_id, &entity_id, key);
    struct entity *entity = (struct entity *)cache_find(entities, key);
    if (entity->state.status != ENTITY_FORGOTTEN)
        return;
    if (state.status != ENTITY_KNOWN)
        state.fields = (struct entity_fields){0};
    entity_set(entities, entity, &state);
}

/*
 * An application that its owner forgot and another organization takes over: the former owner's row must say so, even if
 * the same batch holds both events.
 */
static void change_owner(struct entity *entity, const struct directory_event *event, struct batch *batch)
{
    if (entity->visible) {
        struct uuid application_id = entity_id_of(entity);
        batch_add_left_owner(batch, &entity->state.organization_id, &application_id);
    }
    entity->state.organization_id = event->organization_id;
}

struct fold_result entity_fold(struct cache *entities, struct entity *entity, const struct directory_event *event,
                               struct batch *batch)
{
    static const struct uuid none;
    bool visible = false;
    if (entity->state.status == ENTITY_FORGOTTEN && !uuid_eq(&entity->state.organization_id, &event->organization_id)) {
        if (uuid_eq(&entity->state.organization_id, &none))
            entity->state.organization_id = event->organization_id; /* no row and no event before */
        else
            change_owner(entity, event, batch);
    }
    struct directory_state folded = entity->state;
    enum fold_outcome outcome = directory_apply(&folded, event, &visible);
    if (outcome == FOLD_KEY_MISMATCH)
        return refused(PARK_KEY_MISMATCH, "the application belongs to another organization");
    if (outcome == FOLD_APPLIED) {
        entity_set(entities, entity, &folded);
        entity->visible |= visible;
        batch_add_entity(batch, entity);
    }
    return (struct fold_result){.outcome = outcome};
}
