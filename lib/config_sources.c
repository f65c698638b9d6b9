/* Reads options from the command line, the environment and a file. An error never quotes what may be a value. */
#include "config_internal.h"

#include <ctype.h>

#include "caseview/file.h"

#define ENV_PREFIX      "CASEVIEW_"
#define ENV_TEST_PREFIX "CASEVIEW_TEST_"
#define FILE_MAX_BYTES  (4u << 20)
#define OPERANDS_MAX    1000
#define NAME_SHOWN      60 /* bytes of a wrong name in an error */
#define ORIGIN_MAX      8192

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS  "0123456789"

/* ---- names ---- */

static bool is_plain(struct str word)
{
    for (size_t i = 0; i < word.len; i++)
        if (strchr(LETTERS DIGITS "-_.", word.ptr[i]) == NULL || word.ptr[i] == '\0')
            return false;
    return true;
}

const char *config_shown(const char *word)
{
    return is_plain(str_of(word)) ? word : "(not shown)";
}

/* What an error shows of a wrong name: likewise, and not more than NAME_SHOWN bytes. */
static struct str shown_name(struct str name)
{
    if (!is_plain(name))
        return STR("(not shown)");
    return (struct str){name.ptr, name.len < NAME_SHOWN ? name.len : NAME_SHOWN};
}

/* Letter i of the variable name of an option: capitals, dashes as `_`. */
static char variable_letter(const char *option_name, size_t i)
{
    return option_name[i] == '-' ? '_' : (char)toupper((unsigned char)option_name[i]);
}

/* True when `name` is the option's name, or its variable's name after the prefix. */
static bool names_option(struct str name, const char *option_name)
{
    if (strlen(option_name) != name.len)
        return false;
    bool as_option = memcmp(option_name, name.ptr, name.len) == 0, as_variable = true;
    for (size_t i = 0; i < name.len; i++)
        as_variable &= name.ptr[i] == variable_letter(option_name, i);
    return as_option || as_variable;
}

/* The error for a name that no table has. Always CV_FATAL. */
static enum cv_status unknown(const char *origin, struct str name, struct err *err)
{
    for (const struct option_replaced *old = caseview_replaced_options; old->name != NULL; old++) {
        if (!names_option(name, old->name))
            continue;
        err_set(err, "%s: no such option; it was replaced by `%s` (--help lists what is allowed)", origin, old->by);
        return CV_FATAL;
    }
    err_set(err, "%s: no such option (--help lists what is allowed)", origin);
    return CV_FATAL;
}

static enum cv_status put_file(struct config *config, const char *origin, const char *value, struct err *err)
{
    if (config->file != NULL) {
        if (strcmp(origin, config->file_origin) != 0)
            return CV_OK;
        err_set(err, "%s: is given twice", origin);
        return CV_FATAL;
    }
    config->file = cv_strdup(value);
    config->file_origin = origin;
    return CV_OK;
}

/* ---- the command line ---- */

/* Reads one `--name VALUE` or `--name=VALUE` at argv[*i] and moves *i past it. */
static enum cv_status read_argument(struct config *config, int argc, char **argv, int *i, struct err *err)
{
    const char *word = argv[*i] + 2, *equals = strchr(word, '=');
    struct str name = {word, equals != NULL ? (size_t)(equals - word) : strlen(word)};
    struct str shown = shown_name(name);
    char origin[NAME_SHOWN + 3];
    snprintf(origin, sizeof origin, "--%.*s", (int)shown.len, shown.ptr);
    ++*i;

    bool is_file = str_eq(name, STR("config"));
    struct config_slot *slot = config_find(config, name);
    if (!is_file && slot == NULL)
        return unknown(origin, name, err);
    if (!is_file && !slot->in_scope) {
        err_set(err, "%s: belongs to another command (--help lists what is allowed)", origin);
        return CV_FATAL;
    }
    const char *value = equals != NULL ? equals + 1 : NULL;
    if (value == NULL && slot != NULL && slot->option->type == OPTION_FLAG)
        value = "on";
    if (value == NULL) {
        if (*i == argc || (strncmp(argv[*i], "--", 2) == 0 && argv[*i][2] != '\0')) {
            err_set(err, "%s: its value is missing", origin);
            return CV_FATAL;
        }
        value = argv[(*i)++];
    }
    return is_file ? put_file(config, "--config", value, err)
                   : config_put_value(slot, SOURCE_COMMAND_LINE, origin, value, err);
}

