/*
 * text.h: what the contract allows in texts. Pure. Private to workers/source.
 */
#ifndef CASEVIEW_SOURCE_TEXT_H
#define CASEVIEW_SOURCE_TEXT_H

#include "caseview/base.h"
#include "workers/fold/record.h"

/* Objects and arrays may be nested this deep. */
#define TEXT_JSON_DEPTH_MAX 512

/*
 * Checks the text of a JSON object (RFC 8259; numbers of any size, since they are passed on and never computed with).
 * text must be utf8_valid_no_nul().
 *   PARK_NONE      out_object is the text from its first `{` to its last `}`
 *   PARK_BAD_TEXT  an escaped U+0000 or lone surrogate
 *   PARK_BAD_JSON  anything else; out_fault says what, always
 */
enum park_reason text_json_object(struct str text, struct str *out_object, const char **out_fault) CV_MUST_CHECK;

#endif
