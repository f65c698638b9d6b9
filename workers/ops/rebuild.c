#include "workers/ops/commands.h"

#include <stdio.h>

#include "caseview/log.h"
#include "workers/ops/rebuild_command.h"

#define ARENA_MAX (256u << 20)

/* A command that freezes within a transaction loses its locks, for which workers wait. */
#define FROZEN_TIMEOUT "SET idle_in_transaction_session_timeout = '5s'"

static const struct {
    const char *word;
    const char *command; /* in errors and ctl.audit */
    rebuild_fn *run;
    bool takes_number;
    bool changes; /* needs the owner of the schemas */
} words[] = {
    {"start", "rebuild start", rebuild_start, false, true},
    {"status", "rebuild status", rebuild_status, false, false},
    {"prepare", "rebuild prepare", rebuild_prepare, false, true},
    {"compare", "rebuild compare", rebuild_compare, false, false},
    {"switch", "rebuild switch", rebuild_switch, true, true},
    {"abort", "rebuild abort", rebuild_abort, false, true},
    {"drop", "rebuild drop", rebuild_drop, true, true},
};

static bool is_number(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && digits <= 7 && text[digits] == '\0' && text[0] != '0';
}

/* Wrong usage is reported before connecting. */
static bool check_usage(const struct config *config, size_t i)
{
    const char *number = config_operand(config, 1);
    const char *extra = config_operand(config, words[i].takes_number ? 2 : 1);
    if (words[i].takes_number && (number == NULL || !is_number(number)))
        fprintf(stderr, "caseview %s: needs the number of a generation, 1–1000000\n", words[i].command);
    else if (extra != NULL)
        fprintf(stderr, "caseview %s: unexpected word: %s\n", words[i].command, config_shown(extra));
    else if (config_flag(config, "carry-over") && config_flag(config, "from-log-only"))
        fprintf(stderr, "caseview %s: either --carry-over or --from-log-only\n", words[i].command);
    else
        return true;
    return false;
}

static int run(const struct config *config, size_t i)
{
    struct err err = ERR_INIT;
    struct rebuild rebuild = {.arena = arena_new(1u << 16, ARENA_MAX)};
    int exit_code = CV_EXIT_OK;
    enum cv_status status = operation_open(&rebuild.operation, config, words[i].command, &err);
    if (status == CV_OK)
        status = db_script(rebuild.operation.db, FROZEN_TIMEOUT, OPERATION_QUERY_TIMEOUT_MS, &err);
    if (status == CV_OK)
        status = rebuild_read(&rebuild, &err);
    if (status == CV_OK && !words[i].changes) /* the others write theirs with the change */
        status = rebuild_audit(&rebuild, rebuild.operation.gen, NULL, &err);
    if (status == CV_OK)
        status = words[i].run(&rebuild, &exit_code, &err);
    if (status == CV_RETRY && words[i].changes && strcmp(err.sqlstate, "42501") == 0) {
        log_error("%s: %s; connect as the owner of the schemas", words[i].command, err.text);
        exit_code = CV_EXIT_USAGE;
    } else if (status != CV_OK) {
        exit_code = operation_failed(words[i].command, status, &err);
    }
    operation_close(&rebuild.operation);
    arena_free(rebuild.arena);
    return exit_code;
}

int rebuild_main(const struct config *config)
{
    const char *word = config_operand(config, 0);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(word, words[i].word) == 0)
            return check_usage(config, i) ? run(config, i) : CV_EXIT_USAGE;
    return CV_EXIT_USAGE; /* main() has checked the word */
}
