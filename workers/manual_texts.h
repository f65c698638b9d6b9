/*
 * manual_texts.h: what the manual pages of caseview say besides the options, in the form of manual.h.
 */
#ifndef CASEVIEW_WORKERS_MANUAL_TEXTS_H
#define CASEVIEW_WORKERS_MANUAL_TEXTS_H

/* The program's page, and the sections that all its pages have. */
extern const char manual_caseview[], manual_caseview_examples[], manual_exit_codes[], manual_environment[],
    manual_files[], manual_see_also[];

/* DESCRIPTION and EXAMPLES of each command. */
extern const char manual_worker[], manual_worker_examples[];
extern const char manual_migrate[], manual_migrate_examples[];
extern const char manual_status[], manual_status_examples[];
extern const char manual_pause[], manual_pause_examples[];
extern const char manual_resume[], manual_resume_examples[];
extern const char manual_parked[], manual_parked_examples[];
extern const char manual_cursor[], manual_cursor_examples[];
extern const char manual_explain[], manual_explain_examples[];
extern const char manual_verify[], manual_verify_examples[];
extern const char manual_repair[], manual_repair_examples[];
extern const char manual_rebuild[], manual_rebuild_examples[];

#endif
