/*
 * verify.h: `caseview verify`: folds the log in memory and compares the outcome with the tables. Changes nothing, and
 * runs at any time, under any load.
 *
 * No snapshot is open while the log is read: every batch updates a cursor's row, and an open snapshot would keep
 * PostgreSQL from removing the dead versions. So rows may be newer than the history that they are compared with. The
 * outcome is correct nevertheless:
 *
 *   1. A short snapshot gives the cursors and the left-out records. The log is folded up to these cursors; records
 *      beyond them are noted per key as `ahead`.
 *   2. The tables are compared page by page, each page in a short snapshot. A row that agrees is right, if its key has
 *      no records ahead or the cursors have not moved. Any other row, and any key that should have a row and has none,
 *      is a suspect: nothing is reported about its state yet. Columns that depend only on the row's own state and the
 *      directory (flags, active_case, gates) are compared completely within the page's snapshot.
 *   3. A second short snapshot gives cursors, left-out records and the suspects' rows of one moment, which are copied.
 *      The history is brought to these cursors. State and row are now of the same moment: differences are reported.
 *   4. Rows with older names are compared again until their partition has applied all changes of the directory.
 *
 * An event that a worker loses while step 2 runs is found by the next verify. Memory: one state per key, and one more
 * per suspect.
 */
#ifndef CASEVIEW_OPS_VERIFY_H
#define CASEVIEW_OPS_VERIFY_H

#include "caseview/config.h"

int verify_main(const struct config *config);

#endif
