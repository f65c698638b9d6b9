/* Manual pages from the option table. What groff would read as its own is escaped in one place: put_text(). */
#include "caseview/manual.h"

#include "config_internal.h"

/* ---- roff ---- */

/* One character beyond ASCII. The dash and the dots have names, which look right on every terminal. */
static size_t put_character(FILE *out, const char *p, size_t left)
{
    unsigned char first = (unsigned char)*p;
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    assert(first >= 0xc0 && len <= left); /* the texts are ours, and UTF-8 */
    unsigned code = first & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++)
        code = code << 6 | ((unsigned char)p[i] & 0x3f);
    if (code == 0x2013)
        fputs("\\(en", out);
    else if (code == 0x2026)
        fputs("...", out);
    else
        fprintf(out, "\\[u%04X]", code);
    return len;
}

/* Prints a text that begins a line of the page or, after_start, continues one. `word` becomes bold. */
static void put_text(FILE *out, struct str text, bool after_start)
{
    bool bold = false;
    if (!after_start && text.len > 0 && (text.ptr[0] == '.' || text.ptr[0] == '\''))
        fputs("\\&", out);
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if ((unsigned char)c >= 0x80) {
            i += put_character(out, text.ptr + i, text.len - i) - 1;
        } else if (c == '`') {
            bold = !bold;
            fputs(bold ? "\\fB" : "\\fR", out);
        } else if (c == '\\') {
            fputs("\\e", out);
        } else if (c == '-') {
            fputs("\\-", out);
        } else if (c == '\'') {
            fputs("\\(aq", out);
        } else if (c == '"') {
            fputs("\\(dq", out);
        } else if (c == '~' || c == '^') {
            fputs(c == '~' ? "\\(ti" : "\\(ha", out);
        } else {
            fputc(c, out);
        }
    }
}

static void put_line(FILE *out, const char *text)
{
    put_text(out, str_of(text), false);
    fputc('\n', out);
}

/* Prints a text in the form that manual.h describes. */
static void put_paragraphs(FILE *out, const char *text)
{
    bool example = false, open = false, item = false; /* open: the last line belongs to a paragraph */
    for (const char *p = text; *p != '\0';) {
        struct str line = {p, strcspn(p, "\n")};
        p += line.len + (p[line.len] == '\n');
        const char *tab = memchr(line.ptr, '\t', line.len);
        bool is_example = line.len > 0 && line.ptr[0] == ' ';
        if (example && !is_example)
            fputs(".EE\n.RE\n", out);
        if (!example && is_example)
            fprintf(out, "%s.RS 4\n.EX\n", open || item ? "" : ".PP\n");
        example = is_example;
        if (is_example) {
            while (line.len > 0 && line.ptr[0] == ' ')
                line = (struct str){line.ptr + 1, line.len - 1};
        } else if (tab != NULL) {
            fputs(".TP\n", out);
            put_text(out, (struct str){line.ptr, (size_t)(tab - line.ptr)}, false);
            fputc('\n', out);
            line = (struct str){tab + 1, line.len - (size_t)(tab + 1 - line.ptr)};
            item = true;
        } else if (line.len > 0 && !open) {
            fputs(".PP\n", out);
            item = false;
        }
        open = line.len > 0 && !is_example;
        put_text(out, line, false);
        if (line.len > 0)
            fputc('\n', out);
    }
    if (example)
        fputs(".EE\n.RE\n", out);
}

static void put_section(FILE *out, const char *heading, const char *text)
{
    if (text == NULL)
        return;
    fprintf(out, ".SH %s\n", heading);
    put_paragraphs(out, text);
}

/* ---- options ---- */

/* The value of an option, as the name of a thing: HOST:PORT, or 1-86400. */
static void put_value(FILE *out, const struct option_def *option)
{
    struct buf range CV_CLEANUP(buf_done);
    buf_init(&range, 4096);
    option_range(option, &range);
    for (size_t i = 0; option->type == OPTION_CHOICE && i < range.len; i++)
        if (range.data[i] == ' ')
            range.data[i] = '|';
    fputs(" \\fI", out);
    put_text(out, range.len > 0 ? (struct str){range.data, range.len} : option->file ? STR("FILE") : STR("TEXT"), true);
    fprintf(out, "%s\\fR", option->list ? ",..." : "");
}

/* The commands that read an option; nothing when the page is about one command. */
static void put_readers(FILE *out, const struct manual *manual, const struct option_def *option)
{
    if (manual->commands == NULL || (option->scope & manual->scope) == manual->scope)
        return;
    const char *before = "Read by ";
    for (const struct manual_command *command = manual->commands; command->name != NULL; command++) {
        if (!(option->scope & command->scope))
            continue;
        fprintf(out, "%s\\fB%s\\fR", before, command->name);
        before = ", ";
    }
    fputs(".\n", out);
}

static void put_option(FILE *out, const struct option_def *option)
{
    fputs(".TP\n\\fB\\-\\-", out);
    put_text(out, str_of(option->name), true);
    fputs("\\fR", out);
    if (option->type != OPTION_FLAG)
        put_value(out, option);
    fputc('\n', out);
    put_text(out, str_of(option->help), false);
    fputs(".\n", out);
    if (option->required)
        fputs("Required.\n", out);
    if (option->fallback == NULL || option->fallback[0] == '\0')
        return;
    fputs("Default: ", out);
    put_text(out, str_of(option->fallback), true);
    fputs(".\n", out);
}

