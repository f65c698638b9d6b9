/*
 * memory.h: how much memory the process may use and uses, and how malloc behaves. All sizes are in bytes.
 */
#ifndef CASEVIEW_MEMORY_H
#define CASEVIEW_MEMORY_H

#include "caseview/base.h"

/*
 * The memory limit of the process's cgroup: the smallest of its own and its parents' limits, as far as their files are
 * visible. cgroup v1 (memory.limit_in_bytes), v2 (memory.max) and both at once. 0: no limit, or none can be read.
 */
size_t memory_cgroup_limit(void);
/* The same, with `root` put before every path (/proc/self/… and the mount points): for tests. */
size_t memory_cgroup_limit_below(const char *root);

/* Default of the option `memory`: half of the limit but at least 96 MiB, or 256 MiB where the limit is 0 (none). */
size_t memory_budget(size_t limit);
/* The same for the cgroup of this process, as a number for the option table. */
int64_t memory_default_budget(void);

/*
 * Sets malloc up so that freed memory goes back to the system: blocks of 256 KiB and more get their own mapping,
 * and threads share two arenas. Call once, before threads start.
 */
void memory_tune(void);
/*
 * For a program that takes and frees blocks of some MiB all the time, as librdkafka does for the answers of brokers:
 * they stay with malloc, instead of being mapped, cleared by the kernel and unmapped each time, and threads share four
 * arenas, so that the thread that fills the blocks does not wait for the one that frees them. Up to 16 MiB an arena are
 * kept until memory_give_back(). Call after memory_tune(), before threads start.
 */
void memory_tune_for_streams(void);
/* Returns malloc's free pages to the system. Takes milliseconds per 100 MiB: for quiet moments after a peak. */
void memory_give_back(void);
/* Resident memory of the process; 0 when /proc cannot be read. */
size_t memory_resident(void);

#endif
