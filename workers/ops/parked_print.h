/*
 * parked_print.h: prints a parked event: as one JSON line that is sufficient to produce it again, or with all details.
 * Private to parked.
 */
#ifndef CASEVIEW_OPS_PARKED_PRINT_H
#define CASEVIEW_OPS_PARKED_PRINT_H

#include "workers/ops/parked_rows.h"

/* Appends printable ASCII unchanged, and a dot for any other byte. */
void parked_print_readable(struct buf *out, struct str bytes);
void parked_print_export(const struct parked_row *row, struct buf *out);
/* decoding: the outcome of decoding it now, one line. */
void parked_print_show(const struct parked_row *row, const char *decoding, bool json, struct buf *out);

#endif
