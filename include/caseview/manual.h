/*
 * manual.h: prints a program's manual pages (man(7), for groff) and its completion for bash. Options come from the
 * table that parses them (config.h), commands from the one that runs them, so neither can be forgotten in a page.
 *
 * Texts are ASCII paragraphs divided by an empty line. A line that begins with a blank is an example and shown as it
 * is. A line `TERM<tab>TEXT` is an item of a list. `word` in back quotes is printed bold.
 */
#ifndef CASEVIEW_MANUAL_H
#define CASEVIEW_MANUAL_H

#include <stdio.h>

#include "caseview/config.h"

struct manual_command {
    const char *name;     /* NULL ends a list */
    unsigned scope;       /* one bit of enum option_scope */
    const char *words;    /* one of these must follow, separated by blanks; NULL: nothing may */
    const char *help;     /* what it does, in half a line */
    const char *text;     /* DESCRIPTION */
    const char *examples; /* NULL: none */
};

struct manual {
    const char *program;
    const char *help;
    unsigned scope; /* all commands; of a program without commands its own bit */
    const struct option_def *const *tables;
    const struct manual_command *commands; /* NULL: the program has none */
    const char *text, *exit_codes, *environment, *files, *examples, *see_also;
};

/* Prints the page of a command, PROGRAM-COMMAND(1); of the program, PROGRAM(1), when command is NULL. */
void manual_page(FILE *out, const struct manual *manual, const struct manual_command *command);
/* Prints the script that bash loads to complete the program's words. */
void manual_completion(FILE *out, const struct manual *manual);

/*
 * The options of a program that print its papers: `--man [COMMAND]`, `--completion`. True: word is one of them, and
 * *out_exit is the exit code. argument may be NULL.
 */
bool manual_asked(const struct manual *manual, const char *word, const char *argument, int *out_exit);

#endif
