/*
 * batch.h: the contents of one transaction: the states that its records changed, the records to park, and the new
 * position of each partition. One thread.
 *
 * A batch is open while records are folded: it refers to the changed states, which stay pinned in their caches. When it
 * is closed (batch_close()), each changed state becomes a row that shares the state's blob; from then on the batch
 * never changes, even if more events are folded. It is reset after its commit, or together with the caches
 * (pipeline.h).
 */
#ifndef CASEVIEW_SINK_BATCH_H
#define CASEVIEW_SINK_BATCH_H

#include "caseview/trace.h"
#include "workers/sink/entity.h"
#include "workers/sink/feed_progress.h"
#include "workers/sink/states.h"

/* One partition's part of a batch. */
struct batch_cursor {
    enum topic topic;
    int32_t part;
    struct str topic_name; /* borrowed from the worker */
    struct uuid claim;
    int64_t old_offset;
    int64_t new_offset;
    bool has_last; /* last_*: the last record of the partition in this batch */
    int64_t last_offset, last_at, last_crc;
    struct trace trace; /* of the batch's only record, for the log */
    bool complete;      /* read to its end: set complete_at */
    /*
     * Rows show directory changes up to here once this batch is committed; 0: unchanged, CURSOR_UNRENDERED: rows for
     * readers are not written.
     */
    int64_t dir_no;
    bool shows_progress;                   /* … or up to batch.progress */
    int64_t records, parked, first_parked; /* for the poison flood; first_parked: offset, valid while parked > 0 */
};

struct batch_parked {
    bool has_organization;
    struct uuid organization_id;
    enum topic topic;
    struct str topic_name; /* borrowed */
    int32_t part;
    int64_t offset;
    struct str key, value, headers; /* headers: JSON or null */
    int64_t record_us;              /* INT64_MIN: none */
    enum park_reason reason;
    struct str reason_name;
    struct str text;
    struct trace trace; /* for the log; set by the caller of batch_park() */
};

/* A row of case_state. flags and was_listed determine whether its row of active_case is written or deleted. */
struct case_row {
    struct uuid case_id;
    int32_t rev, part;
    int16_t flags;
    bool is_new; /* there is no row: it is inserted */
    bool was_listed;
    struct str state; /* shared with the state's blob */
    struct blob *blob;
    struct state *entry; /* pinned */
};

/* A row of agent, but for the columns that depend on the directory. */
struct agent_row {
    struct uuid organization_id, user_id;
    int32_t rev, part;
    struct str state;
    struct blob *blob;
    struct state *entry; /* pinned */
};

struct active_key {
    struct uuid organization_id, case_id;
};

struct left_owner {
    struct uuid organization_id, application_id;
};

/* Events folded, by outcome; counted in the metrics when the batch is committed. */
struct batch_counts {
    int64_t applied, duplicates, unknown_types, over, rerendered;
};

struct batch {
    struct state **cases, **agents; /* changed states */
    size_t changed_cases, case_room, changed_agents, agent_room;
    struct entity **entities; /* changed; after the closing those that the rows came from */
    size_t changed_entities, entity_room;
    struct active_key *foreign; /* rows of active_case to delete besides those of case_rows */
    size_t foreign_count, foreign_room;

    bool closed; /* the rows below are filled, in key order; cases without a row before the others */
    struct case_row *case_rows;
    struct agent_row *agent_rows;
    struct entity_row *entity_rows, *version_rows; /* with a visible change; only the version changes */
    size_t case_count, agent_count, entity_count, version_count;
    struct left_owner *left_owners; /* applications that changed hands: rows of their former owners to blank */
    size_t left_count, left_room;

    struct batch_parked *parked;
    size_t parked_count, parked_room;
    struct batch_cursor *cursors;
    size_t cursor_count, cursor_room;
    struct feed_progress progress; /* of the cursors that say so */
    struct arena *raw;             /* parked records */
    struct arena *rows;            /* rows */
    struct batch_counts counts;
    size_t record_count;      /* records that moved a cursor */
    size_t undated_count;     /* of them with a timestamp that cannot be their time: record_has_time() */
    bool deferred;            /* rows for readers of cases are not written, a later round renders them */
    bool flooded;             /* so many records of one partition were parked that it should be judged now */
    size_t bytes;             /* of changed states, their rendered rows (estimated) and parked records */
    int64_t opened_at_us;     /* clock_mono_us() of the first entry */
    int64_t oldest_record_ms; /* smallest timestamp that can be a time, for the latency metric; INT64_MAX: none */
};

struct batch *batch_new(void);
void batch_free(struct batch *batch);
bool batch_is_empty(const struct batch *batch); /* no cursor would move and nothing would be written */

/* Returns the index of the new entry, which stays valid until the batch is reset or closed. */
size_t batch_add_cursor(struct batch *batch, const struct batch_cursor *cursor);

/* Pins the state and makes it part of the batch, unless it is already. listed: its row will be rendered. */
void batch_add_case(struct batch *batch, struct state *state, bool listed);
void batch_add_agent(struct batch *batch, struct state *state);
void batch_add_entity(struct batch *batch, struct entity *entity);
/* Adds a row of active_case to delete, of an organization that the case's state no longer has. */
void batch_add_foreign(struct batch *batch, const struct uuid *organization_id, const struct uuid *case_id);
void batch_add_left_owner(struct batch *batch, const struct uuid *organization_id, const struct uuid *application_id);
/* Adds a row for parked; record and headers are copied. Returns it, borrowed until the next one. */
struct batch_parked *batch_park(struct batch *batch, const struct record *record, struct str topic_name,
                                struct str headers, const struct uuid *organization_id, enum park_reason reason,
                                const char *text);
void batch_count_record(struct batch *batch, const struct record *record);
/* What batch_limit.h limits: records, and rows that are rendered again. */
size_t batch_items(const struct batch *batch);

/* Where the states of a batch are cached. */
struct caches {
    struct states *cases, *agents;
    struct cache *entities;
};

/* Turns the changed states into rows with their next revisions; cursors in key order. */
void batch_close(struct batch *batch);
/* Lets the batch be filled again. Its states are unpinned and may be evicted, its entities are forgotten. */
void batch_reset(struct batch *batch, const struct caches *caches);

/* Checksum of key and value, by which a record is recognized after a claim. */
int64_t batch_record_crc(const struct record *record);

#endif
