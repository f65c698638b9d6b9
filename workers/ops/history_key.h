/*
 * history_key.h: all events of one case or one agent in the log, in order, for `explain` and `repair`.
 */
#ifndef CASEVIEW_OPS_HISTORY_KEY_H
#define CASEVIEW_OPS_HISTORY_KEY_H

#include "workers/ops/history_reader.h"

struct history_entry {
    int32_t part;
    int64_t offset;
    int64_t timestamp_ms; /* the record's own, -1: none */
    int64_t order_ms;     /* by which the entries of several partitions are merged */
    int32_t bytes;        /* of key and value */
    char schema[40];      /* "fingerprint 0123456789abcdef", "id 17" or "none" */
    bool folded;          /* below the partition's cursor */
    bool foreign;         /* its key is a different one; only its body has the id of this key */
    const struct history_left_out *left_out;
    bool usable; /* decoded into event; false: reason and text say why not */
    struct event event;
    enum park_reason reason;
    struct str text;
};

struct history_position {
    int32_t part;
    int64_t read_to;
};

/* The key, and its events. */
struct history_key {
    enum topic topic; /* TOPIC_CASES or TOPIC_AGENTS */
    struct uuid id;   /* of the case, or the user */
    bool has_organization;
    struct uuid organization_id; /* of an agent: --organization, or the only one there is */
    struct arena *arena;
    struct history_entry *entries;
    size_t count, room;
    struct history_position *positions; /* how far each partition was read */
    size_t position_count;
    bool start_gone; /* of the topic: records are missing at the start of a partition */
};

/* Takes the key from --case, --user and --organization. CV_OK or CV_FATAL (wrong usage). */
enum cv_status history_key_init(struct history_key *key, const struct config *config, struct err *err) CV_MUST_CHECK;
void history_key_done(struct history_key *key);

/*
 * Reads the topic and keeps the events of the key; then begins a snapshot, leaves it open, and marks each entry
 * according to it. No snapshot is open while the topic is read, except for the last records appended.
 * Called again, it reads only what was appended since. For an agent without an organization: finds it; if several have
 * that agent, CV_FATAL with their ids. CV_OK also when there is no event.
 */
enum cv_status history_key_read(struct history_key *key, struct history_reader *reader, struct err *err) CV_MUST_CHECK;

/* True: the entry counts for the state: usable, not left out, below the cursor. */
bool history_entry_counts(const struct history_entry *entry);
bool history_key_is_known(const struct history_key *key); /* there is an entry that is not foreign */

#endif
