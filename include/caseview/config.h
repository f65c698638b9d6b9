/*
 * config.h: options from the command line, the environment and a file, checked against one table.
 *
 * Each option is given, first match wins, as `--some-name VALUE` or `--some-name=VALUE`, as CASEVIEW_SOME_NAME, or as a
 * line `some-name = VALUE` of the file named by --config (CASEVIEW_CONFIG); in the file `#` starts a comment at the
 * start of a line or after a blank. An unknown name, a value out of range or an option given twice in one place is
 * CV_FATAL with one line that names the option, its source and what is allowed; it quotes nothing that may be a secret.
 * In the environment CASEVIEW_TEST_… belongs to the tests, and the variables of Kubernetes' Services are ignored.
 * An option of another program is ignored in the environment and in the file (one file may serve all programs), but its
 * value is checked; on the command line it is an error. --help and docs/configuration.md come from the same table
 * (config_help, config_markdown).
 */
#ifndef CASEVIEW_CONFIG_H
#define CASEVIEW_CONFIG_H

#include <stdio.h>

#include "caseview/base.h"
#include "caseview/err.h"

enum option_type {
    OPTION_TEXT,        /* any text of at least `min` bytes */
    OPTION_INT,         /* whole number in [min, max] */
    OPTION_CHOICE,      /* one of `choices`, space-separated */
    OPTION_FLAG,        /* true when given; on or off in file and environment */
    OPTION_LISTEN,      /* HOST:PORT, [V6]:PORT; a comma-separated list where `list` is set */
    OPTION_PAIR,        /* PROPERTY=VALUE, repeatable; environment: name + property in capitals, dots as `_` */
    OPTION_URL,         /* http:// or https://, a base: no query */
    OPTION_URL_OR_FILE, /* a URL may have a query here */
    OPTION_FOLDER,      /* readable folder, checked only when used */
};

/* Which programs read an option: one bit per sub-command or program. */
enum option_scope {
    SCOPE_WORKER = 1 << 0,
    SCOPE_MIGRATE = 1 << 1,
    SCOPE_STATUS = 1 << 2,
    SCOPE_API = 1 << 3,
    SCOPE_DEV_BROKER = 1 << 4,
    SCOPE_DEV_PRODUCE = 1 << 5,
    SCOPE_DEV_SIMULATE = 1 << 6,
    SCOPE_DEV_TOKEN = 1 << 7,
    SCOPE_RESUME = 1 << 8,
    SCOPE_PAUSE = 1 << 9,
    SCOPE_PARKED = 1 << 10,
    SCOPE_CURSOR = 1 << 11,
    SCOPE_EXPLAIN = 1 << 12,
    SCOPE_REPAIR = 1 << 13,
    SCOPE_VERIFY = 1 << 14,
    SCOPE_REBUILD = 1 << 15,
    SCOPE_OPERATOR = SCOPE_RESUME | SCOPE_PAUSE | SCOPE_PARKED | SCOPE_CURSOR | SCOPE_EXPLAIN | SCOPE_REPAIR |
                     SCOPE_VERIFY,
    SCOPE_CASEVIEW = SCOPE_WORKER | SCOPE_MIGRATE | SCOPE_STATUS | SCOPE_OPERATOR | SCOPE_REBUILD,
    SCOPE_ALL = 0xffff,
};

/*
 * A row of a table. Rows of one name have different scopes. Environment and file are checked by the row in scope, else
 * by the first one.
 */
struct option_def {
    const char *name; /* lower case with dashes; NULL ends a table */
    enum option_type type;
    unsigned scope;
    const char *fallback;     /* default; NULL: none */
    int64_t (*compute)(void); /* OPTION_INT: computes the default at the start; fallback describes it */
    int64_t min, max;         /* OPTION_INT: the range; OPTION_TEXT: min */
    const char *choices;      /* OPTION_CHOICE: separated by blanks */
    bool list;                /* comma-separated */
    bool file;                /* OPTION_TEXT: the path of a file */
    bool required;
    const char *unit; /* "s", "bytes", … or NULL */
    const char *help; /* a sentence without its full stop */
};

/* The options of caseview and caseview-api (contract, section 6): lib/options.c. */
extern const struct option_def caseview_options[];

/* Options of earlier versions: the error that refuses one names the option that replaced it. `name` NULL ends it. */
struct option_replaced {
    const char *name;
    const char *by;
};
extern const struct option_replaced caseview_replaced_options[];

/* One property of an OPTION_PAIR. */
struct config_property {
    const char *name;
    const char *value;
};

struct config;

/*
 * Reads all sources. tables: NULL-terminated list of option tables. scope: the sub-command that runs. argv: without the
 * names of program and sub-command; words that are not options become operands (config_operand).
 * `--help` sets config_wants_help() and stops reading. CV_OK or CV_FATAL.
 */
enum cv_status config_load(const struct option_def *const *tables, unsigned scope, int argc, char **argv,
                           char **environ_, struct config **out_config, struct err *err) CV_MUST_CHECK;
void config_free(struct config *config);

bool config_wants_help(const struct config *config);
/*
 * The value or the default; NULL: neither. name must be in a table and in the scope that runs (assert). Borrowed.
 */
const char *config_text(const struct config *config, const char *name);
int64_t config_int(const struct config *config, const char *name); /* must be set or have a default (assert) */
/*
 * The value of an integer option with the file of --config as it is now; command line and environment still come first.
 * For options that a running program takes over. CV_OK, or CV_FATAL: the file cannot be read or is wrong.
 */
enum cv_status config_read_int_again(const struct config *config, const char *name, int64_t *out_value,
                                     struct err *err) CV_MUST_CHECK;
bool config_flag(const struct config *config, const char *name);
bool config_is_set(const struct config *config, const char *name);      /* given by the user */
bool config_is_argument(const struct config *config, const char *name); /* … on the command line */
/* Item i of a list option without blanks around it; NULL past the end. */
const char *config_item(const struct config *config, const char *name, size_t i);
/* All properties of an OPTION_PAIR, merged (first match wins for each property). Borrowed until config_free(). */
const struct config_property *config_pairs(const struct config *config, const char *name, size_t *out_count);
const char *config_operand(const struct config *config, size_t i); /* NULL past the end */
/*
 * The word for an error: itself when it has letters, digits and - _ . only, else "(not shown)". Another word may be a
 * piece of a connection string whose quotes were forgotten.
 */
const char *config_shown(const char *word);

/* True when value is one of the words; `words` separates them by blanks. */
bool config_is_word(const char *words, const char *value);

/* Prints --help: the options of `scope`. */
void config_help(FILE *out, const struct option_def *const *tables, unsigned scope, const char *usage);
/* Prints all options as the page docs/configuration.md. */
void config_markdown(FILE *out, const struct option_def *const *tables);

#endif
