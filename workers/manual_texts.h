/*
 * manual_texts.h: the manual of caseview: its commands, in the order of --help, and what the pages say besides the
 * options.
 */
#ifndef CASEVIEW_WORKERS_MANUAL_TEXTS_H
#define CASEVIEW_WORKERS_MANUAL_TEXTS_H

#include "caseview/manual.h"

extern const struct manual caseview_manual;

#endif
