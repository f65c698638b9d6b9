/*
 * caseview: the projection worker and the operators' commands.
 */
#include <stdio.h>

#include "caseview/config.h"
#include "caseview/fetch.h"
#include "caseview/log.h"
#include "caseview/manual.h"
#include "caseview/output.h"
#include "caseview/process.h"
#include "caseview/stop.h"
#include "workers/manual_texts.h"
#include "workers/ops/commands.h"
#include "workers/worker.h"

extern char **environ;

static const struct command {
    struct manual_command about;
    int (*run)(const struct config *config);
    bool checks_more; /* checks itself what follows the word */
} commands[] = {
    {{"worker", SCOPE_WORKER, NULL, "fold events from Kafka into the view until SIGTERM", manual_worker,
      manual_worker_examples},
     worker_main,
     false},
    {{"migrate", SCOPE_MIGRATE, NULL, "create or upgrade the database schema; running it again changes nothing",
      manual_migrate, manual_migrate_examples},
     migrate_main,
     false},
    {{"status", SCOPE_STATUS, NULL,
      "show cursor, lag and state of each partition, and what is parked, incomplete or degraded", manual_status,
      manual_status_examples},
     status_main,
     false},
    {{"pause", SCOPE_PAUSE, NULL, "stop processing partitions; everything before their cursor is committed",
      manual_pause, manual_pause_examples},
     pause_main,
     false},
    {{"resume", SCOPE_RESUME, NULL, "continue paused partitions, and halted ones once their cause is fixed",
      manual_resume, manual_resume_examples},
     resume_main,
     false},
    {{"parked", SCOPE_PARKED, "list show export retry skip",
      "list, show or export parked events, retry them, or skip them for good", manual_parked, manual_parked_examples},
     parked_main,
     false},
    {{"cursor", SCOPE_CURSOR, "show set", "show the next offset of each partition, or set one", manual_cursor,
      manual_cursor_examples},
     cursor_main,
     false},
    {{"explain", SCOPE_EXPLAIN, NULL,
      "show every event of a case or an agent, its effect, and why the case is listed or not", manual_explain,
      manual_explain_examples},
     explain_main,
     false},
    {{"verify", SCOPE_VERIFY, NULL,
      "fold the log in memory and compare the result with the stored rows; exit 1 if they differ", manual_verify,
      manual_verify_examples},
     verify_main,
     false},
    {{"repair", SCOPE_REPAIR, NULL, "fold a case or an agent from the log and replace its stored rows", manual_repair,
      manual_repair_examples},
     repair_main,
     false},
    {{"rebuild", SCOPE_REBUILD, "start status prepare compare switch abort drop",
      "fill a new generation of the view from the log, compare it with the live one, and switch readers to it",
      manual_rebuild, manual_rebuild_examples},
     rebuild_main,
     true},
};

static const struct option_def *const tables[] = {caseview_options, NULL};

/* `--man [COMMAND]`, `--completion`. */
static bool print_manual(const char *word, const char *argument, int *out_exit)
{
    struct manual_command list[ARRAY_LEN(commands) + 1] = {0};
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        list[i] = commands[i].about;
    const struct manual manual = {
        .program = "caseview",
        .help = "keep a view of active cases in PostgreSQL, folded from Kafka events",
        .scope = SCOPE_CASEVIEW,
        .tables = tables,
        .commands = list,
        .text = manual_caseview,
        .exit_codes = manual_exit_codes,
        .environment = manual_environment,
        .files = manual_files,
        .examples = manual_caseview_examples,
        .see_also = manual_see_also,
    };
    return manual_asked(&manual, word, argument, out_exit);
}

static void usage(FILE *out)
{
    fprintf(out, "usage: caseview COMMAND [OPTIONS]\n\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        const struct manual_command *about = &commands[i].about;
        fprintf(out, "  %-8s  %s%s%s%s\n", about->name, about->words ? "(" : "", about->words ? about->words : "",
                about->words ? ") " : "", about->help);
    }
    fprintf(out,
            "\n`caseview COMMAND --help` lists the options; every one may also be given as CASEVIEW_SOME_NAME in the\n"
            "environment or as a line `some-name = VALUE` in the file named by --config.\n"
            "`caseview --version`, `caseview --markdown` (the page of all options), `caseview --man [COMMAND]` (the "
            "manual\n"
            "page), `caseview --completion` (for bash).\n");
}

/* A command with words takes exactly one of them, any other none. */
static bool check_words(const struct command *command, const struct config *config)
{
    const char *words = command->about.words, *given = config_operand(config, 0);
    const char *extra = words == NULL ? given : command->checks_more ? NULL : config_operand(config, 1);
    if (extra != NULL) {
        fprintf(stderr, "caseview %s: unexpected word: %s\n", command->about.name, config_shown(extra));
        return false;
    }
    if (words == NULL || (given != NULL && config_is_word(words, given)))
        return true;
    fprintf(stderr, "caseview %s: one of these words must follow: %s\n", command->about.name, words);
    return false;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct err err = ERR_INIT;
    struct config *config;
    if (config_load(tables, command->about.scope, argc, argv, environ, &config, &err) != CV_OK) {
        fprintf(stderr, "caseview %s: %s\n", command->about.name, err.text);
        return CV_EXIT_USAGE;
    }
    int exit_code;
    if (config_wants_help(config)) {
        char line[160];
        snprintf(line, sizeof line, "caseview %s [OPTIONS]: %s", command->about.name, command->about.help);
        config_help(stdout, tables, command->about.scope, line);
        exit_code = CV_EXIT_OK;
    } else if (!check_words(command, config)) {
        exit_code = CV_EXIT_USAGE;
    } else {
        log_init_options("caseview", config_text(config, "log-level"), config_text(config, "log-format"));
        stop_init(command->about.scope == SCOPE_WORKER ? STOP_HANGUP_RELOADS : STOP_HANGUP_STOPS);
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
        if (strcmp(word, commands[i].about.name) == 0)
            return run_command(&commands[i], argc - 2, argv + 2);
    if (strcmp(word, "--version") == 0) {
        printf("caseview %s\n", CASEVIEW_VERSION);
        return CV_EXIT_OK;
    }
    if (strcmp(word, "--markdown") == 0) {
        config_markdown(stdout, tables);
        return CV_EXIT_OK;
    }
    int exit_code;
    if (print_manual(word, argc > 2 ? argv[2] : NULL, &exit_code))
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
