/* The folder: what is folded at once, what waits for the tables, and what is refused. */
#include "workers/sink/folder.h"

#include "tests/unit/sink/fake_tables.h"
#include "tests/unit/sink/sink_fixture.h"

static struct folder *folder;
static struct batch *batch;
static const struct record record = {.topic = TOPIC_CASES, .partition = CASE_PART, .offset = 7};

static int set_up(void **unused CV_UNUSED)
{
    memset(&fake, 0, sizeof fake);
    folder = folder_new(64u << 20);
    batch = batch_new();
    folder_begin(folder);
    return 0;
}

static void reset_batch(void)
{
    batch_reset(batch, folder_caches(folder));
}

static int tear_down(void **unused CV_UNUSED)
{
    reset_batch();
    batch_free(batch);
    folder_free(folder);
    for (size_t i = 0; i < fake.case_count; i++)
        free((void *)(uintptr_t)fake.cases[i].state.ptr);
    return 0;
}

static struct event case_event(unsigned number, enum case_event_type type, int64_t sequence, unsigned variant)
{
    struct event event = {.topic = TOPIC_CASES, .c = sample_event(type, sequence, variant)};
    event.c.case_id = sample_uuid(number);
    return event;
}

static struct event agent_event(unsigned user, enum agent_event_type type, int64_t sequence)
{
    return (struct event){.topic = TOPIC_AGENTS,
                          .a = {.type = type,
                                .organization_id = sample_uuid(1),
                                .user_id = sample_uuid(user),
                                .sequence = sequence,
                                .unit_id = sample_uuid(300)}};
}

static struct event directory_event(enum directory_event_type type, enum entity_kind kind, unsigned organization,
                                    unsigned number, int64_t version)
{
    return (struct event){.topic = TOPIC_DIRECTORY,
                          .d = sink_directory_event(type, kind, organization, number, version)};
}

static void add(struct event event)
{
    folder_add(folder, batch, &record, &event);
    memset(&event, 0xee, sizeof event); /* it was copied if it has to wait */
}

static void load(void)
{
    struct err err = ERR_INIT;
    assert_int_equal(folder_load(folder, NULL, batch, &err), CV_OK);
    assert_int_equal(folder_waiting(folder), 0);
}

/* A row of case_state, as this event alone leads to it. */
static void store_case(unsigned number, int32_t rev, enum case_event_type type, int64_t sequence)
{
    struct event event = case_event(number, type, sequence, 0);
    struct case_state state;
    struct buf stored;
    buf_init(&stored, CASE_STATE_MAX);
    case_init(&state, &event.c.organization_id);
    (void)case_apply(&state, &event.c);
    case_store(&state, &stored);
    fake.cases[fake.case_count++] = (struct fake_row){.key = {sample_uuid(number)},
                                                      .rev = rev,
                                                      .part = 9,
                                                      .flags = case_row_flags(&state),
                                                      .state = {stored.data, stored.len}};
}

static struct state *find_case(unsigned number)
{
    struct uuid key = sample_uuid(number);
    return states_find(folder_caches(folder)->cases, &key);
}

/* ---- waiting and loading ---- */

static void test_add_unknown_state_waits_for_load(void **unused CV_UNUSED)
{
    add(case_event(2, CASE_QUEUED, 1, 0));
    assert_int_equal(folder_waiting(folder), 1);
    assert_int_equal(batch->changed_cases, 0);
    assert_int_equal(batch->counts.applied, 0);
    assert_int_equal(fake.queries, 0);
    load();
    assert_int_equal(fake.queries, 1);
    assert_int_equal(batch->counts.applied, 1);
    assert_int_equal(batch->changed_cases, 1);
}

static void test_add_loaded_state_folds_at_once(void **unused CV_UNUSED)
{
    add(case_event(2, CASE_QUEUED, 1, 0));
    load();
    add(case_event(2, CASE_UPDATED, 2, 1));
    assert_int_equal(folder_waiting(folder), 0);
    assert_int_equal(batch->counts.applied, 2);
    load();
    assert_int_equal(fake.queries, 1);
}

