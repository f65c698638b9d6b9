/*
 * cursor_command.h: `caseview cursor show|set`: shows the next offset and the owner of partitions, or sets a partition
 * to another offset, so that records are read again or deliberately skipped. Setting it also changes the claim, so that
 * no earlier batch of the owner can move the cursor.
 */
#ifndef CASEVIEW_OPS_CURSOR_COMMAND_H
#define CASEVIEW_OPS_CURSOR_COMMAND_H

#include "caseview/config.h"

int cursor_main(const struct config *config);

#endif
