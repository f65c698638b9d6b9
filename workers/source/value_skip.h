/*
 * value_skip.h: passes over the values of a writer that the reader does not use. They are checked as bytes (lengths,
 * counts, depth), not as contents. Private to workers/source.
 */
#ifndef CASEVIEW_SOURCE_VALUE_SKIP_H
#define CASEVIEW_SOURCE_VALUE_SKIP_H

#include "workers/source/body_input.h"
#include "workers/source/value_plan.h"

/* node->op is PLAN_SKIP. False: the bytes are no such value, and in->broken says why. */
bool value_skip(struct body_input *in, const struct plan_node *node) CV_MUST_CHECK;

#endif