static void test_load_each_key_asked_once_each_table_once(void **unused CV_UNUSED)
{
    for (int64_t sequence = 1; sequence <= 3; sequence++)
        for (unsigned i = 0; i < 50; i++)
            add(case_event(1000 + i, sequence == 1 ? CASE_QUEUED : CASE_UPDATED, sequence, 0));
    assert_int_equal(folder_waiting(folder), 150);
    load();
    assert_int_equal(fake.queries, 1);
    assert_int_equal(fake.last_keys, 50);
    assert_int_equal(batch->counts.applied, 150);
    assert_int_equal(batch->changed_cases, 50);

    for (unsigned i = 0; i < 10; i++) {
        add(case_event(2000 + i, CASE_QUEUED, 1, 0));
        add(agent_event(i, AGENT_CURRENT_UNIT_SELECTED, 1));
        add(agent_event(i, AGENT_CURRENT_UNIT_CLEARED, 2));
        add(directory_event(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, i, 1));
        add(directory_event(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, i, 2));
    }
    load();
    assert_int_equal(fake.queries, 4);
    assert_int_equal(fake.last_keys, 10);
    assert_int_equal(batch->changed_agents, 10);
    assert_int_equal(batch->changed_entities, 10);
    assert_int_equal(batch->counts.applied, 200);
}

static void test_load_row_is_folded_on(void **unused CV_UNUSED)
{
    store_case(2, 41, CASE_QUEUED, 1);
    assert_int_equal(fake.cases[0].flags, CASE_LISTED);
    add(case_event(2, CASE_CLOSED, 2, 0));
    load();
    batch_close(batch);
    assert_int_equal(batch->case_count, 1);
    assert_int_equal(batch->case_rows[0].rev, 42);
    assert_true(batch->case_rows[0].was_listed);
    assert_int_equal(batch->case_rows[0].flags, CASE_OVER);
    assert_int_equal(batch->case_rows[0].part, CASE_PART);
}

static void test_load_duplicate_of_the_row_changes_nothing(void **unused CV_UNUSED)
{
    store_case(2, 41, CASE_QUEUED, 1);
    add(case_event(2, CASE_QUEUED, 1, 0));
    load();
    assert_int_equal(batch->counts.duplicates, 1);
    assert_int_equal(batch->changed_cases, 0);
    assert_int_equal(find_case(2)->rev, 41);
}

static void test_load_outcomes_counted(void **unused CV_UNUSED)
{
    add(case_event(2, CASE_CLOSED, 1, 0));
    add(case_event(2, CASE_QUEUED, 2, 0));
    add(case_event(3, CASE_UNKNOWN_TYPE, 1, 0));
    add(case_event(3, CASE_UNKNOWN_TYPE, 1, 0));
    add(directory_event(DIRECTORY_UNKNOWN_TYPE, ENTITY_UNIT, 1, 2, 1));
    load();
    assert_int_equal(batch->counts.applied, 1);
    assert_int_equal(batch->counts.over, 1);
    assert_int_equal(batch->counts.unknown_types, 2);
    assert_int_equal(batch->counts.duplicates, 1);
}

static void test_load_database_away_folds_nothing(void **unused CV_UNUSED)
{
    struct err err = ERR_INIT;
    fake.away = true;
    add(case_event(2, CASE_QUEUED, 1, 0));
    add(agent_event(3, AGENT_CURRENT_UNIT_SELECTED, 1));
    assert_int_equal(folder_load(folder, NULL, batch, &err), CV_RETRY);
    assert_string_equal(err.text, "the database is away");
    assert_int_equal(batch->counts.applied, 0);

    reset_batch(); /* what a caller has to do */
    folder_clear(folder);
    assert_int_equal(folder_waiting(folder), 0);
    fake.away = false;
    folder_begin(folder);
    add(case_event(2, CASE_QUEUED, 1, 0));
    load();
    assert_int_equal(batch->counts.applied, 1);
}

