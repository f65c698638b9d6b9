#include "workers/sink/names.h"

#include <xxhash.h>

#include "sql_worker.h"
#include "workers/fold/directory.h"
#include "workers/sink/cache.h"
#include "workers/sink/entity_key.h"

#define QUERY_TIMEOUT_MS 30000

static const struct db_statement names_load_statement = {"names_load", sql_names_load};
static const struct db_statement names_mark_statement = {"names_mark", sql_names_mark};

struct name_entry {
    struct cache_entry entry;
    bool loaded;
    bool marked;               /* the table `named` has it, or it is among the marks */
    enum entity_status status; /* FORGOTTEN: unknown */
    struct entity_names names;
    char *texts; /* owns the bytes of names */
};

struct names {
    struct cache *cache;
    struct name_entry **wanted;
    size_t wanted_count, wanted_room;
    struct name_entry **marks; /* to be saved */
    size_t mark_count, mark_room;
};

/* The columns common to names_load.sql and feed_read.sql. */
enum { COL_KIND, COL_ORGANIZATION, COL_ENTITY, COL_STATUS, COL_NAME, COL_DETAIL, COL_PICTURE, COL_PARENT };

static void drop_entry(struct cache_entry *entry, void *context CV_UNUSED)
{
    free(((struct name_entry *)entry)->texts);
}

struct names *names_new(size_t max_bytes)
{
    struct names *names = cv_zalloc(sizeof *names);
    names->cache = cache_new(ENTITY_KEY, sizeof(struct name_entry), max_bytes, drop_entry, NULL);
    return names;
}

void names_set_max(struct names *names, size_t max_bytes)
{
    cache_set_max(names->cache, max_bytes);
}

size_t names_bytes(const struct names *names)
{
    return cache_bytes(names->cache);
}

void names_free(struct names *names)
{
    if (names == NULL)
        return;
    cache_free(names->cache);
    free(names->wanted);
    free(names->marks);
    free(names);
}

static void add_entry(struct name_entry ***entries, size_t *count, size_t *room, struct name_entry *entry)
{
    *entries = cv_grow(*entries, *count, room, sizeof(struct name_entry *));
    (*entries)[(*count)++] = entry;
}

void names_want(struct names *names, const struct uuid *organization_id, enum entity_kind kind, const struct uuid *id)
{
    uint8_t key[ENTITY_KEY];
    bool made;
    entity_key(kind, organization_id, id, key);
    struct name_entry *entry = (struct name_entry *)cache_get(names->cache, key, &made);
    if (made) /* neither cached nor wanted already */
        add_entry(&names->wanted, &names->wanted_count, &names->wanted_room, entry);
}

static struct str keep(char **at, struct str text)
{
    if (text.ptr == NULL)
        return STR_NULL;
    memcpy(*at, text.ptr, text.len);
    struct str kept = {*at, text.len};
    *at += text.len;
    return kept;
}

static void fill(struct names *names, struct name_entry *entry, const struct db_result *result, int row)
{
    struct str name = db_str(result, row, COL_NAME);
    struct str detail = db_str(result, row, COL_DETAIL);
    struct str picture = db_str(result, row, COL_PICTURE);
    size_t bytes = name.len + detail.len + picture.len;
    free(entry->texts);
    entry->texts = cv_alloc(bytes + 1);
    char *at = entry->texts;
    entry->loaded = true;
    entry->status = (enum entity_status)db_int2(result, row, COL_STATUS);
    entry->names.name = keep(&at, name);
    entry->names.detail = keep(&at, detail);
    entry->names.picture = keep(&at, picture);
    entry->names.data_table_id = (struct uuid){0};
    if (!db_is_null(result, row, COL_PARENT))
        entry->names.data_table_id = db_uuid(result, row, COL_PARENT);
    cache_weigh(names->cache, &entry->entry, bytes);
}

static struct name_entry *find_row(struct names *names, const struct db_result *result, int row)
{
    uint8_t key[ENTITY_KEY];
    struct uuid organization_id = db_uuid(result, row, COL_ORGANIZATION);
    struct uuid id = db_uuid(result, row, COL_ENTITY);
    entity_key((enum entity_kind)db_int2(result, row, COL_KIND), &organization_id, &id, key);
    return (struct name_entry *)cache_find(names->cache, key);
}

/* Removes the marked entities, which were not read: otherwise they would count as unknown. */
static void forget_wanted(struct names *names)
{
    for (size_t i = 0; i < names->wanted_count; i++)
        cache_remove(names->cache, &names->wanted[i]->entry);
    names->wanted_count = 0;
}

