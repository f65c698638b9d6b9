/*
 * rebuild_compare_body.h: in which members two bodies of the same case differ. Pure. Private to compare.
 */
#ifndef CASEVIEW_OPS_REBUILD_COMPARE_BODY_H
#define CASEVIEW_OPS_REBUILD_COMPARE_BODY_H

#include "caseview/base.h"
#include "caseview/buf.h"

/*
 * Appends the paths of the members that differ, "rank, lockedBy.displayName", never their values. *out_only_names: all
 * of them are texts that come from the directory (contract, section 2). False: one of the bodies cannot be read as a
 * JSON object, such as one with a number that no double can hold.
 */
bool compare_bodies(struct str one, struct str other, struct buf *out_members, bool *out_only_names);

#endif