static void test_load_agent_row_is_folded_on(void **unused CV_UNUSED)
{
    add(agent_event(3, AGENT_CURRENT_UNIT_SELECTED, 1));
    load();
    batch_close(batch);
    char stored[4096];
    struct str state = batch->agent_rows[0].state;
    assert_true(state.len <= sizeof stored);
    memcpy(stored, state.ptr, state.len);
    fake.agents[fake.agent_count++] = (struct fake_row){
        .key = {sample_uuid(1), sample_uuid(3)}, .rev = 6, .part = 4, .state = {stored, state.len}};
    reset_batch();
    folder_clear(folder);
    folder_begin(folder);
    add(agent_event(3, AGENT_CURRENT_UNIT_SELECTED, 1));
    add(agent_event(3, AGENT_CURRENT_UNIT_CLEARED, 2));
    load();
    assert_int_equal(batch->counts.duplicates, 1);
    batch_close(batch);
    assert_int_equal(batch->agent_rows[0].rev, 7);
}

/* Large states are read with more queries, so that no answer is large; small ones with one query again, later. */
static void test_load_large_states_in_small_chunks(void **unused CV_UNUSED)
{
    static char long_text[200000];
    memset(long_text, 'x', sizeof long_text);
    assert_int_equal(folder_chunk_records(folder, 5000), 5000);
    struct event event = case_event(2, CASE_UPDATED, 1, 0);
    event.c.given = GROUP_BIT(GROUP_EMAIL);
    event.c.fields.contact_email = (struct str){long_text, sizeof long_text};
    add(event);
    load();
    size_t most = folder_chunk_records(folder, 5000);
    assert_in_range(most, 16, (8u << 20) / sizeof long_text);
    assert_int_equal(folder_chunk_records(folder, 3), 3);
    fake.queries = 0;
    for (unsigned i = 0; i < 100; i++)
        add(case_event(1000 + i, CASE_QUEUED, 1, 0));
    load();
    assert_in_range(fake.queries, 2, 100 / 16 + 1);
    assert_int_equal(batch->changed_cases, 101);
    for (int64_t i = 2; i < 20000; i++)
        add(case_event(1000, CASE_UPDATED, i, 1));
    assert_true(folder_chunk_records(folder, 5000) > 10 * most);
}

/* ---- directory ---- */

static void test_load_entity_not_changed_is_not_kept(void **unused CV_UNUSED)
{
    fake.entities[fake.entity_count++] = (struct fake_entity){.kind = ENTITY_UNIT,
                                                              .status = ENTITY_KNOWN,
                                                              .organization_id = sample_uuid(1),
                                                              .entity_id = sample_uuid(2),
                                                              .version = 5,
                                                              .name = STR("name")};
    add(directory_event(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 2, 5));
    load();
    assert_int_equal(batch->counts.duplicates, 1);
    assert_int_equal(cache_count(folder_caches(folder)->entities), 0);
    add(directory_event(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 2, 6));
    load();
    assert_int_equal(fake.queries, 2); /* the table is asked each time: another worker may have written it */
    assert_int_equal(cache_count(folder_caches(folder)->entities), 1);
    add(directory_event(DIRECTORY_UPSERTED, ENTITY_UNIT, 1, 2, 7));
    assert_int_equal(folder_waiting(folder), 0);
    reset_batch();
    assert_int_equal(cache_count(folder_caches(folder)->entities), 0);
}

static void test_load_application_known_by_its_owner(void **unused CV_UNUSED)
{
    size_t count;
    fake.entities[fake.entity_count++] = (struct fake_entity){.kind = ENTITY_APPLICATION,
                                                              .status = ENTITY_KNOWN,
                                                              .organization_id = sample_uuid(1),
                                                              .entity_id = sample_uuid(2),
                                                              .version = 5,
                                                              .name = STR("name"),
                                                              .roles = STR("[\"a\",\"b\"]")};
    add(directory_event(DIRECTORY_UPSERTED, ENTITY_APPLICATION, 10, 2, 99));
    add(directory_event(DIRECTORY_REMOVED, ENTITY_APPLICATION, 1, 2, 6));
    load();
    const struct folder_refusal *refusals = folder_refusals(folder, &count);
    assert_int_equal(count, 1);
    assert_int_equal(refusals[0].reason, PARK_KEY_MISMATCH);
    assert_int_equal(batch->counts.applied, 1);
    batch_close(batch);
    assert_int_equal(batch->entity_rows[0].status, ENTITY_REMOVED);
}

/* ---- refusals ---- */

