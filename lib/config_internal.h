/*
 * config_internal.h: what the files of config share.
 *
 *   config.c          loads the tables, and returns values to callers
 *   config_sources.c  reads command line, environment and file
 *   config_slot.c     stores the values of one option
 *   config_check.c    checks one value; splits a list
 *   config_help.c     --help and docs/configuration.md
 */
#ifndef CASEVIEW_LIB_CONFIG_INTERNAL_H
#define CASEVIEW_LIB_CONFIG_INTERNAL_H

#include "caseview/buf.h"
#include "caseview/config.h"

/* Where a value comes from; the first of these that gives one wins. */
enum config_source { SOURCE_COMMAND_LINE, SOURCE_ENVIRONMENT, SOURCE_FILE, SOURCE_DEFAULT };

struct config_pair {
    char *property;
    char *value;
    enum config_source source;
};

/* One option and the values given for it. */
struct config_slot {
    const struct option_def *option; /* the row of the scope that runs, else the first one of that name */
    bool in_scope;
    char *value; /* NULL: not given */
    char *origin;
    enum config_source source;
    int line;     /* of the file, 0: not in it */
    char **items; /* of a list, NULL-terminated */
    size_t pair_count;
    struct config_pair *pairs;
    struct config_property *properties; /* the same, for callers */
    int64_t computed;                   /* default that is computed at the start */
};

struct config {
    struct config_slot *slots;
    size_t slot_count;
    char *file; /* --config or CASEVIEW_CONFIG */
    const char *file_origin;
    size_t operand_count;
    char **operands;
    bool wants_help;
};

/* The slot of a name; NULL: there is no such option. */
struct config_slot *config_find(const struct config *config, struct str name);

/*
 * Checks a value and keeps it unless an earlier source gave one. origin: how the option was given, e.g. `--gap-alarm-s`
 * or `file.conf:12: gap-alarm-s`. CV_OK or CV_FATAL.
 */
enum cv_status config_put_value(struct config_slot *slot, enum config_source source, const char *origin,
                                const char *value, struct err *err) CV_MUST_CHECK;
/* The same for one property of an OPTION_PAIR. */
enum cv_status config_put_pair(struct config_slot *slot, enum config_source source, const char *origin,
                               struct str property, const char *value, struct err *err) CV_MUST_CHECK;
/* Frees what the slot owns. */
void config_slot_done(struct config_slot *slot);

/* Each reads one source. CV_OK or CV_FATAL. config_read_arguments() stops at --help and sets wants_help. */
enum cv_status config_read_arguments(struct config *config, int argc, char **argv, struct err *err) CV_MUST_CHECK;
enum cv_status config_read_environment(struct config *config, char **environ_, struct err *err) CV_MUST_CHECK;
enum cv_status config_read_file(struct config *config, struct err *err) CV_MUST_CHECK;

/* Checks one value against its option. CV_OK or CV_FATAL. */
enum cv_status option_check(const struct option_def *option, const char *origin, const char *value,
                            struct err *err) CV_MUST_CHECK;

/* value has been checked. */
int64_t option_int(const char *value);
bool option_on(const char *value);

/* "1–86400 s", or "" for a type without a range. */
void option_range(const struct option_def *option, struct buf *out);

/* Item i of a comma-separated list, blanks trimmed; STR_NULL past the end. */
struct str option_item(const char *list, size_t i);

#endif
