/*
 * sink_fixture.h: the caches, the batch and the scratch memory with which the tests of sink/ fold events, without a
 * database: a state counts as loaded once the test says so.
 */
#ifndef CASEVIEW_TESTS_SINK_FIXTURE_H
#define CASEVIEW_TESTS_SINK_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/support/sample_case.h"
#include "workers/sink/batch.h"
#include "workers/sink/folds.h"
#include "workers/sink/rows.h"

#define CASE_PART  3
#define AGENT_PART 5

struct sink {
    struct caches caches;
    struct fold_scratch scratch;
    struct batch *open, *written; /* as in a pipeline */
};

static inline void sink_open(struct sink *sink)
{
    sink->caches.cases = states_new(sizeof(struct uuid), SIZE_MAX);
    sink->caches.agents = states_new(2 * sizeof(struct uuid), SIZE_MAX);
    sink->caches.entities = entities_new();
    fold_scratch_init(&sink->scratch);
    sink->open = batch_new();
    sink->written = batch_new();
}

static inline void sink_close(struct sink *sink)
{
    batch_reset(sink->written, &sink->caches);
    batch_reset(sink->open, &sink->caches);
    batch_free(sink->open);
    batch_free(sink->written);
    states_free(sink->caches.cases);
    states_free(sink->caches.agents);
    cache_free(sink->caches.entities);
    fold_scratch_done(&sink->scratch);
}

/* Closes the open batch; the written one must have been reset. */
static inline const struct batch *sink_submit(struct sink *sink)
{
    struct batch *batch = sink->open;
    sink->open = sink->written;
    sink->written = batch;
    batch_close(batch);
    return batch;
}

static inline void sink_commit(struct sink *sink)
{
    batch_reset(sink->written, &sink->caches);
}

/* The partition's entry, NULL when the batch has none. */
static inline struct batch_cursor *sink_find_cursor(const struct batch *batch, enum topic topic, int32_t part)
{
    for (size_t i = 0; i < batch->cursor_count; i++)
        if (batch->cursors[i].part == part && batch->cursors[i].topic == topic)
            return &batch->cursors[i];
    return NULL;
}

/* The state of case sample_uuid(number), as if the table had been asked. */
static inline struct state *sink_case(struct sink *sink, unsigned number)
{
    struct uuid case_id = sample_uuid(number);
    struct state *state = states_get(sink->caches.cases, &case_id);
    state->loaded = true;
    return state;
}

static inline struct state *sink_agent(struct sink *sink, unsigned organization, unsigned user)
{
    const struct uuid key[2] = {sample_uuid(organization), sample_uuid(user)};
    struct state *state = states_get(sink->caches.agents, key);
    state->loaded = true;
    return state;
}

static inline struct entity *sink_entity(struct sink *sink, enum entity_kind kind, unsigned organization,
                                         unsigned number)
{
    uint8_t key[ENTITY_KEY];
    bool made;
    struct uuid organization_id = sample_uuid(organization), entity_id = sample_uuid(number);
    entity_key(kind, &organization_id, &entity_id, key);
    struct entity *entity = (struct entity *)cache_get(sink->caches.entities, key, &made);
    entity->loaded = true;
    return entity;
}

static inline struct fold_result sink_fold_case(struct sink *sink, unsigned number, enum case_event_type type,
                                                int64_t sequence, unsigned variant)
{
    struct case_event event = sample_event(type, sequence, variant);
    event.case_id = sample_uuid(number);
    return case_fold(sink->caches.cases, sink_case(sink, number), CASE_PART, &event, &sink->scratch, sink->open);
}

static inline struct fold_result sink_fold_agent(struct sink *sink, unsigned user, enum agent_event_type type,
                                                 int64_t sequence)
{
    const struct uuid workspaces[] = {sample_uuid(900), sample_uuid(901)};
    const struct agent_event event = {.type = type,
                                      .organization_id = sample_uuid(1),
                                      .user_id = sample_uuid(user),
                                      .sequence = sequence,
                                      .unit_id = sample_uuid(300),
                                      .workspace_ids = workspaces,
                                      .workspace_count = ARRAY_LEN(workspaces)};
    return agent_fold(sink->caches.agents, sink_agent(sink, 1, user), AGENT_PART, &event, &sink->scratch, sink->open);
}

static inline struct directory_event sink_directory_event(enum directory_event_type type, enum entity_kind kind,
                                                          unsigned organization, unsigned number, int64_t version)
{
    struct directory_event event = {.type = type,
                                    .kind = kind,
                                    .organization_id = sample_uuid(organization),
                                    .entity_id = sample_uuid(number),
                                    .version = version};
    if (type == DIRECTORY_UPSERTED)
        event.fields = (struct entity_fields){.name = STR("name"), .detail = STR("detail"), .enabled = true};
    return event;
}

static inline struct fold_result sink_fold_entity(struct sink *sink, const struct directory_event *event)
{
    uint8_t key[ENTITY_KEY];
    bool made;
    entity_key(event->kind, &event->organization_id, &event->entity_id, key);
    struct entity *entity = (struct entity *)cache_get(sink->caches.entities, key, &made);
    entity->loaded = true;
    return entity_fold(sink->caches.entities, entity, event, sink->open);
}

#define assert_str_equal(a, b)                                  \
    do {                                                        \
        struct str left = (a), right = (b);                     \
        assert_int_equal(left.ptr == NULL, right.ptr == NULL);  \
        assert_int_equal(left.len, right.len);                  \
        if (left.len > 0)                                       \
            assert_memory_equal(left.ptr, right.ptr, left.len); \
    } while (0)

#endif
