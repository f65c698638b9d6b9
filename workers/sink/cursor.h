/*
 * cursor.h: how far a partition is folded, and the claim by which the database knows who may go on (ctl.cursor). There
 * is a new claim with every assignment; the next batch of a worker that holds an older one is refused by its fence.
 * One thread.
 */
#ifndef CASEVIEW_SINK_CURSOR_H
#define CASEVIEW_SINK_CURSOR_H

#include "caseview/arena.h"
#include "caseview/db.h"
#include "caseview/err.h"

enum cursor_state { CURSOR_LIVE, CURSOR_PAUSED, CURSOR_HALTED };

struct cursor {
    struct uuid claim;
    int64_t next_offset;
    int64_t dir_no;
    bool complete; /* has been read to its end before */
    bool has_last; /* last_*: the last record folded */
    int64_t last_offset, last_at, last_crc;
    enum cursor_state state;
    char reason[64]; /* why halted, or "" */
};

/*
 * Claims the partition; the claim is on disk before it returns. A batch of the previous owner that is still open is
 * waited for half a second, then that owner's backend is terminated. writer: the connection that will write the batches
 * (its pid is recorded); other: any second one. CV_OK or CV_RETRY: with an sqlstate the server refused (55P03: another
 * session holds the cursor's lock; 42501: the previous owner's backend may not be terminated; or the schema or
 * generation is not there yet), without one a connection is lost.
 */
enum cv_status cursor_claim(struct db *writer, struct db *other, struct arena *arena, int32_t gen, struct str topic,
                            int32_t part, const char *owner, struct cursor *out_cursor, struct err *err) CV_MUST_CHECK;

enum cursor_state cursor_state_of(struct str name); /* of the column state */

/*
 * Halts the partition if the claim and the offset still stand; back_to ≥ 0: the cursor goes back there and parked rows
 * from there on are deleted. *out_halted false: another worker has claimed it. CV_OK or CV_RETRY.
 */
enum cv_status cursor_halt(struct db *db, struct arena *arena, int32_t gen, struct str topic, int32_t part,
                           const struct cursor *cursor, const char *reason, int64_t back_to, bool *out_halted,
                           struct err *err) CV_MUST_CHECK;

#endif
