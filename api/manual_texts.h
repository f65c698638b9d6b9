/*
 * manual_texts.h: what the manual page of caseview-api says besides the options, in the form of caseview/manual.h.
 */
#ifndef CASEVIEW_API_MANUAL_TEXTS_H
#define CASEVIEW_API_MANUAL_TEXTS_H

extern const char manual_api[], manual_api_exit_codes[], manual_api_environment[], manual_api_files[],
    manual_api_examples[], manual_api_see_also[];

#endif
