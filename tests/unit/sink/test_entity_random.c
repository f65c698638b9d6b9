/*
 * Random histories of units and applications of three organizations over batches, against a model of the table
 * directory: no statement has two rows of one key, an application never has two owners, and after every commit the
 * table says what a fold from scratch says.
 */
#include "tests/support/random.h"
#include "tests/unit/sink/sink_fixture.h"

#define ORGANIZATIONS 3
#define IDS           4
#define HISTORIES     2000
#define STEPS         120

/* A row of the table; also what it would say of an entity after each event. */
struct row {
    bool exists;
    int status;
    int64_t version;
};

struct table {
    struct row rows[2][ORGANIZATIONS][IDS]; /* units, applications */
};

static const enum entity_kind kinds[2] = {ENTITY_UNIT, ENTITY_APPLICATION};
static struct sink sink;
static struct table table;                                      /* committed */
static struct directory_state now[2][ORGANIZATIONS][IDS];       /* units: all events, committed or not */
static struct directory_state closed[2][ORGANIZATIONS][IDS];    /* … as of the last closing */
static struct directory_state committed[2][ORGANIZATIONS][IDS]; /* … as of the last commit */
static bool writing;

static unsigned organization_number(size_t organization)
{
    return 10 + (unsigned)organization;
}

static unsigned id_number(size_t id)
{
    return 2000 + (unsigned)id;
}

/* An application has one state for all organizations. */
static struct directory_state *slot(struct directory_state states[2][ORGANIZATIONS][IDS], size_t kind,
                                    size_t organization, size_t id)
{
    return &states[kind][kinds[kind] == ENTITY_APPLICATION ? 0 : organization][id];
}

/* As entity_load(): the owner's row of an application counts, whichever organization asks. */
static void load(struct entity *entity, size_t kind, size_t organization, size_t id)
{
    for (size_t o = 0; o < ORGANIZATIONS; o++) {
        const struct row *row = &table.rows[kind][o][id];
        bool counts = kinds[kind] == ENTITY_APPLICATION ? row->status != ENTITY_FORGOTTEN : o == organization;
        if (!row->exists || !counts)
            continue;
        struct directory_state state;
        struct uuid organization_id = sample_uuid(organization_number(o));
        directory_init(&state, &organization_id);
        state.status = (enum entity_status)row->status;
        state.version = row->version;
        if (state.status == ENTITY_KNOWN)
            state.fields = sink_directory_event(DIRECTORY_UPSERTED, kinds[kind], 1, 1, 1).fields;
        entity_set(sink.caches.entities, entity, &state);
    }
}

static void fold_random_event(struct random *random)
{
    size_t kind = random_below(random, 2), organization = random_below(random, ORGANIZATIONS);
    size_t id = random_below(random, IDS);
    enum directory_event_type type = (enum directory_event_type)random_below(random, 4);
    int64_t version = type == DIRECTORY_FORGOTTEN ? 0 : 1 + random_below(random, 10);
    struct directory_event event = sink_directory_event(type, kinds[kind], organization_number(organization),
                                                        id_number(id), version);
    struct entity *entity = sink_entity(&sink, kinds[kind], organization_number(organization), id_number(id));
    if (entity->entry.pins == 0)
        load(entity, kind, organization, id);

    struct directory_state *model = slot(now, kind, organization, id);
    bool visible;
    if (model->status == ENTITY_FORGOTTEN)
        model->organization_id = event.organization_id;
    enum fold_outcome expected = directory_apply(model, &event, &visible);
    struct fold_result result = sink_fold_entity(&sink, &event);
    assert_int_equal(result.reason, expected == FOLD_KEY_MISMATCH ? PARK_KEY_MISMATCH : PARK_NONE);
    if (result.reason == PARK_NONE)
        assert_int_equal(result.outcome, expected);
    if (entity->entry.pins == 0) /* as folder_load(): what no event changed is not kept */
        cache_remove(sink.caches.entities, &entity->entry);
}

static size_t index_of(const struct uuid *id, unsigned (*number)(size_t), size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct uuid candidate = sample_uuid(number(i));
        if (uuid_eq(id, &candidate))
            return i;
    }
    fail_msg("a row of an unknown id");
    return 0;
}

/* The unique index over the applications that are not forgotten. */
static void expect_one_owner(size_t id)
{
    int owners = 0;
    for (size_t o = 0; o < ORGANIZATIONS; o++)
        owners += table.rows[1][o][id].status != ENTITY_FORGOTTEN;
    assert_true(owners <= 1);
}

static void write_rows(const struct entity_row *rows, size_t count)
{
    bool seen[2][ORGANIZATIONS][IDS] = {{{false}}};
    for (size_t i = 0; i < count; i++) {
        size_t kind = rows[i].kind == ENTITY_APPLICATION, id = index_of(&rows[i].entity_id, id_number, IDS);
        size_t organization = index_of(&rows[i].organization_id, organization_number, ORGANIZATIONS);
        assert_false(seen[kind][organization][id]);
        seen[kind][organization][id] = true;
        table.rows[kind][organization][id] = (struct row){true, rows[i].status, rows[i].version};
        expect_one_owner(id);
    }
}

static void expect_table(void)
{
    for (size_t kind = 0; kind < 2; kind++)
        for (size_t o = 0; o < ORGANIZATIONS; o++)
            for (size_t id = 0; id < IDS; id++) {
                const struct directory_state *model = slot(committed, kind, o, id);
                struct uuid organization_id = sample_uuid(organization_number(o));
                bool owned = kind == 0 || uuid_eq(&model->organization_id, &organization_id);
                const struct row *row = &table.rows[kind][o][id];
                assert_int_equal(row->status, owned ? model->status : ENTITY_FORGOTTEN);
                assert_int_equal(row->version, owned ? model->version : 0);
            }
}

static void commit(void)
{
    if (!writing)
        return;
    write_rows(sink.written->entity_rows, sink.written->entity_count);
    write_rows(sink.written->version_rows, sink.written->version_count);
    memcpy(committed, closed, sizeof committed);
    sink_commit(&sink);
    writing = false;
    expect_table();
}

static void submit(void)
{
    if (writing)
        return;
    (void)sink_submit(&sink);
    memcpy(closed, now, sizeof closed);
    writing = true;
}

static void drop(void)
{
    batch_reset(sink.written, &sink.caches);
    batch_reset(sink.open, &sink.caches);
    assert_int_equal(cache_count(sink.caches.entities), 0);
    memcpy(now, committed, sizeof now);
    writing = false;
}

static void run_history(struct random *random)
{
    table = (struct table){0};
    writing = false;
    memset(now, 0, sizeof now);
    memset(committed, 0, sizeof committed);
    sink_open(&sink);
    for (int step = 0; step < STEPS; step++) {
        unsigned what = random_below(random, 100);
        if (what < 75)
            fold_random_event(random);
        else if (what < 85)
            submit();
        else if (what < 96)
            commit();
        else
            drop();
    }
    commit();
    submit();
    commit();
    assert_int_equal(cache_count(sink.caches.entities), 0);
    sink_close(&sink);
}

static void test_random_histories_table_equals_the_model(void **unused CV_UNUSED)
{
    struct random random = random_start("test_entity_random");
    for (int i = 0; i < HISTORIES; i++)
        run_history(&random);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_histories_table_equals_the_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
