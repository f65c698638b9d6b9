/*
 * caseview: the projection worker and the operators' commands.
 */
#include <stdio.h>

#include "caseview/fetch.h"
#include "caseview/log.h"
#include "caseview/output.h"
#include "caseview/process.h"
#include "caseview/stop.h"
#include "workers/manual_texts.h"
#include "workers/ops/commands.h"
#include "workers/worker.h"

extern char **environ;

/* What runs each command of the manual (manual_texts.h). */
static const struct command {
    const char *name;
    int (*run)(const struct config *config);
    bool checks_more; /* checks itself what follows the word */
} commands[] = {
    {"worker", worker_main},
    {"migrate", migrate_main},
    {"status", status_main},
    {"pause", pause_main},
    {"resume", resume_main},
    {"parked", parked_main},
    {"cursor", cursor_main},
    {"explain", explain_main},
    {"verify", verify_main},
    {"repair", repair_main},
    {"rebuild", rebuild_main, .checks_more = true},
};

static const struct command *find_command(const char *name)
{
    size_t i = 0;
    while (i < ARRAY_LEN(commands) && strcmp(name, commands[i].name) != 0)
        i++;
    assert(i < ARRAY_LEN(commands)); /* the manual has no others */
    return &commands[i];
}

static void usage(FILE *out)
{
    fprintf(out, "usage: caseview COMMAND [OPTIONS]\n\n");
    for (const struct manual_command *about = caseview_manual.commands; about->name != NULL; about++)
        fprintf(out, "  %-8s  %s%s%s%s\n", about->name, about->words ? "(" : "", about->words ? about->words : "",
                about->words ? ") " : "", about->help);
    fprintf(out,
            "\n`caseview COMMAND --help` lists the options; every one may also be given as CASEVIEW_SOME_NAME in the\n"
            "environment or as a line `some-name = VALUE` in the file named by --config.\n"
            "`caseview --version`, `caseview --markdown` (the page of all options), `caseview --man [COMMAND]` (the "
            "manual\n"
            "page), `caseview --completion` (for bash).\n");
}

/* A command with words takes exactly one of them, any other none. */
static bool check_words(const struct manual_command *about, const struct command *command, const struct config *config)
{
    const char *words = about->words, *given = config_operand(config, 0);
    const char *extra = words == NULL ? given : command->checks_more ? NULL : config_operand(config, 1);
    if (extra != NULL) {
        fprintf(stderr, "caseview %s: unexpected word: %s\n", about->name, config_shown(extra));
        return false;
    }
    if (words == NULL || (given != NULL && config_is_word(words, given)))
        return true;
    fprintf(stderr, "caseview %s: one of these words must follow: %s\n", about->name, words);
    return false;
}

static int run_command(const struct manual_command *about, int argc, char **argv)
{
    const struct command *command = find_command(about->name);
    struct err err = ERR_INIT;
    struct config *config;
    if (config_load(caseview_manual.tables, about->scope, argc, argv, environ, &config, &err) != CV_OK) {
        fprintf(stderr, "caseview %s: %s\n", about->name, err.text);
        return CV_EXIT_USAGE;
    }
    int exit_code;
    if (config_wants_help(config)) {
        char line[160];
        snprintf(line, sizeof line, "caseview %s [OPTIONS]: %s", about->name, about->help);
        config_help(stdout, caseview_manual.tables, about->scope, line);
        exit_code = CV_EXIT_OK;
    } else if (!check_words(about, command, config)) {
        exit_code = CV_EXIT_USAGE;
    } else {
        log_init_options("caseview", config_text(config, "log-level"), config_text(config, "log-format"));
        stop_init(about->scope == SCOPE_WORKER ? STOP_HANGUP_RELOADS : STOP_HANGUP_STOPS);
        fetch_global_init();
        exit_code = CV_EXIT_USAGE;
        if (fetch_use_ca_file(config_text(config, "ca-file"), &err) != CV_OK)
            log_error("ca-file: %s", err.text);
        else
            exit_code = command->run(config);
    }
    config_free(config);
    return exit_code;
}

static int run(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    for (const struct manual_command *about = caseview_manual.commands; about->name != NULL; about++)
        if (strcmp(word, about->name) == 0)
            return run_command(about, argc - 2, argv + 2);
    if (strcmp(word, "--version") == 0) {
        printf("caseview %s\n", CASEVIEW_VERSION);
        return CV_EXIT_OK;
    }
    if (strcmp(word, "--markdown") == 0) {
        config_markdown(stdout, caseview_manual.tables);
        return CV_EXIT_OK;
    }
    int exit_code;
    if (manual_asked(&caseview_manual, word, argc > 2 ? argv[2] : NULL, &exit_code))
        return exit_code;
    bool wants_help = strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
    if (!wants_help && word[0] != '\0')
        fprintf(stderr, "caseview: no such command: %s\n\n", config_shown(word));
    usage(wants_help ? stdout : stderr);
    return wants_help ? CV_EXIT_OK : CV_EXIT_USAGE;
}

int main(int argc, char **argv)
{
    process_start();
    return output_finish("caseview", run(argc, argv));
}
