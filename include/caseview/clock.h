/*
 * clock.h: the only module that reads a clock. workers/fold must not include it.
 */
#ifndef CASEVIEW_CLOCK_H
#define CASEVIEW_CLOCK_H

#include "caseview/base.h"

int64_t clock_wall_us(void); /* microseconds since 1970, may jump */
int64_t clock_mono_us(void); /* microseconds, never decreases */
int64_t clock_mono_ms(void);
int64_t clock_cpu_us(void); /* CPU time of this process, user and system */

/*
 * Writes a UTC time as ISO 8601 in the contract's form: `2024-04-11T11:13:38.008222Z`, without trailing zeros of the
 * fraction, without a fraction of zero. us: microseconds since 1970, years 1–9999 (asserted).
 * Returns the length, at most CLOCK_ISO_MAX; not terminated. Reads no clock.
 */
#define CLOCK_ISO_MAX 27
size_t clock_iso(int64_t us, char out[CLOCK_ISO_MAX]);

/* The range of clock_iso(): 0001-01-01 … 9999-12-31T23:59:59.999999Z. */
#define CLOCK_MIN_US INT64_C(-62135596800000000)
#define CLOCK_MAX_US INT64_C(253402300799999999)

#endif
