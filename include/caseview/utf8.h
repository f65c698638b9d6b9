/*
 * utf8.h: UTF-8 as RFC 3629 defines it: no overlong forms, no surrogates, nothing above U+10FFFF. Pure; any thread.
 */
#ifndef CASEVIEW_UTF8_H
#define CASEVIEW_UTF8_H

#include "caseview/base.h"

/* Length (1–4) of the character at text, of which `left` > 0 bytes are there; 0: not valid. U+0000 has length 1. */
size_t utf8_length(const char *text, size_t left);

/*
 * The whole text is valid and without U+0000: what text and jsonb of PostgreSQL can hold. True for an empty text and
 * for a null one.
 */
bool utf8_valid_no_nul(struct str text);

#endif
