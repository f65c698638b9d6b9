#include "workers/ops/rebuild_compare_suspect.h"

const struct compare_view_def compare_views[VIEW_COUNT] = {
    [VIEW_ACTIVE_CASE] = {"active_case",
                          TOPIC_CASES,
                          {"user_id", "unit_id", "status_date", "case_timestamp", "degraded", "body", NULL}},
    [VIEW_AGENT] = {"agent", TOPIC_AGENTS, {"current_unit_id", "has_workspaces", "degraded", NULL}},
    [VIEW_APPLICATION] = {"application", TOPIC_DIRECTORY, {"organization_id", "client_id", "roles", "enabled", NULL}},
    [VIEW_PARKED] = {"parked", TOPIC_COUNT, {"reason", NULL}},
};

static const char *const kind_names[KIND_COUNT] = {
    [KIND_ONLY_LIVE] = "only-live",
    [KIND_ONLY_OTHER] = "only-other",
    [KIND_DIFFERENT] = "different",
    [KIND_UNDECIDED] = "undecided",
};

/* ---- keys ---- */

int compare_key_cmp(const struct compare_key *a, const struct compare_key *b)
{
    if (a->view == VIEW_PARKED)
        return a->offset < b->offset ? -1 : a->offset > b->offset;
    int order = a->view == VIEW_APPLICATION ? 0 : uuid_cmp(&a->organization_id, &b->organization_id);
    return order != 0 ? order : uuid_cmp(&a->id, &b->id);
}

/* False: it was the last one, and is the first one again. */
static bool uuid_next(struct uuid *uuid)
{
    size_t i = sizeof uuid->b;
    while (i > 0 && ++uuid->b[i - 1] == 0)
        i--;
    return i > 0;
}

bool compare_key_next(struct compare_key *key)
{
    if (key->view == VIEW_PARKED)
        return key->offset != INT64_MAX && ++key->offset > 0;
    if (uuid_next(&key->id))
        return true;
    return key->view != VIEW_APPLICATION && uuid_next(&key->organization_id);
}

/* ---- suspects ---- */

void compare_suspects_init(struct compare_suspects *suspects, size_t max)
{
    *suspects = (struct compare_suspects){.max = max};
}

void compare_suspects_done(struct compare_suspects *suspects)
{
    free(suspects->items);
}

bool compare_suspects_add(struct compare_suspects *suspects, const struct compare_key *key)
{
    if (suspects->count == suspects->max)
        return false;
    if (suspects->count == suspects->room) {
        suspects->room = 2 * suspects->room + 64;
        suspects->items = cv_realloc(suspects->items, suspects->room * sizeof *suspects->items);
    }
    suspects->items[suspects->count++] = (struct compare_suspect){
        .key = *key,
        .has_organization = key->view == VIEW_ACTIVE_CASE || key->view == VIEW_AGENT,
        .organization_id = key->organization_id,
    };
    suspects->open++;
    return true;
}

static uint64_t hash_of(const struct compare_row *row)
{
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < COMPARE_COLUMNS_MAX; i++)
        hash = ((hash << 29 | hash >> 35) ^ row->columns[i]) * 1099511628211u;
    return hash;
}

static struct compare_kept kept_of(const struct compare_row *row)
{
    return (struct compare_kept){
        .present = row->present,
        .flags = row->flags,
        .part = row->part,
        .rev = row->rev,
        .hash = hash_of(row),
        .user_id = row->user_id,
    };
}

/* The revision counts, too: a row that was changed and changed back has seen events that the other may not have. */
static bool is_unchanged(const struct compare_suspect *suspect, const struct compare_row rows[COMPARE_SIDES])
{
    for (size_t side = 0; side < COMPARE_SIDES; side++) {
        const struct compare_kept *kept = &suspect->kept[side];
        if (kept->present != rows[side].present || kept->rev != rows[side].rev || kept->hash != hash_of(&rows[side]))
            return false;
    }
    return true;
}

static uint8_t differing_columns(const struct compare_row rows[COMPARE_SIDES])
{
    uint8_t columns = 0;
    for (size_t i = 0; i < COMPARE_COLUMNS_MAX; i++)
        if (rows[COMPARE_LIVE].columns[i] != rows[COMPARE_OTHER].columns[i])
            columns |= (uint8_t)(1u << i);
    return columns;
}