static void put_options(FILE *out, const struct manual *manual, const struct manual_command *command)
{
    fputs(
        ".SH OPTIONS\n"
        "Each option may be given as \\fB\\-\\-some\\-name\\fR \\fIVALUE\\fR or "
        "\\fB\\-\\-some\\-name=\\fR\\fIVALUE\\fR, as \\fBCASEVIEW_SOME_NAME\\fR in the environment, or as a line\n"
        "\\fBsome\\-name =\\fR \\fIVALUE\\fR of the file that \\fB\\-\\-config\\fR names. The first of these counts.\n",
        out);
    unsigned scope = command != NULL ? command->scope : manual->scope;
    for (const struct option_def *const *table = manual->tables; *table != NULL; table++) {
        for (const struct option_def *option = *table; option->name != NULL; option++) {
            if (!(option->scope & scope))
                continue;
            put_option(out, option);
            if (command == NULL)
                put_readers(out, manual, option);
        }
    }
    fputs(".TP\n\\fB\\-\\-config\\fR \\fIFILE\\fR\n"
          "File with more options, one per line; \\fB#\\fR starts a comment at the start of a line or after a blank.\n"
          "Flags are \\fBon\\fR or \\fBoff\\fR there. Options of other commands are checked and ignored, so one file "
          "may\n"
          "serve all programs.\n"
          ".TP\n\\fB\\-\\-help\\fR\nPrints the options.\n",
          out);
    if (command == NULL)
        fprintf(out,
                ".TP\n\\fB\\-\\-version\\fR\nPrints the version.\n"
                ".TP\n\\fB\\-\\-man\\fR%s\nPrints this page%s.\n"
                ".TP\n\\fB\\-\\-completion\\fR\nPrints the completion for bash.\n",
                manual->commands != NULL ? " [\\fICOMMAND\\fR]" : "",
                manual->commands != NULL ? ", or a command's" : "");
}

/* ---- the page ---- */

static void put_head(FILE *out, const char *program, const char *command, const char *help)
{
    fputs(".\\\" Generated from the option table (lib/options.c).\n.TH \"", out);
    for (const char *p = program; *p != '\0'; p++)
        fputc(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p, out);
    for (const char *p = command; *p != '\0'; p++)
        fprintf(out, "%s%c", p == command ? "\\-" : "", *p - 'a' + 'A');
    fprintf(out, "\" 1 \"\" \"caseview %s\" \"Caseview\"\n.nh\n.ad l\n.ss 12 0\n.SH NAME\n", CASEVIEW_VERSION);
    put_text(out, str_of(program), false);
    fprintf(out, "%s%s \\- ", *command != '\0' ? "\\-" : "", command);
    put_text(out, str_of(help), true);
    fputc('\n', out);
}

static void put_synopsis(FILE *out, const struct manual *manual, const struct manual_command *command)
{
    fputs(".SH SYNOPSIS\n\\fB", out);
    put_text(out, str_of(manual->program), true);
    if (command == NULL) {
        fprintf(out, "\\fR%s [\\fIOPTIONS\\fR]\n", manual->commands != NULL ? " \\fICOMMAND\\fR" : "");
        return;
    }
    fprintf(out, " %s\\fR", command->name);
    for (const char *p = command->words; p != NULL && *p != '\0';) {
        size_t len = strcspn(p, " ");
        fprintf(out, "%s\\fB%.*s\\fR", p == command->words ? " {" : "|", (int)len, p);
        p += len + strspn(p + len, " ");
    }
    fprintf(out, "%s [\\fIOPTIONS\\fR]\n", command->words != NULL ? "}" : "");
}

static void put_commands(FILE *out, const struct manual *manual)
{
    if (manual->commands == NULL)
        return;
    fputs(".SH COMMANDS\nEach has a page of its own, such as \\fBcaseview\\-worker\\fR(1).\n", out);
    for (const struct manual_command *command = manual->commands; command->name != NULL; command++) {
        fprintf(out, ".TP\n\\fB%s\\fR", command->name);
        for (const char *p = command->words; p != NULL && *p != '\0';) {
            size_t len = strcspn(p, " ");
            fprintf(out, "%s%.*s", p == command->words ? " " : "|", (int)len, p);
            p += len + strspn(p + len, " ");
        }
        fputc('\n', out);
        put_text(out, str_of(command->help), false);
        fputs(".\n", out);
    }
}

void manual_page(FILE *out, const struct manual *manual, const struct manual_command *command)
{
    put_head(out, manual->program, command != NULL ? command->name : "",
             command != NULL ? command->help : manual->help);
    put_synopsis(out, manual, command);
    put_section(out, "DESCRIPTION", command != NULL ? command->text : manual->text);
    if (command == NULL)
        put_commands(out, manual);
    put_options(out, manual, command);
    put_section(out, "EXIT STATUS", manual->exit_codes);
    put_section(out, "ENVIRONMENT", manual->environment);
    put_section(out, "FILES", manual->files);
    put_section(out, "EXAMPLES", command != NULL ? command->examples : manual->examples);
    fputs(".SH SEE ALSO\n", out);
    if (command != NULL)
        fprintf(out, "\\fB%s\\fR(1),\n", manual->program);
    put_line(out, manual->see_also);
}

bool manual_asked(const struct manual *manual, const char *word, const char *argument, int *out_exit)
{
    *out_exit = CV_EXIT_OK;
    if (strcmp(word, "--completion") == 0) {
        manual_completion(stdout, manual);
        return true;
    }
    if (strcmp(word, "--man") != 0)
        return false;
    const struct manual_command *command = argument != NULL ? manual->commands : NULL;
    while (command != NULL && command->name != NULL && strcmp(command->name, argument) != 0)
        command++;
    if (argument != NULL && (command == NULL || command->name == NULL)) {
        fprintf(stderr, "%s: no such command: %s\n", manual->program, config_shown(argument));
        *out_exit = CV_EXIT_USAGE;
    } else {
        manual_page(stdout, manual, command);
    }
    return true;
}