enum cv_status names_load(struct names *names, struct db *db, struct arena *arena, struct err *err)
{
    size_t n = names->wanted_count;
    if (n == 0)
        return CV_OK;
    struct entity_columns *keys = arena_alloc(arena, n * sizeof *keys);
    if (keys == NULL) {
        err_set(err, "loading %zu directory entities: the batch is too large for its memory", n);
        forget_wanted(names);
        return CV_FATAL;
    }
    for (size_t i = 0; i < n; i++)
        keys[i] = entity_key_columns(names->wanted[i]->entry.key);
    struct db_args args;
    db_args_init(&args, arena);
    db_arg_int2_array(&args, &keys->kind, sizeof *keys, n);
    db_arg_uuid_array(&args, &keys->organization_id, sizeof *keys, n);
    db_arg_uuid_array(&args, &keys->entity_id, sizeof *keys, n);
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    enum cv_status status = db_exec(db, &names_load_statement, &args, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK) {
        forget_wanted(names);
        return status;
    }
    for (int row = 0; row < db_rows(result); row++)
        fill(names, find_row(names, result, row), result, row);
    for (size_t i = 0; i < n; i++)
        names->wanted[i]->loaded = true;
    names->wanted_count = 0;
    return CV_OK;
}

static struct name_entry *find(struct names *names, const struct uuid *organization_id, enum entity_kind kind,
                               const struct uuid *id)
{
    uint8_t key[ENTITY_KEY];
    entity_key(kind, organization_id, id, key);
    struct name_entry *entry = (struct name_entry *)cache_find(names->cache, key);
    assert(entry != NULL && entry->loaded);
    return entry;
}

const struct entity_names *names_get(struct names *names, const struct uuid *organization_id, enum entity_kind kind,
                                     const struct uuid *id)
{
    const struct name_entry *entry = find(names, organization_id, kind, id);
    return entry->status == ENTITY_KNOWN ? &entry->names : NULL;
}

bool names_is_removed(struct names *names, const struct uuid *organization_id, enum entity_kind kind,
                      const struct uuid *id)
{
    return find(names, organization_id, kind, id)->status == ENTITY_REMOVED;
}

void names_mark(struct names *names, const struct uuid *organization_id, enum entity_kind kind, const struct uuid *id)
{
    struct name_entry *entry = find(names, organization_id, kind, id);
    if (entry->marked)
        return;
    entry->marked = true;
    add_entry(&names->marks, &names->mark_count, &names->mark_room, entry);
}

static int64_t hash_key(const uint8_t key[ENTITY_KEY])
{
    return (int64_t)(XXH3_64bits(key, ENTITY_KEY) | 1); /* stored in rows: no seed, and never 0 */
}

enum cv_status names_save_marks(struct names *names, struct db *db, struct arena *arena, struct err *err)
{
    size_t n = names->mark_count;
    if (n == 0)
        return CV_OK;
    int64_t *refs = arena_alloc(arena, n * sizeof *refs);
    assert(refs != NULL); /* fewer than the names that were just loaded */
    for (size_t i = 0; i < n; i++)
        refs[i] = hash_key(names->marks[i]->entry.key);
    struct db_args args;
    db_args_init(&args, arena);
    db_arg_int8_array(&args, refs, sizeof *refs, n);
    enum cv_status status = db_exec(db, &names_mark_statement, &args, QUERY_TIMEOUT_MS, NULL, err);
    for (size_t i = 0; i < n && status != CV_OK; i++)
        names->marks[i]->marked = false;
    names->mark_count = 0;
    return status;
}

void names_update(struct names *names, const struct db_result *result, int row)
{
    struct name_entry *entry = find_row(names, result, row);
    if (entry != NULL)
        fill(names, entry, result, row);
}

void names_trim(struct names *names)
{
    assert(names->wanted_count == 0 && names->mark_count == 0);
    cache_trim(names->cache);
}

void names_clear(struct names *names)
{
    names->wanted_count = names->mark_count = 0;
    cache_clear(names->cache);
}

int64_t names_hash(const struct uuid *organization_id, enum entity_kind kind, const struct uuid *id)
{
    uint8_t key[ENTITY_KEY];
    entity_key(kind, organization_id, id, key);
    return hash_key(key);
}

void names_put_ref(struct buf *out, const struct uuid *organization_id, enum entity_kind kind, const struct uuid *id)
{
    int64_t hash = names_hash(organization_id, kind, id);
    buf_append(out, &hash, sizeof hash);
}