static void keep_rows(struct compare_suspect *suspect, const struct compare_row rows[COMPARE_SIDES], size_t moment)
{
    suspect->read = true;
    suspect->first = moment;
    for (size_t side = 0; side < COMPARE_SIDES; side++) {
        suspect->kept[side] = kept_of(&rows[side]);
        if (rows[side].has_organization && !suspect->has_organization) {
            suspect->has_organization = true;
            suspect->organization_id = rows[side].organization_id;
        }
    }
}

void compare_judge(struct compare_suspects *suspects, struct compare_suspect *suspect,
                   const struct compare_row rows[COMPARE_SIDES], const struct compare_moments *moments)
{
    const struct compare_row *live = &rows[COMPARE_LIVE], *other = &rows[COMPARE_OTHER];
    bool both = live->present && other->present;
    assert(suspect->state == SUSPECT_OPEN && moments->count > 0);
    suspect->columns = both ? differing_columns(rows) : 0;
    if (live->present == other->present && suspect->columns == 0) {
        suspect->state = SUSPECT_EQUAL;
        suspects->open--;
        return;
    }
    bool unchanged = suspect->read && is_unchanged(suspect, rows);
    suspect->written = suspect->read && !unchanged;
    if (!unchanged)
        keep_rows(suspect, rows, moments->count - 1);
    const struct compare_place place = {
        .role = compare_views[suspect->key.view].role,
        .parts = {live->part, other->part},
        .has_partition = suspect->key.view == VIEW_PARKED,
        .partition = suspect->key.partition,
    };
    suspect->lag = compare_moments_lag(moments, suspect->first, &place);
    if (suspect->lag.kind == LAG_NONE) {
        suspect->state = SUSPECT_DIFFERS;
        suspects->open--;
    }
}

const char *compare_kind_name(enum compare_kind kind)
{
    return kind_names[kind];
}

enum compare_kind compare_kind_of(const struct compare_suspect *suspect)
{
    assert(suspect->state != SUSPECT_EQUAL);
    if (suspect->state == SUSPECT_OPEN)
        return KIND_UNDECIDED;
    if (suspect->kept[COMPARE_LIVE].present && suspect->kept[COMPARE_OTHER].present)
        return KIND_DIFFERENT;
    return suspect->kept[COMPARE_LIVE].present ? KIND_ONLY_LIVE : KIND_ONLY_OTHER;
}

/* ---- users ---- */

static uint8_t column_bit(enum compare_view view, const char *name)
{
    for (size_t i = 0; compare_views[view].columns[i] != NULL; i++)
        if (strcmp(compare_views[view].columns[i], name) == 0)
            return (uint8_t)(1u << i);
    return 0;
}

/* The endpoint shows all columns but `degraded`. */
static bool changes_an_answer(const struct compare_suspect *suspect)
{
    enum compare_view view = suspect->key.view;
    if (suspect->state == SUSPECT_EQUAL || (view != VIEW_ACTIVE_CASE && view != VIEW_AGENT))
        return false;
    bool both = suspect->kept[COMPARE_LIVE].present && suspect->kept[COMPARE_OTHER].present;
    return !both || (suspect->columns & ~column_bit(view, "degraded")) != 0;
}

static int user_cmp(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct compare_user));
}

struct compare_user *compare_users(const struct compare_suspects *suspects, size_t *out_count)
{
    struct compare_user *users = NULL;
    size_t count = 0, room = 0, unique = 0;
    for (size_t i = 0; i < suspects->count; i++) {
        const struct compare_suspect *suspect = &suspects->items[i];
        if (!changes_an_answer(suspect))
            continue;
        if (count + COMPARE_SIDES > room) {
            room = 2 * room + 64;
            users = cv_realloc(users, room * sizeof *users);
        }
        for (size_t side = 0; side < COMPARE_SIDES; side++)
            if (suspect->kept[side].present)
                users[count++] = (struct compare_user){suspect->organization_id, suspect->kept[side].user_id};
    }
    if (count > 0)
        qsort(users, count, sizeof *users, user_cmp);
    for (size_t i = 0; i < count; i++)
        if (unique == 0 || user_cmp(&users[unique - 1], &users[i]) != 0)
            users[unique++] = users[i];
    *out_count = unique;
    return users;
}