static enum cv_status add_operand(struct config *config, const char *word, struct err *err)
{
    if (config->operand_count == OPERANDS_MAX) {
        err_set(err, "more than %d words that are not options", OPERANDS_MAX);
        return CV_FATAL;
    }
    config->operands = cv_realloc(config->operands, (config->operand_count + 1) * sizeof *config->operands);
    config->operands[config->operand_count++] = cv_strdup(word);
    return CV_OK;
}

enum cv_status config_read_arguments(struct config *config, int argc, char **argv, struct err *err)
{
    bool options = true;
    enum cv_status status = CV_OK;
    for (int i = 0; i < argc && status == CV_OK;) {
        const char *word = argv[i];
        if (options && strcmp(word, "--") == 0) {
            options = false;
            i++;
        } else if (options && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            config->wants_help = true;
            return CV_OK;
        } else if (options && strncmp(word, "--", 2) == 0) {
            status = read_argument(config, argc, argv, &i, err);
        } else if (options && word[0] == '-' && word[1] != '\0') {
            struct str shown = shown_name((struct str){word, strcspn(word, "=")});
            err_set(err, "%.*s: no such option (--help lists what is allowed)", (int)shown.len, shown.ptr);
            return CV_FATAL;
        } else {
            status = add_operand(config, word, err);
            i++;
        }
    }
    return status;
}

/* ---- the environment ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);
    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* True for `…_PORT_<n>_TCP`, `_UDP` or `_SCTP`, alone or followed by `_ADDR`, `_PORT` or `_PROTO`. */
static bool is_port_variable(const char *text)
{
    for (const char *p = text; (p = strstr(p, "_PORT_")) != NULL; p++) {
        size_t digits = strspn(p + 6, DIGITS);
        const char *rest = p + 6 + digits;
        size_t protocol = strncmp(rest, "_TCP", 4) == 0 || strncmp(rest, "_UDP", 4) == 0 ? 4
                          : strncmp(rest, "_SCTP", 5) == 0                               ? 5
                                                                                         : 0;
        if (digits == 0 || protocol == 0)
            continue;
        rest += protocol;
        if (*rest == '\0' || strcmp(rest, "_ADDR") == 0 || strcmp(rest, "_PORT") == 0 || strcmp(rest, "_PROTO") == 0)
            return true;
    }
    return false;
}

/*
 * True for the variables that the kubelet gives each container for every Service of its namespace (Kubernetes,
 * "Discovering services"; contract, section 6). A Service whose name begins with "caseview" gets CASEVIEW_….
 */
