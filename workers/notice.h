/*
 * notice.h: log lines that may come often: the first at once, then at growing distances with the number of
 * those in between. One thread.
 */
#ifndef CASEVIEW_WORKERS_NOTICE_H
#define CASEVIEW_WORKERS_NOTICE_H

#include "caseview/base.h"

struct notice {
    int64_t next_ms;  /* clock_mono_ms() of the next line, 0: at once */
    int64_t wait_ms;  /* distance of the last two */
    int64_t unlogged; /* since the last line */
};

void notice_add(struct notice *notice, int64_t count);
/* How many there were since the last line, when a line is due: it is written now. Else 0. */
int64_t notice_due(struct notice *notice);

#endif