static void test_refusals_name_record_and_organization(void **unused CV_UNUSED)
{
    static char long_text[CASE_STATE_MAX];
    const struct record records[3] = {{.offset = 1}, {.offset = 2}, {.offset = 3}};
    struct event events[3] = {case_event(2, CASE_QUEUED, 1, 0), case_event(2, CASE_UPDATED, 2, 0),
                              case_event(3, CASE_UPDATED, 1, 0)};
    struct uuid other = sample_uuid(10), own = sample_uuid(1);
    size_t count;
    memset(long_text, 'x', sizeof long_text);
    events[1].c.organization_id = other;
    events[2].c.given = GROUP_BIT(GROUP_EMAIL);
    events[2].c.fields.contact_email = (struct str){long_text, sizeof long_text};
    for (size_t i = 0; i < 3; i++)
        folder_add(folder, batch, &records[i], &events[i]);
    load();
    const struct folder_refusal *refusals = folder_refusals(folder, &count);
    assert_int_equal(count, 2);
    assert_ptr_equal(refusals[0].record, &records[1]);
    assert_int_equal(refusals[0].reason, PARK_KEY_MISMATCH);
    assert_true(uuid_eq(&refusals[0].organization_id, &other));
    assert_ptr_equal(refusals[1].record, &records[2]);
    assert_int_equal(refusals[1].reason, PARK_TOO_LARGE);
    assert_true(uuid_eq(&refusals[1].organization_id, &own));
    assert_non_null(refusals[1].text);
    assert_int_equal(batch->counts.applied, 1);
    folder_begin(folder);
    (void)folder_refusals(folder, &count);
    assert_int_equal(count, 0);
}

static void test_refusals_more_than_a_few(void **unused CV_UNUSED)
{
    size_t count;
    add(case_event(2, CASE_QUEUED, 1, 0));
    load();
    for (int64_t i = 0; i < 1000; i++) {
        struct event event = case_event(2, CASE_UPDATED, 2 + i, 0);
        event.c.organization_id = sample_uuid(10);
        folder_add(folder, batch, &record, &event); /* loaded: refused at once */
    }
    (void)folder_refusals(folder, &count);
    assert_int_equal(count, 1000);
}

/* ---- rows without an event ---- */

static void rerender(const struct folder_key *keys, size_t count)
{
    struct err err = ERR_INIT;
    assert_int_equal(folder_rerender(folder, NULL, batch, keys, count, &err), CV_OK);
}

static void test_rerender_listed_cases_only(void **unused CV_UNUSED)
{
    store_case(2, 5, CASE_QUEUED, 1);           /* listed */
    store_case(3, 5, CASE_POSITION_CHANGED, 1); /* incomplete */
    store_case(4, 5, CASE_CLOSED, 1);
    const struct folder_key keys[] = {
        {.topic = TOPIC_CASES, .id = sample_uuid(2)},
        {.topic = TOPIC_CASES, .id = sample_uuid(3)},
        {.topic = TOPIC_CASES, .id = sample_uuid(4)},
        {.topic = TOPIC_CASES, .id = sample_uuid(5)},
    };
    rerender(keys, ARRAY_LEN(keys));
    assert_int_equal(fake.queries, 1);
    assert_int_equal(batch->counts.rerendered, 1);
    rerender(keys, 1); /* a second time it is cached */
    assert_int_equal(fake.queries, 1);
    batch_close(batch);
    assert_int_equal(batch->case_count, 1);
    assert_int_equal(batch->case_rows[0].rev, 6);
    assert_int_equal(batch->case_rows[0].part, 9);
    assert_true(batch->case_rows[0].was_listed);
    assert_str_equal(batch->case_rows[0].state, fake.cases[0].state);
}

