/*
 * batch.h: what one transaction will hold: the events decoded since the last one, the records to park, and how far each
 * partition has come. Collects only; cases.h, agents.h and entities.h fold it, writer.h writes it. One thread.
 *
 * Events, raw records and outputs live in the batch's two arenas and are given back together, after the commit.
 */
#ifndef CASEVIEW_SINK_BATCH_H
#define CASEVIEW_SINK_BATCH_H

#include "caseview/arena.h"
#include "caseview/err.h"
#include "workers/fold/event.h"
#include "workers/sink/cache.h"

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
    bool complete;  /* read to its end: set complete_at */
    int64_t dir_no; /* directory changes up to here are shown by now; 0: unchanged */
};

/* One event and the record it came from (key and value copied only where folding may still refuse it). */
struct batch_event {
    struct batch_event *next; /* of the same key: used while folding */
    struct record record;
    struct str headers; /* JSON, null when there are none */
    struct event event;
};

struct batch_parked {
    bool has_organization;
    struct uuid organization_id;
    enum topic topic;
    struct str topic_name;
    int32_t part;
    int64_t offset;
    struct str key, value, headers; /* headers: JSON or null */
    int64_t record_us;              /* INT64_MIN: none */
    enum park_reason reason;
    struct str reason_name;
    struct str text;
};

struct state_entry; /* states.h */

/* A listed case, or an agent, whose names changed in the directory: rendered anew without an event. */
struct batch_rerender {
    enum topic topic; /* TOPIC_CASES or TOPIC_AGENTS */
    int32_t part;
    struct uuid organization_id; /* agents */
    struct uuid id;              /* case or user */
};

/* One row of case_state and, where listed or was_listed, what becomes of its row of active_case. */
struct case_row {
    struct state_entry *entry; /* pinned until the commit */
    struct uuid case_id;
    int32_t rev;
    int32_t part;
    int16_t flags;
    bool was_listed;
    struct str state;
};

struct active_row {
    struct uuid organization_id, case_id, user_id, unit_id;
    int64_t status_date, case_timestamp;
    bool degraded;
    int32_t part;
    int64_t customer_ref; /* names_hash() of its customer, 0: none */
    struct str refs;      /* of the other entities that it names */
    struct str body;
};

struct active_key {
    struct uuid organization_id, case_id;
};

struct agent_row {
    struct state_entry *entry; /* pinned until the commit */
    struct uuid organization_id, user_id;
    int32_t rev;
    int32_t part;
    bool has_unit;
    struct uuid current_unit_id;
    bool has_workspaces;
    bool degraded;
    struct str refs;
    struct str state;
};

struct entity_row {
    int16_t kind;
    int16_t status;
    struct uuid organization_id, entity_id;
    int64_t version;
    int64_t nth; /* place among the visible changes, counted from the last: 0 … */
    struct str name, detail, picture;
    bool has_parent;
    struct uuid parent_id;
    struct str roles; /* JSON array or null */
    bool enabled;
};

/* A parked event that an outside batch (outside.h) folds: its row leaves `parked` in the same transaction. */
struct batch_unpark {
    struct str topic_name; /* borrowed */
    int32_t part;
    int64_t offset;
};

/* The revision of a case's or an agent's row that the caller has seen, 0: there was none (see batch.replace). */
struct batch_expected {
    enum topic topic;
    struct uuid organization_id; /* agents */
    struct uuid id;              /* case or user */
    int32_t rev;
};

/* What folding did, for the metrics: counted when the batch is committed. */
struct batch_counts {
    int64_t applied, duplicates, unknown_types, over;
};

struct batch {
    struct arena *input;  /* events and raw records */
    struct arena *output; /* rows; reset and made again when a batch is folded again */
    bool folded;          /* the rows below stand */
    struct case_row *cases;
    size_t case_count;
    struct active_row *active;
    size_t active_count;
    struct active_key *unlisted;
    size_t unlisted_count;
    struct agent_row *agents;
    size_t agent_count;
    struct entity_row *entities; /* with a visible change */
    size_t entity_count;
    struct entity_row *versions; /* only the version moves */
    size_t version_count;
    struct batch_counts counts;
    /*
     * Outside batches only. replace: what is folded takes the place of the stored state instead of being folded upon
     * it; all events of each key must be there. Where a row's revision is not the expected one, folding sets stale.
     */
    bool replace, stale;
    struct batch_expected *expected;
    size_t expected_count, expected_room;
    struct batch_unpark *unparks;
    size_t unpark_count, unpark_room;
    struct batch_rerender *rerenders;
    size_t rerender_count, rerender_room;
    struct batch_cursor *cursors;
    size_t cursor_count, cursor_room;
    struct batch_event **events;
    size_t event_count, event_room;
    size_t directory_count; /* of them, those of the directory */
    struct batch_parked *parked;
    size_t parked_count, parked_room;
    size_t parked_decoded;    /* how many of them the decoder refused; the others are the fold's */
    size_t bytes;             /* of records */
    int64_t opened_at_us;     /* clock_mono_us() of the first entry */
    int64_t oldest_record_ms; /* smallest record timestamp, for the latency metric; INT64_MAX: none */
};

struct batch *batch_new(size_t max_bytes);
void batch_free(struct batch *batch);
void batch_reset(struct batch *batch);
bool batch_is_empty(const struct batch *batch); /* no cursor would move */

/* The partition's entry, NULL when the batch has none yet. */
struct batch_cursor *batch_find_cursor(struct batch *batch, enum topic topic, int32_t part);
struct batch_cursor *batch_add_cursor(struct batch *batch, const struct batch_cursor *cursor);

/* Keeps a decoded event (its texts already lie in batch->input). keep_raw: copy the record too. */
void batch_add_event(struct batch *batch, const struct record *record, const struct event *event, bool keep_raw,
                     struct str headers);
/* A row for parked; record is copied. */
void batch_park(struct batch *batch, const struct record *record, struct str topic_name, struct str headers,
                const struct uuid *organization_id, enum park_reason reason, const char *text);

void batch_add_rerender(struct batch *batch, const struct batch_rerender *rerender);
void batch_unpark(struct batch *batch, const struct batch_unpark *unpark);
void batch_expect(struct batch *batch, const struct batch_expected *expected);

/* Fills err for an arena that reached its ceiling while a batch was folded. Always CV_FATAL. */
enum cv_status batch_too_large(struct err *err);

/* Before every folding: throws the rows of an earlier one away. */
void batch_begin_fold(struct batch *batch);

/* Checksum of key and value, by which a record is known again. */
int64_t batch_record_crc(const struct record *record);

#endif
