#include "workers/sink/feed_changes.h"

#include "sql_worker.h"
#include "workers/sink/names.h"

#define QUERY_TIMEOUT_MS 30000

static const struct db_statement named_statement = {"feed_named", sql_feed_named};

void feed_changes_reset(struct feed_changes *changes)
{
    changes->customer_count = changes->user_count = changes->other_count = 0;
    changes->of_cases_count = changes->of_agents_count = 0;
}

void feed_changes_add(struct feed_changes *changes, enum entity_kind kind, const struct uuid *organization_id,
                      const struct uuid *id)
{
    int64_t ref = names_hash(organization_id, kind, id);
    assert(changes->customer_count + changes->other_count < FEED_CHANGES_MAX);
    switch (kind) {
    case ENTITY_APPLICATION: /* no row names an application */
        return;
    case ENTITY_CUSTOMER:
        changes->customers[changes->customer_count++] = ref;
        return;
    case ENTITY_UNIT:
    case ENTITY_SERVICE_CATEGORY:
    case ENTITY_SERVICE_TYPE:
    case ENTITY_INBOX:
    case ENTITY_WORKSTATION:
    case ENTITY_WORKSPACE:
    case ENTITY_USER:
        changes->others[changes->other_count++] = (struct feed_change){ref, *organization_id, *id, kind};
        return;
    }
}

static int compare_refs(const void *a, const void *b)
{
    const struct feed_change *x = a, *y = b;
    return (x->ref > y->ref) - (x->ref < y->ref);
}

static int compare_organizations(const void *a, const void *b)
{
    return uuid_cmp(a, b);
}

static size_t sort_unique(struct uuid *organizations, size_t count)
{
    size_t kept = 0;
    qsort(organizations, count, sizeof *organizations, compare_organizations);
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || !uuid_eq(&organizations[kept - 1], &organizations[i]))
            organizations[kept++] = organizations[i];
    return kept;
}

/* Sorts the changes into what is read of each table. */
static void keep_named(struct feed_changes *changes, const bool *named)
{
    size_t kept = 0;
    for (size_t i = 0; i < changes->other_count; i++) {
        const struct feed_change change = changes->others[i];
        if (!named[i]) {
            if (change.kind != ENTITY_USER)
                continue;
            changes->users[changes->user_count][0] = change.organization_id;
            changes->users[changes->user_count++][1] = change.id;
            continue;
        }
        changes->others[kept++] = change;
        if (change.kind != ENTITY_WORKSPACE) /* only agents depend on workspaces */
            changes->of_cases[changes->of_cases_count++] = change.organization_id;
        if (change.kind == ENTITY_WORKSPACE || change.kind == ENTITY_UNIT)
            changes->of_agents[changes->of_agents_count++] = change.organization_id;
    }
    changes->other_count = kept;
    changes->of_cases_count = sort_unique(changes->of_cases, changes->of_cases_count);
    changes->of_agents_count = sort_unique(changes->of_agents, changes->of_agents_count);
}

static struct feed_change *find(const struct feed_changes *changes, int64_t ref)
{
    const struct feed_change key = {.ref = ref};
    return bsearch(&key, changes->others, changes->other_count, sizeof key, compare_refs);
}

enum cv_status feed_changes_look_up(struct feed_changes *changes, struct db *db, struct arena *arena, struct err *err)
{
    struct db_args args;
    struct db_result *result CV_CLEANUP(db_result_done) = NULL;
    bool named[FEED_CHANGES_MAX] = {false};
    size_t n = changes->other_count;
    if (n == 0)
        return CV_OK;
    qsort(changes->others, n, sizeof *changes->others, compare_refs);
    db_args_init(&args, arena);
    db_arg_int8_array(&args, &changes->others->ref, sizeof *changes->others, n);
    enum cv_status status = db_exec(db, &named_statement, &args, QUERY_TIMEOUT_MS, &result, err);
    if (status != CV_OK)
        return status;
    for (int row = 0; row < db_rows(result); row++) {
        int64_t ref = db_int8(result, row, 0);
        for (size_t i = (size_t)(find(changes, ref) - changes->others); i < n && changes->others[i].ref == ref; i++)
            named[i] = true;
    }
    keep_named(changes, named);
    return CV_OK;
}

bool feed_changes_has_found(const struct feed_changes *changes)
{
    return changes->customer_count + changes->user_count > 0;
}

const struct uuid *feed_changes_organization(const struct feed_changes *changes, bool agents, const struct uuid *from)
{
    const struct uuid *organizations = agents ? changes->of_agents : changes->of_cases;
    size_t count = agents ? changes->of_agents_count : changes->of_cases_count;
    for (size_t i = 0; i < count; i++)
        if (uuid_cmp(&organizations[i], from) >= 0)
            return &organizations[i];
    return NULL;
}

bool feed_changes_has_ref(const struct feed_changes *changes, struct str refs)
{
    int64_t ref;
    for (size_t at = 0; at + sizeof ref <= refs.len; at += sizeof ref) {
        memcpy(&ref, refs.ptr + at, sizeof ref);
        if (find(changes, ref) != NULL)
            return true;
    }
    return false;
}
