/*
 * verify_pages.h: walks a table page by page, each page in a short snapshot of its own. Private to verify.
 */
#ifndef CASEVIEW_OPS_VERIFY_PAGES_H
#define CASEVIEW_OPS_VERIFY_PAGES_H

#include "workers/ops/verify_history.h"
#include "workers/sink/names.h"

/* A row whose names may be out of date because its partition has not applied all changes of the directory yet. */
struct verify_stale {
    enum topic topic;
    struct uuid organization_id, id;
};

/* What all parts of verify share. */
struct verify {
    struct verify_history *history;
    struct history_reader *reader;
    struct verify_report *report;
    struct names *names; /* of the moment when the directory's clock was names_clock */
    int64_t names_clock;
    struct arena *arena; /* of one page */
    struct verify_stale *stale;
    size_t stale_count, stale_room;
};

/*
 * A table, read by its key of `ids` uuids, with an entity's kind before them or not. The statement's first columns are
 * the key; its arguments are the last key of the page before and, without a kind, whether there was none.
 */
struct verify_table {
    struct db_statement statement;
    bool has_kind;
    int ids;
    enum cv_status (*compare_page)(struct verify *verify, const struct db_result *page, struct err *err);
};

/* CV_FATAL: the generation of this snapshot has no rows for readers yet that could be compared. */
enum cv_status verify_check_rendered(const struct verify *verify, struct err *err) CV_MUST_CHECK;
/* Begins a snapshot, checks the same; names of an older directory are dropped. */
enum cv_status verify_begin(struct verify *verify, struct err *err) CV_MUST_CHECK;
/* The whole table. CV_OK, CV_RETRY (also when stopped), or what compare_page returned. */
enum cv_status verify_pages(struct verify *verify, const struct verify_table *table, struct err *err) CV_MUST_CHECK;

/* Notes that an entry's row was seen, with that many differences: it becomes a suspect, or is unknown, or is right. */
void verify_judge(struct verify *verify, enum topic topic, struct verify_entry *entry, size_t differences,
                  enum verify_unknown unknown);
void verify_count_unknown(struct verify *verify, enum verify_unknown unknown);

/* True for a case that has been over for a day: tombstone-days, after which its row is deleted, is at least one. */
bool verify_may_be_swept(const struct verify_entry *entry);

/* "case 3f…", "agent 3f… of organization 4a…" */
#define VERIFY_NAME_MAX 128
void verify_name(enum topic topic, const struct uuid *organization_id, const struct uuid *id,
                 char out[VERIFY_NAME_MAX]);

#endif
