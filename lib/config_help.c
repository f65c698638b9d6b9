/* What people read about the options, from the same table as the parser. */
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
    {SCOPE_API, "caseview-api"},
    {SCOPE_DEV_BROKER, "caseview-dev broker"},
    {SCOPE_DEV_PRODUCE, "caseview-dev produce"},
    {SCOPE_DEV_SIMULATE, "caseview-dev simulate"},
    {SCOPE_DEV_TOKEN, "caseview-dev token"},
};

/* Breaks text between words at the page's width. */
static void put_wrapped(FILE *out, const char *text)
{
    size_t column = 0;
    for (const char *p = text; *p;) {
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
        fprintf(out, " %s%s", text.len ? text.data : "TEXT", option->list ? ",…" : "");
    }
    if (option->required)
        fputs(" (required)", out);
    else if (option->fallback && option->fallback[0] && !option->compute)
        fprintf(out, " (default %s)", option->fallback);
    fputc('\n', out);
    buf_reset(&text);
    buf_puts(&text, option->help);
    if (option->compute)
        buf_printf(&text, "; by default %s", option->fallback);
    put_wrapped(out, text.data);
}

void config_help(FILE *out, const struct option_def *const *tables, unsigned scope, const char *usage)
{
    fprintf(out, "%s\n\nOptions:\n", usage);
    for (; *tables; tables++)
        for (const struct option_def *option = *tables; option->name; option++)
            if (option->scope & scope)
                put_option(out, option);
    fprintf(out, "  --config FILE\n");
    put_wrapped(out, "More options, as lines `some-name = VALUE`; # starts a comment");
    fprintf(out, "  --help\n");
    put_wrapped(out, "Prints this");
    fprintf(out,
            "\nEach option may also be given as CASEVIEW_SOME_NAME in the environment; the command line comes first, "
            "then the\nenvironment, then the file.\n");
}

/* Who reads an option; all commands of a program are named by the program. */
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

/* A cell's text: the bar would end the cell. */
static void put_cell(FILE *out, const char *text)
{
    for (const char *p = text; *p; p++) {
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
    else if (option->fallback && option->fallback[0])
        fprintf(out, option->compute ? "%s" : "`%s`", option->fallback);
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
        "(`CASEVIEW_CONFIG`) names; there `#` starts a comment at the start of a line or behind a blank. An unknown\n"
        "name or a value out of range stops the start with one line that names the option, where it came from and\n"
        "what is allowed. Lists are comma-separated. In the environment and the file an option of another program is\n"
        "known and ignored, so that one file may serve all; every given value is checked, used or not. Flags are `on`\n"
        "or `off` there.\n\n"
        "| option | programs | values | default | meaning |\n"
        "|---|---|---|---|---|\n",
        out);
    for (; *tables; tables++)
        for (const struct option_def *option = *tables; option->name; option++)
            put_row(out, option);
}
