/* A directory entity in memory: its key, its own copy of the texts, its row. */
#include "workers/sink/entity.h"

#include "tests/unit/sink/sink_fixture.h"

static struct cache *entities;
static struct arena *arena;

static int set_up(void **unused CV_UNUSED)
{
    entities = entities_new();
    arena = arena_new(4096, 1u << 20);
    return 0;
}

static int tear_down(void **unused CV_UNUSED)
{
    cache_free(entities);
    arena_free(arena);
    return 0;
}

static struct entity *get(enum entity_kind kind, unsigned organization, unsigned number)
{
    uint8_t key[ENTITY_KEY];
    bool made;
    struct uuid organization_id = sample_uuid(organization), entity_id = sample_uuid(number);
    entity_key(kind, &organization_id, &entity_id, key);
    return (struct entity *)cache_get(entities, key, &made);
}

static void test_key_names_kind_organization_and_entity(void **unused CV_UNUSED)
{
    struct entity *entity = get(ENTITY_INBOX, 1, 2);
    struct uuid entity_id = sample_uuid(2), found = entity_id_of(entity);
    assert_int_equal(entity_kind_of(entity), ENTITY_INBOX);
    assert_true(uuid_eq(&found, &entity_id));
    assert_ptr_equal(get(ENTITY_INBOX, 1, 2), entity);
    assert_ptr_not_equal(get(ENTITY_UNIT, 1, 2), entity);
    assert_ptr_not_equal(get(ENTITY_INBOX, 10, 2), entity);
    assert_ptr_not_equal(get(ENTITY_INBOX, 1, 3), entity);
}

static void test_key_application_same_for_every_organization(void **unused CV_UNUSED)
{
    assert_ptr_equal(get(ENTITY_APPLICATION, 1, 2), get(ENTITY_APPLICATION, 10, 2));
    assert_ptr_not_equal(get(ENTITY_APPLICATION, 1, 2), get(ENTITY_APPLICATION, 1, 3));
}

static void test_set_copies_every_text(void **unused CV_UNUSED)
{
    char name[] = "name", detail[] = "client", picture[] = "", first[] = "Reader", second[] = "Agent Impersonator";
    const struct str roles[] = {str_of(first), str_of(second)};
    const struct directory_state state = {
        .status = ENTITY_KNOWN,
        .organization_id = sample_uuid(1),
        .version = 9,
        .fields = {.name = str_of(name),
                   .detail = str_of(detail),
                   .picture = str_of(picture),
                   .roles = roles,
                   .role_count = 2,
                   .enabled = true,
                   .has_parent = true,
                   .parent_id = sample_uuid(7)},
    };
    struct entity *entity = get(ENTITY_APPLICATION, 1, 2);
    size_t before = cache_bytes(entities);
    entity_set(entities, entity, &state);
    assert_true(cache_bytes(entities) >= before + strlen("nameclientReaderAgent Impersonator"));
    memset(name, 'x', sizeof name);
    memset(detail, 'x', sizeof detail);
    memset(first, 'x', sizeof first);
    memset(second, 'x', sizeof second);
    const struct entity_fields *fields = &entity->state.fields;
    assert_int_equal(entity->state.status, ENTITY_KNOWN);
    assert_int_equal(entity->state.version, 9);
    assert_str_equal(fields->name, STR("name"));
    assert_str_equal(fields->detail, STR("client"));
    assert_str_equal(fields->picture, STR("")); /* empty, not null */
    assert_int_equal(fields->role_count, 2);
    assert_str_equal(fields->roles[0], STR("Reader"));
    assert_str_equal(fields->roles[1], STR("Agent Impersonator"));
}