/* Carry-over or an operator's command has stored the rows since this worker read that there are none. */
static void test_rerender_reads_again_what_another_writer_may_have_stored(void **unused CV_UNUSED)
{
    const struct folder_key keys[] = {
        {.topic = TOPIC_CASES, .id = sample_uuid(2)},
        {.topic = TOPIC_CASES, .id = sample_uuid(3)},
    };
    store_case(2, 5, CASE_POSITION_CHANGED, 2); /* incomplete */
    rerender(keys, ARRAY_LEN(keys));
    assert_int_equal(batch->counts.rerendered, 0);
    assert_int_equal(fake.queries, 1);
    fake.case_count = 0;
    free((void *)(uintptr_t)fake.cases[0].state.ptr);
    store_case(2, 6, CASE_QUEUED, 1);
    store_case(3, 1, CASE_QUEUED, 1);
    rerender(keys, ARRAY_LEN(keys));
    assert_int_equal(fake.queries, 2);
    assert_int_equal(batch->counts.rerendered, 2);
    batch_close(batch);
    assert_int_equal(batch->case_count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(batch->case_rows[i].rev, uuid_eq(&batch->case_rows[i].case_id, &keys[0].id) ? 7 : 2);
}

static void test_rerender_reads_again_an_agent_that_had_no_row(void **unused CV_UNUSED)
{
    const struct folder_key key = {.topic = TOPIC_AGENTS, .organization_id = sample_uuid(1), .id = sample_uuid(3)};
    char stored[4096];
    add(agent_event(3, AGENT_CURRENT_UNIT_SELECTED, 1));
    load();
    batch_close(batch);
    struct str state = batch->agent_rows[0].state;
    assert_true(state.len <= sizeof stored);
    memcpy(stored, state.ptr, state.len);
    reset_batch();
    folder_clear(folder);
    rerender(&key, 1);
    assert_int_equal(batch->counts.rerendered, 0);
    fake.agents[fake.agent_count++] = (struct fake_row){
        .key = {sample_uuid(1), sample_uuid(3)}, .rev = 4, .part = 4, .state = {stored, state.len}};
    rerender(&key, 1);
    assert_int_equal(batch->counts.rerendered, 1);
    batch_close(batch);
    assert_int_equal(batch->agent_rows[0].rev, 5);
}

/* What the open batch changes is not forgotten; if it is older than the table, its revision is refused. */
static void test_rerender_leaves_changes_of_the_open_batch(void **unused CV_UNUSED)
{
    add(case_event(2, CASE_POSITION_CHANGED, 2, 0));
    load();
    store_case(2, 6, CASE_QUEUED, 1);
    rerender(&(struct folder_key){.topic = TOPIC_CASES, .id = sample_uuid(2)}, 1);
    assert_int_equal(fake.queries, 1);
    assert_int_equal(batch->counts.rerendered, 0);
    batch_close(batch);
    assert_int_equal(batch->case_count, 1);
    assert_int_equal(batch->case_rows[0].rev, 1);
}

static void test_rerender_changed_case_keeps_its_partition(void **unused CV_UNUSED)
{
    add(case_event(2, CASE_QUEUED, 1, 0));
    load();
    rerender(&(struct folder_key){.topic = TOPIC_CASES, .id = sample_uuid(2)}, 1);
    assert_int_equal(batch->changed_cases, 1);
    assert_int_equal(find_case(2)->part, CASE_PART);
}

static void test_rerender_state_of_another_version_left_alone(void **unused CV_UNUSED)
{
    store_case(2, 5, CASE_QUEUED, 1);
    memset((void *)(uintptr_t)fake.cases[0].state.ptr, 0xff, 1);
    rerender(&(struct folder_key){.topic = TOPIC_CASES, .id = sample_uuid(2)}, 1);
    assert_int_equal(batch->changed_cases, 0);
    fake.agents[fake.agent_count++] = (struct fake_row){
        .key = {sample_uuid(1), sample_uuid(3)}, .rev = 6, .state = STR("\xff?")};
    rerender(&(struct folder_key){.topic = TOPIC_AGENTS, .organization_id = sample_uuid(1), .id = sample_uuid(3)}, 1);
    assert_int_equal(batch->changed_agents, 0);
    assert_int_equal(batch->counts.rerendered, 0);
}

static void test_rerender_agent(void **unused CV_UNUSED)
{
    add(agent_event(3, AGENT_CURRENT_UNIT_SELECTED, 1));
    load();
    batch_close(batch);
    reset_batch();
    rerender(&(struct folder_key){.topic = TOPIC_AGENTS, .organization_id = sample_uuid(1), .id = sample_uuid(3)}, 1);
    assert_int_equal(batch->changed_agents, 1);
    assert_int_equal(batch->counts.rerendered, 1);
}

static void test_rerender_database_away(void **unused CV_UNUSED)
{
    struct err err = ERR_INIT;
    const struct folder_key key = {.topic = TOPIC_CASES, .id = sample_uuid(2)};
    fake.away = true;
    assert_int_equal(folder_rerender(folder, NULL, batch, &key, 1, &err), CV_RETRY);
    assert_int_equal(batch->counts.rerendered, 0);
}

/* ---- repair ---- */

static void test_replace_after_revision_makes_a_new_state(void **unused CV_UNUSED)
{
    struct err err = ERR_INIT;
    int32_t rev = -1;
    const struct folder_key key = {.topic = TOPIC_CASES, .organization_id = sample_uuid(1), .id = sample_uuid(2)};
    store_case(2, 5, CASE_CLOSED, 9);
    assert_int_equal(folder_revision(folder, NULL, &key, &rev, &err), CV_OK);
    assert_int_equal(rev, 5);
    folder_replace(folder, batch, &key);
    folder_begin(folder);
    add(case_event(2, CASE_QUEUED, 1, 0));
    assert_int_equal(folder_waiting(folder), 0);
    batch_close(batch);
    assert_int_equal(batch->case_rows[0].rev, 6);
    assert_int_equal(batch->case_rows[0].flags, CASE_LISTED);
}

static void test_revision_of_no_row_is_zero(void **unused CV_UNUSED)
{
    struct err err = ERR_INIT;
    int32_t rev = -1;
    const struct folder_key key = {.topic = TOPIC_AGENTS, .organization_id = sample_uuid(1), .id = sample_uuid(2)};
    assert_int_equal(folder_revision(folder, NULL, &key, &rev, &err), CV_OK);
    assert_int_equal(rev, 0);
    fake.away = true;
    const struct folder_key other = {.topic = TOPIC_AGENTS, .organization_id = sample_uuid(1), .id = sample_uuid(3)};
    rev = -1;
    assert_int_equal(folder_revision(folder, NULL, &other, &rev, &err), CV_RETRY);
    assert_int_equal(rev, -1);
}

/* ---- memory ---- */

static void test_trim_states_of_the_batch_stay(void **unused CV_UNUSED)
{
    for (unsigned i = 0; i < 100; i++)
        add(case_event(1000 + i, CASE_QUEUED, 1, 0));
    load();
    batch_close(batch);
    size_t most = folder_bytes(folder);
    folder_set_cache_bytes(folder, 0);
    folder_trim(folder);
    assert_int_equal(folder_bytes(folder), most); /* all part of a batch */
    reset_batch();
    folder_trim(folder);
    folder_trim(folder);
    assert_null(find_case(1000));
    assert_int_equal(folder_bytes(folder), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_add_unknown_state_waits_for_load),
        TEST(test_add_loaded_state_folds_at_once),
        TEST(test_load_each_key_asked_once_each_table_once),
        TEST(test_load_row_is_folded_on),
        TEST(test_load_duplicate_of_the_row_changes_nothing),
        TEST(test_load_outcomes_counted),
        TEST(test_load_database_away_folds_nothing),
        TEST(test_load_agent_row_is_folded_on),
        TEST(test_load_large_states_in_small_chunks),
        TEST(test_load_entity_not_changed_is_not_kept),
        TEST(test_load_application_known_by_its_owner),
        TEST(test_refusals_name_record_and_organization),
        TEST(test_refusals_more_than_a_few),
        TEST(test_rerender_listed_cases_only),
        TEST(test_rerender_reads_again_what_another_writer_may_have_stored),
        TEST(test_rerender_reads_again_an_agent_that_had_no_row),
        TEST(test_rerender_leaves_changes_of_the_open_batch),
        TEST(test_rerender_changed_case_keeps_its_partition),
        TEST(test_rerender_state_of_another_version_left_alone),
        TEST(test_rerender_agent),
        TEST(test_rerender_database_away),
        TEST(test_replace_after_revision_makes_a_new_state),
        TEST(test_revision_of_no_row_is_zero),
        TEST(test_trim_states_of_the_batch_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
