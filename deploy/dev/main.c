/* caseview-dev: a broker, producers and tokens for trying and testing Caseview. Not part of the production package. */
#include <stdio.h>

#include "caseview/config.h"
#include "caseview/fetch.h"
#include "caseview/log.h"
#include "caseview/output.h"
#include "caseview/process.h"
#include "caseview/stop.h"
#include "deploy/dev/broker.h"
#include "deploy/dev/options.h"
#include "deploy/dev/produce.h"
#include "deploy/dev/simulate.h"
#include "deploy/dev/token.h"

#ifndef CASEVIEW_VERSION
#define CASEVIEW_VERSION "0.1.0"
#endif

static const struct command {
    const char *name;
    unsigned scope;
    int (*run)(struct config *config);
    const char *usage;
} commands[] = {
    {"broker", SCOPE_DEV_BROKER, broker_main,
     "caseview-dev broker [OPTION…]: an in-memory Kafka broker; prints its bootstrap.servers"},
    {"produce", SCOPE_DEV_PRODUCE, produce_main,
     "caseview-dev produce [OPTION…] FILE: produces events from JSON lines (- is standard input)"},
    {"simulate", SCOPE_DEV_SIMULATE, simulate_main,
     "caseview-dev simulate [OPTION…]: simulates organizations at work; produces their events, or writes JSON lines"},
    {"token", SCOPE_DEV_TOKEN, token_main,
     "caseview-dev token [OPTION…]: creates keys and their public set; prints a signed token"},
};

static int usage(FILE *out, int code)
{
    fputs("usage: caseview-dev COMMAND [OPTION…]\n\n", out);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(out, "  %s\n", commands[i].usage);
    fputs("\ncaseview-dev COMMAND --help lists the options of a command. caseview-dev --version prints the version.\n",
          out);
    return code;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    const struct option_def *const tables[] = {caseview_options, dev_options, NULL};
    struct config *config;
    struct err err = ERR_INIT;
    if (config_load(tables, command->scope, argc, argv, environ, &config, &err) != CV_OK) {
        fprintf(stderr, "caseview-dev %s: %s\n", command->name, err.text);
        return CV_EXIT_USAGE;
    }
    int code = CV_EXIT_OK;
    if (config_wants_help(config)) {
        config_help(stdout, tables, command->scope, command->usage);
    } else {
        log_init_options("caseview-dev", config_text(config, "log-level"), config_text(config, "log-format"));
        stop_init(STOP_HANGUP_STOPS);
        fetch_global_init();
        bool fetches = (command->scope & (SCOPE_DEV_PRODUCE | SCOPE_DEV_SIMULATE)) != 0;
        if (fetch_use_ca_file(fetches ? config_text(config, "ca-file") : NULL, &err) != CV_OK) {
            log_error("ca-file: %s", err.text);
            code = CV_EXIT_USAGE;
        } else {
            code = command->run(config);
        }
    }
    config_free(config);
    return code;
}

static int run(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--version") == 0) {
        puts("caseview-dev " CASEVIEW_VERSION);
        return CV_EXIT_OK;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        return usage(stdout, CV_EXIT_OK);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(word, commands[i].name) == 0)
            return run_command(&commands[i], argc - 2, argv + 2);
    return usage(stderr, CV_EXIT_USAGE);
}

int main(int argc, char **argv)
{
    process_start();
    return output_finish("caseview-dev", run(argc, argv));
}
