#include "workers/ops/rebuild_compare_moment.h"

#include "workers/ops/broker_options.h"

static const struct compare_cursor no_cursor = {.next_offset = -1};

void compare_moments_init(struct compare_moments *moments, const char *const topics[TOPIC_COUNT])
{
    *moments = (struct compare_moments){0};
    for (size_t i = 0; i < TOPIC_COUNT; i++)
        moments->topics[i] = topics[i];
}

void compare_moments_done(struct compare_moments *moments)
{
    for (size_t i = 0; i < moments->partition_count; i++)
        free(moments->partitions[i].topic);
    for (size_t i = 0; i < moments->count; i++)
        for (size_t side = 0; side < COMPARE_SIDES; side++)
            free(moments->items[i].cursors[side]);
    free(moments->partitions);
    free(moments->items);
}

static struct compare_moment *last_of(const struct compare_moments *moments)
{
    return &moments->items[moments->count - 1];
}

/* Makes room for the cursors of all partitions known. */
static void make_room(struct compare_moments *moments, struct compare_moment *moment)
{
    if (moments->partition_count > moment->room) {
        moment->room = moments->partition_room;
        for (size_t side = 0; side < COMPARE_SIDES; side++)
            moment->cursors[side] = cv_realloc(moment->cursors[side], moment->room * sizeof *moment->cursors[side]);
    }
    for (; moment->count < moments->partition_count; moment->count++)
        for (size_t side = 0; side < COMPARE_SIDES; side++)
            moment->cursors[side][moment->count] = no_cursor;
}

void compare_moments_add(struct compare_moments *moments)
{
    if (moments->count == moments->room) {
        moments->room = 2 * moments->room + 16;
        moments->items = cv_realloc(moments->items, moments->room * sizeof *moments->items);
    }
    moments->items[moments->count++] = (struct compare_moment){0};
    make_room(moments, last_of(moments));
}

static size_t find_or_add(struct compare_moments *moments, struct str topic, int32_t part)
{
    for (size_t i = 0; i < moments->partition_count; i++)
        if (moments->partitions[i].part == part && str_eq(topic, str_of(moments->partitions[i].topic)))
            return i;
    if (moments->partition_count == moments->partition_room) {
        moments->partition_room = 2 * moments->partition_room + 64;
        moments->partitions = cv_realloc(moments->partitions, moments->partition_room * sizeof *moments->partitions);
    }
    moments->partitions[moments->partition_count] = (struct compare_partition){
        .topic = cv_strndup(topic.ptr, topic.len), .role = topic_role(moments->topics, topic), .part = part};
    return moments->partition_count++;
}

void compare_moments_set_cursor(struct compare_moments *moments, enum compare_side side, struct str topic, int32_t part,
                                const struct compare_cursor *cursor)
{
    size_t partition = find_or_add(moments, topic, part);
    make_room(moments, last_of(moments));
    last_of(moments)->cursors[side][partition] = *cursor;
}

void compare_moments_set_clock(struct compare_moments *moments, enum compare_side side, int64_t no)
{
    last_of(moments)->clock[side] = no;
}

/* A partition that was not known at the moment has no cursor. */
static const struct compare_cursor *cursor_at(const struct compare_moment *moment, enum compare_side side,
                                              size_t partition)
{
    return partition < moment->count ? &moment->cursors[side][partition] : &no_cursor;
}

static int64_t furthest(const struct compare_moment *moment, size_t partition)
{
    int64_t live = cursor_at(moment, COMPARE_LIVE, partition)->next_offset;
    int64_t other = cursor_at(moment, COMPARE_OTHER, partition)->next_offset;
    return live > other ? live : other;
}

/* Has either generation not read this partition as far as one of them had at `first`? */
static bool lags_in_partition(const struct compare_moments *moments, const struct compare_moment *first,
                              size_t partition, struct compare_lag *out_lag)
{
    int64_t wanted = furthest(first, partition);
    for (enum compare_side side = COMPARE_LIVE; side < COMPARE_SIDES; side++) {
        int64_t at = cursor_at(last_of(moments), side, partition)->next_offset;
        if (at >= wanted)
            continue;
        *out_lag = (struct compare_lag){LAG_CURSOR, side, partition, at, wanted};
        return true;
    }
    return false;
}

