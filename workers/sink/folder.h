/*
 * folder.h: folds events into cached states as they arrive. An event whose state is cached is folded at once; one whose
 * state has to be read first waits until folder_load(), which reads all missing states with one query a table and folds
 * what waited. No event outlives that call: the caller decodes a chunk of records, adds its events, and loads.
 *
 * Used by the worker and by the operators' commands (operator_write.h). One thread.
 */
#ifndef CASEVIEW_SINK_FOLDER_H
#define CASEVIEW_SINK_FOLDER_H

#include "caseview/db.h"
#include "workers/fold/event.h"
#include "workers/sink/batch.h"
#include "workers/sink/names.h"

struct folder;

/* cache_bytes: for states and names together. */
struct folder *folder_new(size_t cache_bytes);
void folder_free(struct folder *folder);

const struct caches *folder_caches(const struct folder *folder);
struct names *folder_names(struct folder *folder);

/* A record whose event could not be folded; valid until the next folder_begin(). */
struct folder_refusal {
    const struct record *record; /* as given to folder_add() */
    struct uuid organization_id;
    enum park_reason reason;
    const char *text;
};

/*
 * Maximum number of records of the next chunk: `most`, or fewer if states are large, so that the states that they
 * change do not need too much memory.
 */
size_t folder_chunk_records(const struct folder *folder, size_t most);
/* A new chunk begins: nothing waits and nothing was refused. */
void folder_begin(struct folder *folder);
/*
 * The event becomes part of the batch. record and what the event borrows must stay until folder_load() returned; the
 * event itself is copied if it has to wait.
 */
void folder_add(struct folder *folder, struct batch *batch, const struct record *record, const struct event *event);
/* The hash of the case that a record's key names; of a key that is no id, 0. */
uint64_t folder_case_hash(const struct folder *folder, struct str key);
/* The case of an event that will be added soon: memory is fetched meanwhile, step by step (cache_prefetch()). */
void folder_prefetch_case(const struct folder *folder, uint64_t hash, enum cache_prefetch what);
/* CV_OK, or CV_RETRY: the database could not be asked; the caller drops the batch and the caches. */
enum cv_status folder_load(struct folder *folder, struct db *db, struct batch *batch, struct err *err) CV_MUST_CHECK;
const struct folder_refusal *folder_refusals(const struct folder *folder, size_t *out_count);
size_t folder_waiting(const struct folder *folder); /* events that wait for folder_load() */

/* A listed case, or an agent, whose row must be rendered again without an event. */
struct folder_key {
    enum topic topic;            /* TOPIC_CASES or TOPIC_AGENTS */
    struct uuid organization_id; /* agents */
    struct uuid id;              /* case or user */
};

/* Adds their rows to the batch, those of cases that are not listed excepted. CV_OK or CV_RETRY. */
enum cv_status folder_rerender(struct folder *folder, struct db *db, struct batch *batch, const struct folder_key *keys,
                               size_t count, struct err *err) CV_MUST_CHECK;

/* Reads the state of the key; its row's revision, 0 when there is none. CV_OK or CV_RETRY. */
enum cv_status folder_revision(struct folder *folder, struct db *db, const struct folder_key *key, int32_t *out_rev,
                               struct err *err) CV_MUST_CHECK;
/* After folder_revision(): forgets the state, so that the events added next make a new one. The revision stays. */
void folder_replace(struct folder *folder, struct batch *batch, const struct folder_key *key);

/* Evicts what is above the ceilings; states and names found before may be gone after it. */
void folder_trim(struct folder *folder);
void folder_set_cache_bytes(struct folder *folder, size_t cache_bytes);
/* Forgets all states and names. Every batch that refers to them must have been reset (pipeline_drop()). */
void folder_clear(struct folder *folder);
size_t folder_bytes(const struct folder *folder);

#endif
