/*
 * output.h: standard output of a command, checked. A command whose output is lost must not report success: its disk may
 * be full, its reader may have ended.
 */
#ifndef CASEVIEW_OUTPUT_H
#define CASEVIEW_OUTPUT_H

#include "caseview/base.h"
#include "caseview/buf.h"

/*
 * Adds a text to standard output. One that outgrew its buffer's ceiling would be incomplete (no JSON, for example): it
 * is left out, and output_finish() reports it.
 */
void output_buf(const struct buf *text);
/* Writes what is buffered. False: it cannot be written; a command that prints repeatedly ends then. */
bool output_flush(void) CV_MUST_CHECK;

/*
 * Must be the last call of main(): closes standard output and returns exit_code. When any output was lost or left
 * out, prints one line to standard error and returns CV_EXIT_OUTPUT instead.
 */
int output_finish(const char *program, int exit_code) CV_MUST_CHECK;

#endif
