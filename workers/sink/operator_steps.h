/*
 * operator_steps.h: the steps that only the batches of operators' commands have (operator_write.h). Private to
 * write_steps.c. One thread.
 */
#ifndef CASEVIEW_SINK_OPERATOR_STEPS_H
#define CASEVIEW_SINK_OPERATOR_STEPS_H

#include "workers/sink/write_step.h"

void operator_step_settings(struct write_steps *steps);
/* Takes the claims of the partitions, if rows are written: then their owners have to read the rows again. */
void operator_step_claim(struct write_steps *steps);
/* Lets a round of the change feed begin again that may have passed rows which this batch writes with older names. */
void operator_step_forget(struct write_steps *steps);
/* Deletes the parked rows that this batch folds, and updates the reason of those that still cannot be folded. */
void operator_step_unparks(struct write_steps *steps);

#endif
