/* Prints --help and docs/configuration.md from the parser's table. */
#include "config_internal.h"

#define WIDTH  100 /* columns of --help */
#define INDENT 8

static const struct {
    unsigned scope;
    const char *program;
} programs[] = {
    {SCOPE_WORKER, "caseview worker"},
    {SCOPE_MIGRATE, "caseview migrate"},
    {SCOPE_STATUS, "caseview status"},
    {SCOPE_PAUSE, "caseview pause"},
    {SCOPE_RESUME, "caseview resume"},
    {SCOPE_PARKED, "caseview parked"},
    {SCOPE_CURSOR, "caseview cursor"},
    {SCOPE_EXPLAIN, "caseview explain"},
    {SCOPE_VERIFY, "caseview verify"},
    {SCOPE_REPAIR, "caseview repair"},
    {SCOPE_REBUILD, "caseview rebuild"},
    {SCOPE_API, "caseview-api"},
    {SCOPE_DEV_BROKER, "caseview-dev broker"},
    {SCOPE_DEV_PRODUCE, "caseview-dev produce"},
    {SCOPE_DEV_SIMULATE, "caseview-dev simulate"},
    {SCOPE_DEV_TOKEN, "caseview-dev token"},
};

/* Prints text, broken between words at WIDTH. */
static void put_wrapped(FILE *out, const char *text)
{
    size_t column = 0;
    for (const char *p = text; *p != '\0';) {
        size_t len = strcspn(p, " ");
        if (column == 0 || column + 1 + len > WIDTH) {
            fprintf(out, "%s%*s", column ? "\n" : "", INDENT, "");
            column = INDENT;
        } else {
            fputc(' ', out);
            column++;
        }
        fwrite(p, 1, len, out);
        column += len;
        p += len;
        p += strspn(p, " ");
    }
    fputc('\n', out);
}

static void put_option(FILE *out, const struct option_def *option)
{
    struct buf text CV_CLEANUP(buf_done);
    buf_init(&text, 4096);
    fprintf(out, "  --%s", option->name);
    if (option->type != OPTION_FLAG) {
        option_range(option, &text);
        for (size_t i = 0; option->type == OPTION_CHOICE && i < text.len; i++)
            if (text.data[i] == ' ')
                text.data[i] = '|';
        fprintf(out, " %s%s", text.len ? text.data : option->file ? "FILE" : "TEXT", option->list ? ",…" : "");
    }
    if (option->required)
        fputs(" (required)", out);
    else if (option->fallback != NULL && option->fallback[0] != '\0' && option->compute == NULL)
        fprintf(out, " (default %s)", option->fallback);
    fputc('\n', out);
    buf_reset(&text);
    buf_puts(&text, option->help);
    if (option->compute != NULL)
        buf_printf(&text, "; by default %s", option->fallback);
    put_wrapped(out, text.data);
}

void config_help(FILE *out, const struct option_def *const *tables, unsigned scope, const char *usage)
{
    fprintf(out, "%s\n\nOptions:\n", usage);
    for (; *tables != NULL; tables++)
        for (const struct option_def *option = *tables; option->name != NULL; option++)
            if (option->scope & scope)
                put_option(out, option);
    fprintf(out, "  --config FILE\n");
    put_wrapped(out, "File with more options, as lines `some-name = VALUE`; # starts a comment");
    fprintf(out, "  --help\n");
    put_wrapped(out, "Prints this text");
    fprintf(out,
            "\nEach option may also be given as CASEVIEW_SOME_NAME in the environment; the command line comes first, "
            "then the\nenvironment, then the file.\n");
}

/* Prints the programs that read an option; a program name means all of its commands. */
static void put_programs(FILE *out, unsigned scope)
{
    if ((scope & SCOPE_ALL) == SCOPE_ALL) {
        fputs("all", out);
        return;
    }
    const char *separator = "";
    if ((scope & SCOPE_CASEVIEW) == SCOPE_CASEVIEW) {
        fputs("caseview", out);
        separator = ", ";
        scope &= ~(unsigned)SCOPE_CASEVIEW;
    }
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        if (!(scope & programs[i].scope))
            continue;
        fprintf(out, "%s%s", separator, programs[i].program);
        separator = ", ";
    }
}

/* Prints the text of a cell; a bar would end the cell. */
static void put_cell(FILE *out, const char *text)
{
    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '|')
            fputc('\\', out);
        fputc(*p, out);
    }
}

static void put_row(FILE *out, const struct option_def *option)
{
    struct buf range CV_CLEANUP(buf_done);
    buf_init(&range, 1024);
    option_range(option, &range);
    fprintf(out, "| `%s` | ", option->name);
    put_programs(out, option->scope);
    fputs(" | ", out);
    put_cell(out, range.len ? range.data : "text");
    fputs(option->list ? ", list | " : " | ", out);
    if (option->required)
        fputs("required", out);
    else if (option->fallback != NULL && option->fallback[0] != '\0')
        fprintf(out, option->compute != NULL ? "%s" : "`%s`", option->fallback);
    else
        fputs("–", out);
    fputs(" | ", out);
    put_cell(out, option->help);
    fputs(". |\n", out);
}

void config_markdown(FILE *out, const struct option_def *const *tables)
{
    fputs(
        "# Configuration\n\n"
        "<!-- Generated from the option table in lib/options.c; `caseview --markdown` prints it. -->\n\n"
        "Each option can be given, first match wins, as `--some-name VALUE` on the command line, as the environment\n"
        "variable `CASEVIEW_SOME_NAME`, or as a line `some-name = VALUE` of the file that `--config`\n"
        "(`CASEVIEW_CONFIG`) names; there `#` starts a comment at the start of a line or after a blank. An unknown\n"
        "name or a value out of range stops the start with one line that names the option, its source and what is\n"
        "allowed. Lists are comma-separated. In the environment and the file an option of another program is ignored,\n"
        "so one file may serve all programs; every value is checked, used or not. Flags are `on` or `off` there.\n\n"
        "Variables that Kubernetes sets for a Service whose name begins with `caseview` (`CASEVIEW_…_SERVICE_HOST`,\n"
        "`CASEVIEW_…_PORT` and so on) are ignored. No error shows a value that may contain a secret; a URL or a\n"
        "connection string that can be read in two ways is refused: write `@` in a password as `%40`, `/` as `%2F`.\n\n"
        "| option | programs | values | default | meaning |\n"
        "|---|---|---|---|---|\n",
        out);
    for (; *tables != NULL; tables++)
        for (const struct option_def *option = *tables; option->name != NULL; option++)
            put_row(out, option);
}