static bool is_service_variable(const char *origin)
{
    const char *text = origin + strlen(ENV_PREFIX) - 1; /* with its `_`: a Service may be named just "caseview" */
    if (strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_" DIGITS) != strlen(text))
        return false;
    const char *named_port = strstr(text, "_SERVICE_PORT_");
    return ends_with(text, "_SERVICE_HOST") || ends_with(text, "_PORT") || is_port_variable(text) ||
           (named_port != NULL && named_port[strlen("_SERVICE_PORT_")] != '\0');
}

/* CASEVIEW_KAFKA_BOOTSTRAP_SERVERS → bootstrap.servers */
static enum cv_status read_pair_variable(struct config_slot *slot, const char *origin, const char *property,
                                         const char *value, struct err *err)
{
    char name[128];
    size_t len = strlen(property);
    if (len == 0 || len >= sizeof name) {
        err_set(err, "%s: must be followed by a property in capitals, dots as _", origin);
        return CV_FATAL;
    }
    for (size_t i = 0; i < len; i++) {
        if (!isupper((unsigned char)property[i]) && !isdigit((unsigned char)property[i]) && property[i] != '_') {
            err_set(err, "%s: must be a property in capitals, dots as _", origin);
            return CV_FATAL;
        }
        name[i] = property[i] == '_' ? '.' : (char)tolower((unsigned char)property[i]);
    }
    return config_put_pair(slot, SOURCE_ENVIRONMENT, origin, (struct str){name, len}, value, err);
}

/* True when `text` begins with the variable name of an option. */
static bool starts_as_variable(const char *text, const char *option_name, size_t *out_len)
{
    size_t i = 0;
    for (; option_name[i] != '\0'; i++)
        if (text[i] != variable_letter(option_name, i))
            return false;
    *out_len = i;
    return true;
}

static enum cv_status read_variable(struct config *config, const char *origin, const char *value, struct err *err)
{
    const char *name = origin + strlen(ENV_PREFIX);
    if (strcmp(name, "CONFIG") == 0)
        return put_file(config, "CASEVIEW_CONFIG", value, err);
    for (size_t i = 0; i < config->slot_count; i++) {
        struct config_slot *slot = &config->slots[i];
        size_t len;
        if (!starts_as_variable(name, slot->option->name, &len))
            continue;
        if (slot->option->type != OPTION_PAIR && name[len] == '\0')
            return config_put_value(slot, SOURCE_ENVIRONMENT, origin, value, err);
        if (slot->option->type == OPTION_PAIR && (name[len] == '_' || name[len] == '\0'))
            return read_pair_variable(slot, origin, name + len + (name[len] == '_'), value, err);
    }
    return unknown(origin, str_of(name), err);
}

enum cv_status config_read_environment(struct config *config, char **environ_, struct err *err)
{
    for (char **variable = environ_; variable != NULL && *variable != NULL; variable++) {
        const char *equals = strchr(*variable, '=');
        if (strncmp(*variable, ENV_PREFIX, strlen(ENV_PREFIX)) != 0 || equals == NULL ||
            strncmp(*variable, ENV_TEST_PREFIX, strlen(ENV_TEST_PREFIX)) == 0)
            continue;
        char *origin CV_CLEANUP(cv_free_ptr) = cv_strndup(*variable, (size_t)(equals - *variable));
        if (!is_service_variable(origin) && read_variable(config, origin, equals + 1, err) != CV_OK)
            return CV_FATAL;
    }
    return CV_OK;
}

/* ---- the file ---- */

/* Cuts a comment and the blanks at both ends. A `#` inside a word begins no comment: passwords contain it. */
static char *clean_line(char *line)
{
    for (char *p = line; *p != '\0'; p++) {
        if (*p == '#' && (p == line || isspace((unsigned char)p[-1]))) {
            *p = '\0';
            break;
        }
    }
    while (isspace((unsigned char)*line))
        line++;
    for (size_t len = strlen(line); len > 0 && isspace((unsigned char)line[len - 1]); len--)
        line[len - 1] = '\0';
    return line;
}

static enum cv_status read_line(struct config *config, char *line, int number, struct err *err)
{
    line = clean_line(line);
    if (*line == '\0')
        return CV_OK;
    char *equals = strchr(line, '=');
    if (equals == NULL || equals == line) {
        err_set(err, "%s:%d: a line must be `some-name = VALUE`", config->file, number);
        return CV_FATAL;
    }
    struct str name = {line, (size_t)(equals - line)};
    while (name.len > 0 && isspace((unsigned char)line[name.len - 1]))
        name.len--;
    char *value = equals + 1;
    while (isspace((unsigned char)*value))
        value++;

    struct str shown = shown_name(name);
    struct buf origin CV_CLEANUP(buf_done);
    buf_init(&origin, ORIGIN_MAX);
    buf_printf(&origin, "%s:%d: %.*s", config->file, number, (int)shown.len, shown.ptr);
    struct config_slot *slot = config_find(config, name);
    if (slot == NULL)
        return unknown(origin.data, name, err);
    if (slot->line != 0 && slot->option->type != OPTION_PAIR) {
        err_set(err, "%s: is given twice, first in line %d", origin.data, slot->line);
        return CV_FATAL;
    }
    slot->line = number;
    return config_put_value(slot, SOURCE_FILE, origin.data, value, err);
}

enum cv_status config_read_file(struct config *config, struct err *err)
{
    struct buf text CV_CLEANUP(buf_done);
    buf_init(&text, FILE_MAX_BYTES);
    if (file_read(config->file, &text, err) != CV_OK) {
        err_prefix(err, "%s", config->file_origin);
        return CV_FATAL;
    }
    if (text.len == 0)
        return CV_OK;
    struct str rest = file_skip_bom((struct str){text.data, text.len});
    char *line = text.data + (text.len - rest.len), *end = text.data + text.len;
    for (int number = 1; line < end; number++) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        char *line_end = newline != NULL ? newline : end;
        if (memchr(line, '\0', (size_t)(line_end - line)) != NULL) {
            err_set(err, "%s:%d: the line contains a NUL byte: not a text file", config->file, number);
            return CV_FATAL;
        }
        *line_end = '\0';
        if (read_line(config, line, number, err) != CV_OK)
            return CV_FATAL;
        line = line_end + 1;
    }
    return CV_OK;
}
