/*
 * cursor.h: the position of a partition, and the claim that identifies its owner (ctl.cursor). Every assignment makes a
 * new claim; the fence then refuses the next batch of a worker that has an older one. One thread.
 */
#ifndef CASEVIEW_SINK_CURSOR_H
#define CASEVIEW_SINK_CURSOR_H

#include "caseview/arena.h"
#include "caseview/db.h"
#include "caseview/err.h"

#define CURSOR_UNRENDERED (-1) /* dir_no while the partition's rows for readers are not written (a rebuild) */

enum cursor_state { CURSOR_LIVE, CURSOR_PAUSED, CURSOR_HALTED };

struct cursor {
    struct uuid claim;
    int64_t next_offset;
    int64_t dir_no; /* its rows show directory changes up to here, or CURSOR_UNRENDERED */
    bool complete;  /* was read to its end at least once */
    bool has_last;  /* last_*: the last record folded */
    int64_t last_offset, last_at, last_crc;
    enum cursor_state state;
    char reason[64]; /* of the halt or pause, or "" */
};

/*
 * Claims the partition; the claim is durable on the primary before it returns. Waits half a second for an open batch of
 * the previous owner, then terminates that owner's backend. writer: the connection that will write the batches (its pid
 * is recorded); other: any second connection. CV_OK or CV_RETRY. With an SQLSTATE the server refused (55P03: another
 * session holds the cursor's lock; 42501: not permitted to terminate the previous owner's backend; or the schema or the
 * generation does not exist yet). Without one a connection is lost.
 */
enum cv_status cursor_claim(struct db *writer, struct db *other, struct arena *arena, int32_t gen, struct str topic,
                            int32_t part, const char *owner, struct cursor *out_cursor, struct err *err) CV_MUST_CHECK;

enum cursor_state cursor_state_of(struct str name); /* parses the column `state` */

/*
 * Halts the partition if its claim and offset are unchanged. back_to ≥ 0: the cursor returns there, and rows parked
 * from there on are deleted. *out_halted false: another worker has claimed it. CV_OK or CV_RETRY.
 */
enum cv_status cursor_halt(struct db *db, struct arena *arena, int32_t gen, struct str topic, int32_t part,
                           const struct cursor *cursor, const char *reason, int64_t back_to, bool *out_halted,
                           struct err *err) CV_MUST_CHECK;

#endif
