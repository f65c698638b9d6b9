/*
 * history_text.h: events and states as text, for `explain`, `verify` and `repair`. Values look as they do in the view:
 * the same code prints them.
 */
#ifndef CASEVIEW_OPS_HISTORY_TEXT_H
#define CASEVIEW_OPS_HISTORY_TEXT_H

#include "caseview/buf.h"
#include "workers/fold/agent.h"
#include "workers/fold/case.h"

/* Of an event of a case or an agent. The name: "CaseMoved"; "unknown": of a newer writer. */
const char *event_type_name(const struct event *event);
int64_t event_sequence(const struct event *event);

const char *group_name(enum case_group group); /* "lockedBy" */

/* The fields of a group as a JSON object. */
void group_put(const struct case_state *state, enum case_group group, struct buf *out);
/* The sequence numbers that were seen: "highest 7, snapshot 3, missing 5-6". */
void sequence_put_text(const struct sequence *sequence, struct buf *out);
/* The workspaces of one unit: {"set":…,"revoked":…,"workspaceIds":[…]}. */
void agent_unit_put(const struct agent_unit *unit, struct buf *out);

/* "status, lockedBy": the names of the groups whose bits are set. */
void groups_put(uint32_t groups, struct buf *out);

#endif
