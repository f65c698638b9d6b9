/*
 * options.h: the options that only caseview-dev has, and those it shares by name with the other programs.
 */
#ifndef CASEVIEW_DEV_OPTIONS_H
#define CASEVIEW_DEV_OPTIONS_H

#include "caseview/config.h"

extern const struct option_def dev_options[];

#endif