static void test_set_from_its_own_texts(void **unused CV_UNUSED)
{
    const struct str roles[] = {STR("a"), STR("b"), STR("c")};
    const struct directory_state first = {
        .status = ENTITY_KNOWN,
        .version = 1,
        .fields = {.name = STR("name"), .detail = STR("detail"), .roles = roles, .role_count = 3}};
    struct entity *entity = get(ENTITY_APPLICATION, 1, 2);
    entity_set(entities, entity, &first);
    size_t bytes = cache_bytes(entities);
    struct directory_state next = entity->state; /* borrows from the entity */
    next.version = 2;
    next.fields.detail = next.fields.name;
    next.fields.role_count = 2;
    entity_set(entities, entity, &next);
    assert_int_equal(entity->state.version, 2);
    assert_str_equal(entity->state.fields.detail, STR("name"));
    assert_str_equal(entity->state.fields.roles[1], STR("b"));
    assert_true(cache_bytes(entities) < bytes);
}

static void test_set_without_texts(void **unused CV_UNUSED)
{
    const struct directory_state removed = {.status = ENTITY_REMOVED, .version = 4};
    struct entity *entity = get(ENTITY_UNIT, 1, 2);
    entity_set(entities, entity, &removed);
    assert_null(entity->state.fields.name.ptr);
    assert_null(entity->state.fields.roles);
    assert_int_equal(entity->state.status, ENTITY_REMOVED);
}

static struct entity_row row_of(const struct entity *entity)
{
    struct entity_row row;
    entity_make_row(entity, arena, &row);
    return row;
}

static void test_make_row_columns(void **unused CV_UNUSED)
{
    const struct directory_state state = {
        .status = ENTITY_KNOWN,
        .organization_id = sample_uuid(1),
        .version = 3,
        .fields = {
            .name = STR("Reception"), .detail = STR("#03a9f4"), .has_parent = true, .parent_id = sample_uuid(7)}};
    struct entity *entity = get(ENTITY_INBOX, 1, 2);
    struct uuid organization = sample_uuid(1), entity_id = sample_uuid(2), parent = sample_uuid(7);
    entity_set(entities, entity, &state);
    struct entity_row row = row_of(entity);
    const struct directory_state removed = {.status = ENTITY_REMOVED};
    entity_set(entities, entity, &removed); /* the row has its own texts */
    assert_int_equal(row.kind, ENTITY_INBOX);
    assert_int_equal(row.status, ENTITY_KNOWN);
    assert_int_equal(row.version, 3);
    assert_true(uuid_eq(&row.organization_id, &organization));
    assert_true(uuid_eq(&row.entity_id, &entity_id));
    assert_str_equal(row.name, STR("Reception"));
    assert_str_equal(row.detail, STR("#03a9f4"));
    assert_null(row.picture.ptr);
    assert_true(row.has_parent);
    assert_true(uuid_eq(&row.parent_id, &parent));
    assert_null(row.roles.ptr); /* only applications have roles */
}

static void test_make_row_roles_as_json(void **unused CV_UNUSED)
{
    const struct str roles[] = {STR("Agent Impersonator"), STR("with \"quotes\" \\ \n"), STR("תפקיד"), STR("")};
    struct directory_state state = {.status = ENTITY_KNOWN, .version = 1, .fields = {.roles = roles, .role_count = 4}};
    struct entity *entity = get(ENTITY_APPLICATION, 1, 2);
    entity_set(entities, entity, &state);
    assert_str_equal(row_of(entity).roles,
                     STR("[\"Agent Impersonator\",\"with \\\"quotes\\\" \\\\ \\n\",\"תפקיד\",\"\"]"));
    state.fields.role_count = 0;
    entity_set(entities, entity, &state);
    assert_str_equal(row_of(entity).roles, STR("[]"));
    state.status = ENTITY_REMOVED;
    entity_set(entities, entity, &state);
    assert_null(row_of(entity).roles.ptr);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_key_names_kind_organization_and_entity),
        TEST(test_key_application_same_for_every_organization),
        TEST(test_set_copies_every_text),
        TEST(test_set_from_its_own_texts),
        TEST(test_set_without_texts),
        TEST(test_make_row_columns),
        TEST(test_make_row_roles_as_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
