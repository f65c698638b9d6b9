/*
 * verify_rows.h: walks the tables of one snapshot and compares each row with the folded log. Private to verify.
 */
#ifndef CASEVIEW_OPS_VERIFY_ROWS_H
#define CASEVIEW_OPS_VERIFY_ROWS_H

#include "workers/ops/verify_history.h"

/* A row that shows other names than the directory has, while its partition is still bringing names up to date. */
struct verify_suspect {
    enum topic topic;
    struct uuid organization_id, id;
};

struct verify_rows {
    struct verify_history *history;
    struct history_reader *reader;
    struct verify_report *report;
    struct names *names;
    struct arena *arena; /* of one page */
    struct verify_suspect *suspects;
    size_t suspect_count, suspect_room;
};

/* The snapshot stands; the log is read. CV_OK or CV_RETRY. */
enum cv_status verify_rows_compare(struct verify_rows *rows, struct err *err) CV_MUST_CHECK;
/* Looks at the suspects again, in new snapshots, until their partitions have all names or timeout_ms has passed. */
enum cv_status verify_rows_recheck(struct verify_rows *rows, int timeout_ms, struct err *err) CV_MUST_CHECK;

/*
 * A table, read by its key: ids uuids, before them an entity's kind or not. The statement's first columns are the key,
 * its arguments the last key of the page before, and without a kind whether there was none.
 */
struct verify_table {
    struct db_statement statement;
    bool has_kind;
    int ids;
    enum cv_status (*compare_page)(struct verify_rows *rows, const struct db_result *page, struct err *err);
};
/* All of it, page by page. CV_OK, CV_RETRY (stopped, too), or what compare_page answered. */
enum cv_status verify_table_compare(struct verify_rows *rows, const struct verify_table *table,
                                    struct err *err) CV_MUST_CHECK;

/* verify_entities.c: the rows of directory. */
enum cv_status verify_entities_compare(struct verify_rows *rows, struct err *err) CV_MUST_CHECK;

/* verify_recheck.c */
void verify_suspect(struct verify_rows *rows, enum topic topic, const struct uuid *organization_id,
                    const struct uuid *id);

/* "case 3f…", "agent 3f… of organization 4a…" */
#define VERIFY_NAME_MAX 128
void verify_name(enum topic topic, const struct uuid *organization_id, const struct uuid *id,
                 char out[VERIFY_NAME_MAX]);

/* A struct difference_sink that tells the report. */
struct verify_teller {
    struct verify_report *report;
    const char *key;
};
void verify_tell(void *context, const char *field, struct str row, struct str log);

#endif
