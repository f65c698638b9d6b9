/*
 * rebuild_compare_suspect.h: the rows that differ between two generations, and whether a difference is real. Pure.
 * Private to compare.
 */
#ifndef CASEVIEW_OPS_REBUILD_COMPARE_SUSPECT_H
#define CASEVIEW_OPS_REBUILD_COMPARE_SUSPECT_H

#include "caseview/uuid.h"
#include "workers/ops/rebuild_compare_moment.h"

enum compare_view { VIEW_ACTIVE_CASE, VIEW_AGENT, VIEW_APPLICATION, VIEW_PARKED, VIEW_COUNT };

#define COMPARE_COLUMNS_MAX 6

struct compare_view_def {
    const char *name;
    enum topic role;                              /* its events are in this topic; TOPIC_COUNT: in any */
    const char *columns[COMPARE_COLUMNS_MAX + 1]; /* compared, NULL ends them */
};

extern const struct compare_view_def compare_views[VIEW_COUNT];

/* active_case: organization and case; agent: organization and user; application: id only; parked: partition, offset. */
struct compare_key {
    enum compare_view view;
    struct uuid organization_id, id;
    size_t partition; /* index in struct compare_moments */
    int64_t offset;
};

/* Keys of one view (and of one partition of parked records), in the order in which the server returns them. */
int compare_key_cmp(const struct compare_key *a, const struct compare_key *b);
/* The next possible key; false: there is none. */
bool compare_key_next(struct compare_key *key);

/* One generation's row as it was read. */
struct compare_row {
    bool present;
    int32_t part;  /* -1: unknown */
    int16_t flags; /* of case_state, 2 for a degraded agent; -1: there is no state */
    int64_t rev;   /* every write changes it */
    bool has_organization;
    struct uuid organization_id, user_id;
    uint64_t columns[COMPARE_COLUMNS_MAX]; /* hashes, in the order of the view's columns */
};

struct compare_kept {
    bool present;
    int16_t flags;
    int32_t part;
    int64_t rev;
    uint64_t hash; /* of all columns */
    struct uuid user_id;
};

enum suspect_state { SUSPECT_OPEN, SUSPECT_EQUAL, SUSPECT_DIFFERS };

struct compare_suspect {
    struct compare_key key;
    enum suspect_state state;
    bool read;    /* kept is set */
    size_t first; /* moment at which kept was first read */
    struct compare_kept kept[COMPARE_SIDES];
    uint8_t columns; /* one bit for each column that differs, when both rows are present */
    bool has_organization;
    struct uuid organization_id; /* of the row; without one for some parked records */
    struct compare_lag lag;      /* why it is still open */
    bool written;                /* between the last two looks */
};

struct compare_suspects {
    struct compare_suspect *items; /* by view and key */
    size_t count, room, max;
    size_t open;
};

void compare_suspects_init(struct compare_suspects *suspects, size_t max);
void compare_suspects_done(struct compare_suspects *suspects);
/* False: there are max of them already. */
bool compare_suspects_add(struct compare_suspects *suspects, const struct compare_key *key) CV_MUST_CHECK;
/*
 * Judges an open suspect by its rows at the last moment. It is equal when they are equal now. It differs when the rows
 * have not been written since a moment and both generations have read as far as either had then.
 */
void compare_judge(struct compare_suspects *suspects, struct compare_suspect *suspect,
                   const struct compare_row rows[COMPARE_SIDES], const struct compare_moments *moments);

/* "only-live", "only-other", "different", "undecided" */
enum compare_kind { KIND_ONLY_LIVE, KIND_ONLY_OTHER, KIND_DIFFERENT, KIND_UNDECIDED, KIND_COUNT };
const char *compare_kind_name(enum compare_kind kind);
/* suspect is not equal. */
enum compare_kind compare_kind_of(const struct compare_suspect *suspect);

struct compare_user {
    struct uuid organization_id, user_id;
};

/* The users whose listed rows or gates differ in what the endpoint shows, sorted, each once. The caller frees them. */
struct compare_user *compare_users(const struct compare_suspects *suspects, size_t *out_count);

#endif
