/* Completion for bash from the option table. The script needs bash alone: nothing of the package bash-completion. */
#include "caseview/manual.h"

/* What is asked for after an option. */
static const char *kind_of(const struct option_def *option)
{
    switch (option->type) {
    case OPTION_FLAG:
        return "flag";
    case OPTION_CHOICE:
        return "words";
    case OPTION_FOLDER:
        return "folder";
    case OPTION_URL_OR_FILE:
        return "files";
    case OPTION_TEXT:
        return option->file ? "files" : "text";
    case OPTION_INT:
    case OPTION_LISTEN:
    case OPTION_PAIR:
    case OPTION_URL:
        return "text";
    }
    return "text";
}

static void put_options(FILE *out, const struct manual *manual, unsigned scope)
{
    fputs("        options='", out);
    for (const struct option_def *const *table = manual->tables; *table != NULL; table++)
        for (const struct option_def *option = *table; option->name != NULL; option++)
            if (option->scope & scope)
                fprintf(out, "--%s ", option->name);
    fprintf(out, "--config --help%s'\n        case $2 in\n", manual->commands == NULL ? " --version" : "");
    for (const struct option_def *const *table = manual->tables; *table != NULL; table++) {
        for (const struct option_def *option = *table; option->name != NULL; option++) {
            if (!(option->scope & scope) || strcmp(kind_of(option), "text") == 0)
                continue;
            fprintf(out, "        --%s) kind=%s", option->name, kind_of(option));
            if (option->type == OPTION_CHOICE)
                fprintf(out, " values='%s'", option->choices);
            fputs(" ;;\n", out);
        }
    }
    fputs("        --config) kind=files ;;\n        esac\n", out);
}

/* The tables: what may follow a command, and what may follow an option of it. */
static void put_tables(FILE *out, const struct manual *manual, const char *function)
{
    fprintf(out,
            "# %s_table COMMAND OPTION: sets words, options, kind and values of the caller.\n"
            "%s_table() {\n"
            "    words='' options='' kind=text values=''\n"
            "    case $1 in\n",
            function, function);
    for (const struct manual_command *command = manual->commands; command != NULL && command->name != NULL; command++) {
        fprintf(out, "    %s)\n", command->name);
        if (command->words != NULL)
            fprintf(out, "        words='%s'\n", command->words);
        put_options(out, manual, command->scope);
        fputs("        ;;\n", out);
    }
    if (manual->commands == NULL) {
        fputs("    *)\n", out);
        put_options(out, manual, manual->scope);
        fputs("        ;;\n", out);
    }
    fputs("    esac\n}\n\n", out);
}

/*
 * The function that bash calls. readline divides `--name=value` into three words; so the option is the word before `=`.
 * Each option is offered once, as it may be given once; --kafka repeatedly.
 */
#define BODY                                                                                        \
    "    local words options kind values word i given=' ' first=%d\n"                               \
    "    local command=%s current=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD - 1]}\n" \
    "    COMPREPLY=()\n"                                                                            \
    "    if ((COMP_CWORD < first)); then\n"                                                         \
    "        mapfile -t COMPREPLY < <(compgen -W '%s' -- \"$current\")\n"                           \
    "        return\n"                                                                              \
    "    fi\n"                                                                                      \
    "    if [[ $current == '=' ]]; then\n"                                                          \
    "        current=''\n"                                                                          \
    "    elif [[ $option == '=' ]]; then\n"                                                         \
    "        option=${COMP_WORDS[COMP_CWORD - 2]}\n"                                                \
    "    fi\n"                                                                                      \
    "    for ((i = first; i < COMP_CWORD; i++)); do\n"                                              \
    "        given+=\"${COMP_WORDS[i]} \"\n"                                                        \
    "    done\n"                                                                                    \
    "    %s_table \"$command\" \"$option\"\n"                                                       \
    "    [[ \" $options \" == *\" $option \"* ]] || kind=none\n"                                    \
    "    case $kind in\n"                                                                           \
    "    words) mapfile -t COMPREPLY < <(compgen -W \"$values\" -- \"$current\") ;;\n"              \
    "    folder) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$current\") ;;\n"   \
    "    files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$current\") ;;\n"    \
    "    text) ;;\n"                                                                                \
    "    *)\n"                                                                                      \
    "        for word in $words; do\n"                                                              \
    "            [[ $given != *\" $word \"* ]] || words=''\n"                                       \
    "        done\n"                                                                                \
    "        for word in $options; do\n"                                                            \
    "            [[ $given == *\" $word \"* && $word != --kafka ]] || words+=\" $word\"\n"          \
    "        done\n"                                                                                \
    "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"                     \
    "        ;;\n"                                                                                  \
    "    esac\n"

void manual_completion(FILE *out, const struct manual *manual)
{
    char function[64], first_words[512];
    size_t used = 0;
    snprintf(function, sizeof function, "_%s", manual->program);
    for (char *p = function; *p != '\0'; p++)
        *p = *p == '-' ? '_' : *p;
    for (const struct manual_command *command = manual->commands; command != NULL && command->name != NULL; command++)
        used += (size_t)snprintf(first_words + used, sizeof first_words - used, "%s ", command->name);
    assert(used < sizeof first_words);
    snprintf(first_words + used, sizeof first_words - used, "--help --version");
    fprintf(out, "# bash completion of %s, printed by `%s --completion`.\n\n", manual->program, manual->program);
    put_tables(out, manual, function);
    fprintf(out, "%s() {\n", function);
    fprintf(out, BODY, manual->commands != NULL ? 2 : 1, manual->commands != NULL ? "${COMP_WORDS[1]-}" : "''",
            first_words, function);
    fprintf(out, "}\n\ncomplete -F %s %s\n", function, manual->program);
}
