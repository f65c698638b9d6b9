/*
 * parked_rows.h: reads parked events in pages of whole rows, and decodes one again. Private to parked*.c; one thread.
 */
#ifndef CASEVIEW_OPS_PARKED_ROWS_H
#define CASEVIEW_OPS_PARKED_ROWS_H

#include "caseview/buf.h"
#include "workers/fold/event.h"
#include "workers/ops/operation.h"
#include "workers/source/decode.h"

struct parked_row {
    struct str topic;
    int32_t part;
    int64_t offset;
    struct str reason, text;
    bool has_organization;
    struct uuid organization_id;
    struct str key, value, headers; /* headers: JSON or null */
    int64_t record_us;              /* INT64_MIN: none */
    int64_t parked_us;
};

/* A page starts after this key. part -1: at the first row. */
struct parked_place {
    char topic[256];
    int32_t part;
    int64_t offset;
};

/* operation_args() and $4: the offset or null. */
void parked_args(struct operation *operation, struct db_args *args);
enum cv_status parked_count(struct operation *operation, int64_t *out_count, struct err *err) CV_MUST_CHECK;
/*
 * Reads at most `most` rows after the place, fewer when they are large. No rows: there are no more. The caller frees
 * the result.
 */
enum cv_status parked_page(struct operation *operation, const struct parked_place *place, int most,
                           struct db_result **out_result, struct err *err) CV_MUST_CHECK;
void parked_row(const struct db_result *result, int row, struct parked_row *out_row); /* borrows from the result */
void parked_place(const struct parked_row *row, struct parked_place *out_place);

/* Says on standard error that there is no such event. Returns the exit code: no when the options select some. */
int parked_none(const struct config *config, const char *command);

/* The role of the topic with this name; TOPIC_COUNT: none. */
enum topic parked_role(const struct config *config, struct str topic_name);
/*
 * Decodes as a worker would now, but waits up to connect-timeout-s for the registry: DECODE_WAIT means that it could
 * not be reached in that time. Texts of the event are borrowed from the row.
 */
enum decode_outcome parked_decode(const struct config *config, struct schemas *schemas, const struct parked_row *row,
                                  struct arena *arena, struct record *out_record, struct decode_result *out,
                                  struct err *err) CV_MUST_CHECK;

#endif
