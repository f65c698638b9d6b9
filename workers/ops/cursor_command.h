/*
 * cursor_command.h: `caseview cursor show|set`: where partitions are read next, and by whom; and setting one to another
 * offset, when records must be read again, or left out knowingly. The owner's claim is taken away, so that no batch of
 * before can move the cursor.
 */
#ifndef CASEVIEW_OPS_CURSOR_COMMAND_H
#define CASEVIEW_OPS_CURSOR_COMMAND_H

#include "caseview/config.h"

int cursor_main(const struct config *config);

#endif
