/*
 * caseview: the projection worker and the operators' commands.
 */
#include <stdio.h>
#include <string.h>

#include "caseview/config.h"
#include "caseview/fetch.h"
#include "caseview/log.h"
#include "caseview/output.h"
#include "caseview/process.h"
#include "caseview/stop.h"
#include "workers/ops/cursor_command.h"
#include "workers/ops/explain.h"
#include "workers/ops/migrate.h"
#include "workers/ops/parked.h"
#include "workers/ops/pause.h"
#include "workers/ops/rebuild.h"
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
    const char *words; /* one of these must follow the name; NULL: nothing may */
    bool checks_more;  /* checks itself what follows the word */
    const char *help;
} commands[] = {
    {"worker", SCOPE_WORKER, worker_main, NULL, false, "fold events from Kafka into the view until SIGTERM"},
    {"migrate", SCOPE_MIGRATE, migrate_main, NULL, false,
     "create or upgrade the database schema; running it again changes nothing"},
    {"status", SCOPE_STATUS, status_main, NULL, false,
     "show cursor, lag and state of each partition, and what is parked, incomplete or degraded"},
    {"pause", SCOPE_PAUSE, pause_main, NULL, false,
     "stop processing partitions; everything before their cursor is committed"},
    {"resume", SCOPE_RESUME, resume_main, NULL, false,
     "continue paused partitions, and halted ones once their cause is fixed"},
    {"parked", SCOPE_PARKED, parked_main, "list show export retry skip", false,
     "list, show or export parked events, retry them, or skip them for good"},
    {"cursor", SCOPE_CURSOR, cursor_main, "show set", false, "show the next offset of each partition, or set one"},
    {"explain", SCOPE_EXPLAIN, explain_main, NULL, false,
     "show every event of a case or an agent, its effect, and why the case is listed or not"},
    {"verify", SCOPE_VERIFY, verify_main, NULL, false,
     "fold the log in memory and compare the result with the stored rows; exit 1 if they differ"},
    {"repair", SCOPE_REPAIR, repair_main, NULL, false,
     "fold a case or an agent from the log and replace its stored rows"},
    {"rebuild", SCOPE_REBUILD, rebuild_main, REBUILD_WORDS, true,
     "fill a new generation of the view from the log, compare it with the live one, and switch readers to it"},
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
    const char *extra = command->words == NULL ? given : command->checks_more ? NULL : config_operand(config, 1);
    if (extra != NULL) {
        fprintf(stderr, "caseview %s: unexpected word: %s\n", command->name, config_shown(extra));
        return false;
    }
    if (command->words == NULL || (given != NULL && config_is_word(command->words, given)))
        return true;
    fprintf(stderr, "caseview %s: one of these words must follow: %s\n", command->name, command->words);
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
        stop_init(command->scope == SCOPE_WORKER ? STOP_HANGUP_RELOADS : STOP_HANGUP_STOPS);
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
