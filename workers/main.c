/*
 * caseview: the projection worker and its operators' commands.
 */
#include <stdio.h>
#include <string.h>

#include "caseview/config.h"
#include "caseview/fetch.h"
#include "caseview/log.h"
#include "caseview/memory.h"
#include "caseview/stop.h"
#include "workers/ops/cursor_command.h"
#include "workers/ops/explain.h"
#include "workers/ops/migrate.h"
#include "workers/ops/parked.h"
#include "workers/ops/pause.h"
#include "workers/ops/repair.h"
#include "workers/ops/resume.h"
#include "workers/ops/status.h"
#include "workers/ops/verify.h"
#include "workers/worker.h"

extern char **environ;

static const struct command {
    const char *name;
    unsigned scope;
    int (*run)(const struct config *config);
    const char *words; /* what may follow the name, one of them; NULL: nothing */
    const char *help;
} commands[] = {
    {"worker", SCOPE_WORKER, worker_main, NULL, "fold events from Kafka into the view, until SIGTERM"},
    {"migrate", SCOPE_MIGRATE, migrate_main, NULL,
     "bring the database to this version's schema; changes nothing the second time"},
    {"status", SCOPE_STATUS, status_main, NULL,
     "show how far each partition is, what is parked, incomplete and degraded"},
    {"pause", SCOPE_PAUSE, pause_main, NULL,
     "let partitions stand still, with everything before their cursor committed"},
    {"resume", SCOPE_RESUME, resume_main, NULL,
     "let paused partitions go on, and halted ones after their cause was mended"},
    {"parked", SCOPE_PARKED, parked_main, "list show export retry skip",
     "the events that could not be used: see them, fold what is good by now, or give them up"},
    {"cursor", SCOPE_CURSOR, cursor_main, "show set", "where partitions are read next; set one to another offset"},
    {"explain", SCOPE_EXPLAIN, explain_main, NULL,
     "show every event of a case or an agent, what each did, and why it is listed or not"},
    {"verify", SCOPE_VERIFY, verify_main, NULL,
     "fold the log again in memory and compare it with the rows; exit 1 when they differ"},
    {"repair", SCOPE_REPAIR, repair_main, NULL, "fold a case or an agent again from the log and put its rows right"},
};

static const struct option_def *const tables[] = {caseview_options, NULL};

static void usage(FILE *out)
{
    fprintf(out, "usage: caseview COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(out, "  %-8s  %s%s%s%s\n", commands[i].name, commands[i].words ? "(" : "",
                commands[i].words ? commands[i].words : "", commands[i].words ? ") " : "", commands[i].help);
    fprintf(out,
            "\n`caseview COMMAND --help` lists the options; every one may also be given as CASEVIEW_SOME_NAME in the\n"
            "environment or as a line `some-name = VALUE` in the file named by --config.\n"
            "`caseview --version`, `caseview --markdown` (the page of all options).\n");
}

/* A command with words takes exactly one of them, any other none. */
static bool check_words(const struct command *command, const struct config *config)
{
    const char *given = config_operand(config, 0);
    const char *extra = command->words ? config_operand(config, 1) : given;
    if (extra) {
        fprintf(stderr, "caseview %s: takes no operand: \"%s\"\n", command->name, extra);
        return false;
    }
    if (!command->words || (given && config_is_word(command->words, given)))
        return true;
    fprintf(stderr, "caseview %s: what to do: one of %s\n", command->name, command->words);
    return false;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct config *config;
    if (config_load(tables, command->scope, argc, argv, environ, &config, &err) != CV_OK) {
        fprintf(stderr, "caseview %s: %s\n", command->name, err.text);
        return CV_EXIT_USAGE;
    }
    int exit_code;
    if (config_wants_help(config)) {
        char line[160];
        snprintf(line, sizeof line, "caseview %s [OPTIONS]: %s", command->name, command->help);
        config_help(stdout, tables, command->scope, line);
        exit_code = CV_EXIT_OK;
    } else if (!check_words(command, config)) {
        exit_code = CV_EXIT_USAGE;
    } else {
        log_init_options("caseview", config_text(config, "log-level"), config_text(config, "log-format"));
        stop_init();
        fetch_global_init();
        exit_code = command->run(config);
    }
    config_free(config);
    return exit_code;
}

int main(int argc, char **argv)
{
    memory_tune();
    const char *word = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(word, commands[i].name) == 0)
            return run_command(&commands[i], argc - 2, argv + 2);
    if (strcmp(word, "--version") == 0) {
        printf("caseview %s\n", CASEVIEW_VERSION);
        return CV_EXIT_OK;
    }
    if (strcmp(word, "--markdown") == 0) {
        config_markdown(stdout, tables);
        return CV_EXIT_OK;
    }
    bool wants_help = strcmp(word, "--help") == 0 || strcmp(word, "help") == 0;
    if (!wants_help && word[0] != '\0')
        fprintf(stderr, "caseview: no such command: \"%s\"\n\n", word);
    usage(wants_help ? stdout : stderr);
    return wants_help ? CV_EXIT_OK : CV_EXIT_USAGE;
}