static bool lags_in_directory(const struct compare_moments *moments, const struct compare_moment *first,
                              struct compare_lag *out_lag)
{
    for (size_t i = 0; i < moments->partition_count; i++)
        if (moments->partitions[i].role == TOPIC_DIRECTORY && lags_in_partition(moments, first, i, out_lag))
            return true;
    return false;
}

void compare_moments_complete(struct compare_moments *moments)
{
    struct compare_lag ignored;
    for (size_t i = 0; i < moments->count; i++) {
        struct compare_moment *moment = &moments->items[i];
        if (moment->names_known || lags_in_directory(moments, moment, &ignored))
            continue;
        /* A batch moves its cursors and the clock together: changes up to here contain all that was read. */
        moment->names_known = true;
        memcpy(moment->names, last_of(moments)->clock, sizeof moment->names);
    }
}

bool compare_moments_has_topic(const struct compare_moments *moments, enum compare_side side, enum topic role)
{
    for (size_t i = 0; i < moments->partition_count; i++)
        if (moments->partitions[i].role == role && cursor_at(last_of(moments), side, i)->next_offset >= 0)
            return true;
    return false;
}

/* Do the rows of this partition not yet show the names of moment `first`? */
static bool lags_in_names(const struct compare_moments *moments, const struct compare_moment *first, size_t partition,
                          struct compare_lag *out_lag)
{
    for (enum compare_side side = COMPARE_LIVE; side < COMPARE_SIDES; side++) {
        const struct compare_cursor *cursor = cursor_at(last_of(moments), side, partition);
        if (cursor->next_offset < 0 || cursor->dir_no >= first->names[side])
            continue;
        *out_lag = (struct compare_lag){LAG_NAMES, side, partition, cursor->dir_no, first->names[side]};
        return true;
    }
    return false;
}

static bool is_at(const struct compare_moments *moments, size_t partition, const struct compare_place *place)
{
    const struct compare_partition *p = &moments->partitions[partition];
    return p->role == place->role && (p->part == place->parts[COMPARE_LIVE] || p->part == place->parts[COMPARE_OTHER]);
}

struct compare_lag compare_moments_lag(const struct compare_moments *moments, size_t first,
                                       const struct compare_place *place)
{
    const struct compare_moment *then = &moments->items[first];
    struct compare_lag lag = {.kind = LAG_NONE};
    if (place->has_partition) {
        (void)lags_in_partition(moments, then, place->partition, &lag);
        return lag;
    }
    for (size_t i = 0; i < moments->partition_count; i++)
        if (is_at(moments, i, place) && lags_in_partition(moments, then, i, &lag))
            return lag;
    if (!then->names_known) {
        bool lags = lags_in_directory(moments, then, &lag);
        assert(lags); /* compare_moments_complete() found the same */
        return lag;
    }
    for (size_t i = 0; i < moments->partition_count; i++)
        if (place->role != TOPIC_DIRECTORY && is_at(moments, i, place) && lags_in_names(moments, then, i, &lag))
            return lag;
    return lag;
}

void compare_lag_text(const struct compare_moments *moments, const int32_t gens[COMPARE_SIDES],
                      const struct compare_lag *lag, struct buf *out)
{
    if (lag->kind == LAG_NONE)
        return;
    const struct compare_partition *partition = &moments->partitions[lag->partition];
    buf_printf(out, "generation %d lags: ", gens[lag->side]);
    if (lag->kind == LAG_NAMES)
        buf_printf(out, "rows of " PARTITION_FMT " show the directory up to change %" PRId64 " of %" PRId64,
                   PARTITION_ARG(partition->topic, partition->part), lag->at, lag->wanted);
    else if (lag->at < 0)
        buf_printf(out, PARTITION_FMT " was never claimed", PARTITION_ARG(partition->topic, partition->part));
    else
        buf_printf(out, PARTITION_FMT " is at %" PRId64 " of %" PRId64,
                   PARTITION_ARG(partition->topic, partition->part), lag->at, lag->wanted);
    if (cursor_at(last_of(moments), lag->side, lag->partition)->stopped)
        buf_puts(out, ", paused or halted");
}
