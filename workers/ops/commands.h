/*
 * commands.h: the operators' commands. Each returns the program's exit code and prints its own errors.
 */
#ifndef CASEVIEW_OPS_COMMANDS_H
#define CASEVIEW_OPS_COMMANDS_H

#include "caseview/config.h"

/*
 * `migrate`: creates or updates the schema of this version: ctl, the roles and, when there is none yet, the given
 * generation with its views. Running it again changes nothing. Waits connect-timeout-s for the database, then exits 3.
 */
int migrate_main(const struct config *config);

/*
 * `status`: prints cursor and lag per partition, counts of parked, incomplete and degraded, and the commands to run
 * next; as a table, or as one object with --json. --watch repeats it every second, --check exits 1 unless healthy.
 * Reads the database and, for the end offsets, Kafka. Without an answer from Kafka it is not healthy, and says why.
 */
int status_main(const struct config *config);

/*
 * `pause`: stops reading partitions until `caseview resume`. Everything before their cursors is committed. The owner
 * notices within two seconds, and still applies changes of the directory to their rows.
 */
int pause_main(const struct config *config);

/*
 * `resume`: resumes halted or paused partitions, after the cause was fixed. The worker that owns them notices within
 * two seconds, checks the log as at every claim, and halts the partition again if the cause remains.
 */
int resume_main(const struct config *config);

/* `parked list|show|export|retry|skip`: shows, exports, folds or skips the parked events that the options select. */
int parked_main(const struct config *config);

/*
 * `cursor show|set`: shows the next offset and the owner of partitions, or sets a partition to another offset, so that
 * records are read again or deliberately skipped. Setting it also changes the claim, so that no earlier batch of the
 * owner can move the cursor.
 */
int cursor_main(const struct config *config);

/*
 * `explain`: prints all events of a case or an agent in the log, the effect of each, and why the case is listed or not,
 * or which gates the agent passes. Changes nothing.
 */
int explain_main(const struct config *config);

/*
 * `verify`: folds the log in memory and compares the outcome with the tables. Changes nothing, and runs at any time,
 * under any load.
 */
int verify_main(const struct config *config);

/* `repair`: folds a case or an agent again from the log and replaces its rows with the result, while workers run. */
int repair_main(const struct config *config);

/*
 * `rebuild start|status|prepare|compare|switch|abort|drop`: a new generation of the view, filled from the log by
 * ordinary workers while the live one keeps serving (contract, section 7; docs/operations.md, Rebuild). Every command
 * is safe to repeat and safe to kill: what it changes, it changes in one transaction or in steps that go on where they
 * were. Exit codes: 0 done, 1 the question was answered "no", 2 refused, 3 a service is away.
 */
int rebuild_main(const struct config *config);

#endif
