#include "config_internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <unistd.h>

#define ENV_PREFIX      "CASEVIEW_"
#define ENV_TEST_PREFIX "CASEVIEW_TEST_"
#define LINE_MAX_BYTES  65536
#define PAIRS_MAX       1000
#define OPERANDS_MAX    1000
#define PATH_SHOWN      300 /* bytes of a file's name in an error */

/* First match wins, in this order. */
enum source { SOURCE_COMMAND_LINE, SOURCE_ENVIRONMENT, SOURCE_FILE, SOURCE_DEFAULT };

struct pair {
    char *property;
    char *value;
    enum source source;
};

/* What is known of one name. */
struct slot {
    const struct option_def *option; /* the row of the scope that runs, else the first of that name */
    bool in_scope;
    char *value; /* NULL: not given */
    char *origin;
    enum source source;
    int line;     /* of the file, 0: not in it */
    char **items; /* of a list, NULL-terminated */
    size_t pair_count;
    struct pair *pairs;
    struct config_property *properties; /* the same for callers */
    int64_t computed;                   /* default that is computed at the start */
};

struct config {
    struct slot *slots;
    size_t slot_count;
    char *file; /* --config or CASEVIEW_CONFIG */
    const char *file_origin;
    size_t operand_count;
    char **operands;
    bool wants_help;
};

static struct slot *find(const struct config *config, const char *name, size_t len)
{
    for (size_t i = 0; i < config->slot_count; i++) {
        const char *known = config->slots[i].option->name;
        if (strlen(known) == len && memcmp(known, name, len) == 0)
            return &config->slots[i];
    }
    return NULL;
}

static void add_rows(struct config *config, const struct option_def *table, unsigned scope)
{
    for (const struct option_def *option = table; option->name; option++) {
        bool in_scope = (option->scope & scope) != 0;
        struct slot *slot = find(config, option->name, strlen(option->name));
        if (slot) {
            assert(slot->option->type == option->type && !(slot->in_scope && in_scope));
            if (in_scope)
                slot->option = option;
            slot->in_scope = slot->in_scope || in_scope;
            continue;
        }
        config->slots = cv_realloc(config->slots, (config->slot_count + 1) * sizeof *config->slots);
        config->slots[config->slot_count++] = (struct slot){
            .option = option, .in_scope = in_scope, .source = SOURCE_DEFAULT};
    }
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->slot_count; i++) {
        struct slot *slot = &config->slots[i];
        free(slot->value);
        free(slot->origin);
        for (size_t k = 0; slot->items && slot->items[k]; k++)
            free(slot->items[k]);
        free(slot->items);
        for (size_t k = 0; k < slot->pair_count; k++) {
            free(slot->pairs[k].property);
            free(slot->pairs[k].value);
        }
        free(slot->pairs);
        free(slot->properties);
    }
    free(config->slots);
    free(config->file);
    for (size_t i = 0; i < config->operand_count; i++)
        free(config->operands[i]);
    free(config->operands);
    free(config);
}

static enum cv_status put_pair(struct slot *slot, enum source source, const char *origin, struct str property,
                               const char *value, struct err *err)
{
    for (size_t i = 0; i < slot->pair_count; i++) {
        const struct pair *pair = &slot->pairs[i];
        if (!str_eq(str_of(pair->property), property))
            continue;
        if (pair->source < source)
            return CV_OK;
        err_set(err, "%s: %s is given twice", origin, pair->property);
        return CV_FATAL;
    }
    if (slot->pair_count == PAIRS_MAX) {
        err_set(err, "%s: more than %d properties", origin, PAIRS_MAX);
        return CV_FATAL;
    }
    slot->pairs = cv_realloc(slot->pairs, (slot->pair_count + 1) * sizeof *slot->pairs);
    slot->properties = cv_realloc(slot->properties, (slot->pair_count + 1) * sizeof *slot->properties);
    struct pair pair = {cv_strndup(property.ptr, property.len), cv_strdup(value), source};
    slot->pairs[slot->pair_count] = pair;
    slot->properties[slot->pair_count++] = (struct config_property){pair.property, pair.value};
    return CV_OK;
}

/* Checks a value and keeps it unless a source before this one gave another. */
static enum cv_status put_value(struct slot *slot, enum source source, const char *origin, const char *value,
                                struct err *err)
{
    if (option_check(slot->option, origin, value, err) != CV_OK)
        return CV_FATAL;
    if (slot->option->type == OPTION_PAIR) {
        const char *equals = strchr(value, '=');
        return put_pair(slot, source, origin, (struct str){value, (size_t)(equals - value)}, equals + 1, err);
    }
    if (slot->value && slot->source == source) {
        err_set(err, "%s: is given twice", origin);
        return CV_FATAL;
    }
    if (slot->value)
        return CV_OK;
    slot->value = cv_strdup(value);
    slot->origin = cv_strdup(origin);
    slot->source = source;
    return CV_OK;
}

static enum cv_status put_file(struct config *config, const char *origin, const char *value, struct err *err)
{
    if (config->file) {
        if (strcmp(origin, config->file_origin) != 0)
            return CV_OK;
        err_set(err, "%s: is given twice", origin);
        return CV_FATAL;
    }
    config->file = cv_strdup(value);
    config->file_origin = origin;
    return CV_OK;
}

/* Letter i of the variable name of an option: capitals, dashes as `_`. */
static char variable_letter(const char *option_name, size_t i)
{
    return option_name[i] == '-' ? '_' : (char)toupper((unsigned char)option_name[i]);
}

/* Whether `name` is the option's name or the rest of its variable's name. */
static bool names(struct str name, const char *option_name)
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
    for (const struct option_replaced *old = caseview_replaced_options; old->name; old++) {
        if (!names(name, old->name))
            continue;
        err_set(err, "%s: no such option; it was replaced by `%s` (--help lists what is allowed)", origin, old->by);
        return CV_FATAL;
    }
    err_set(err, "%s: no such option (--help lists what is allowed)", origin);
    return CV_FATAL;
}

/* One `--name VALUE` or `--name=VALUE` at argv[*i]; moves *i behind it. */
static enum cv_status read_argument(struct config *config, int argc, char **argv, int *i, struct err *err)
{
    const char *name = argv[*i] + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    char origin[100];
    snprintf(origin, sizeof origin, "--%.*s", (int)(len < sizeof origin ? len : sizeof origin), name);
    ++*i;

    bool is_file = len == 6 && memcmp(name, "config", 6) == 0;
    struct slot *slot = find(config, name, len);
    if (!is_file && !slot)
        return unknown(origin, (struct str){name, len}, err);
    if (!is_file && !slot->in_scope) {
        err_set(err, "%s: belongs to another command (--help lists what is allowed)", origin);
        return CV_FATAL;
    }
    const char *value = equals ? equals + 1 : NULL;
    if (!value && slot && slot->option->type == OPTION_FLAG)
        value = "on";
    if (!value) {
        if (*i == argc || (strncmp(argv[*i], "--", 2) == 0 && argv[*i][2])) {
            err_set(err, "%s: its value is missing", origin);
            return CV_FATAL;
        }
        value = argv[(*i)++];
    }
    return is_file ? put_file(config, "--config", value, err)
                   : put_value(slot, SOURCE_COMMAND_LINE, origin, value, err);
}

static enum cv_status read_arguments(struct config *config, int argc, char **argv, struct err *err)
{
    bool options = true;
    for (int i = 0; i < argc;) {
        const char *word = argv[i];
        if (options && strcmp(word, "--") == 0) {
            options = false;
            i++;
        } else if (options && (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)) {
            config->wants_help = true;
            return CV_OK;
        } else if (options && strncmp(word, "--", 2) == 0) {
            if (read_argument(config, argc, argv, &i, err) != CV_OK)
                return CV_FATAL;
        } else if ((options && word[0] == '-' && word[1]) || config->operand_count == OPERANDS_MAX) {
            err_set(err, "%s: %s", word,
                    word[0] == '-' ? "no such option (--help lists what is allowed)" : "one word too many");
            return CV_FATAL;
        } else {
            config->operands = cv_realloc(config->operands, (config->operand_count + 1) * sizeof *config->operands);
            config->operands[config->operand_count++] = cv_strdup(word);
            i++;
        }
    }
    return CV_OK;
}

/* Whether `text` begins with the variable name of an option: its letters in capitals, dashes as `_`. */
static bool starts_as_variable(const char *text, const char *option_name, size_t *out_len)
{
    size_t i = 0;
    for (; option_name[i]; i++)
        if (text[i] != variable_letter(option_name, i))
            return false;
    *out_len = i;
    return true;
}

/* CASEVIEW_KAFKA_BOOTSTRAP_SERVERS → bootstrap.servers */
static enum cv_status read_pair_variable(struct slot *slot, const char *origin, const char *property, const char *value,
                                         struct err *err)
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
    return put_pair(slot, SOURCE_ENVIRONMENT, origin, (struct str){name, len}, value, err);
}

static enum cv_status read_variable(struct config *config, const char *origin, const char *value, struct err *err)
{
    const char *name = origin + strlen(ENV_PREFIX);
    if (strcmp(name, "CONFIG") == 0)
        return put_file(config, "CASEVIEW_CONFIG", value, err);
    for (size_t i = 0; i < config->slot_count; i++) {
        struct slot *slot = &config->slots[i];
        size_t len;
        if (!starts_as_variable(name, slot->option->name, &len))
            continue;
        if (slot->option->type == OPTION_PAIR) {
            if (name[len] == '_' || !name[len])
                return read_pair_variable(slot, origin, name + len + (name[len] == '_'), value, err);
        } else if (!name[len]) {
            return put_value(slot, SOURCE_ENVIRONMENT, origin, value, err);
        }
    }
    return unknown(origin, str_of(name), err);
}

static enum cv_status read_environment(struct config *config, char **environ_, struct err *err)
{
    for (char **entry = environ_; entry && *entry; entry++) {
        if (strncmp(*entry, ENV_PREFIX, strlen(ENV_PREFIX)) != 0 ||
            strncmp(*entry, ENV_TEST_PREFIX, strlen(ENV_TEST_PREFIX)) == 0)
            continue;
        const char *equals = strchr(*entry, '=');
        if (!equals)
            continue;
        char *origin CV_CLEANUP(cv_free_ptr) = cv_strndup(*entry, (size_t)(equals - *entry));
        if (read_variable(config, origin, equals + 1, err) != CV_OK)
            return CV_FATAL;
    }
    return CV_OK;
}

/* Cuts a comment and the blanks at both ends. A `#` inside a word is none: passwords have them. */
static char *clean_line(char *line)
{
    for (char *p = line; *p; p++) {
        if (*p == '#' && (p == line || isspace((unsigned char)p[-1]))) {
            *p = '\0';
            break;
        }
    }
    while (isspace((unsigned char)*line))
        line++;
    for (size_t len = strlen(line); len && isspace((unsigned char)line[len - 1]); len--)
        line[len - 1] = '\0';
    return line;
}

static enum cv_status read_line(struct config *config, char *line, int number, struct err *err)
{
    line = clean_line(line);
    if (!*line)
        return CV_OK;
    char *equals = strchr(line, '=');
    if (!equals || equals == line) {
        err_set(err, "%s:%d: a line must be `some-name = VALUE`", config->file, number);
        return CV_FATAL;
    }
    size_t len = (size_t)(equals - line);
    while (len && isspace((unsigned char)line[len - 1]))
        len--;
    line[len] = '\0';
    char *value = equals + 1;
    while (isspace((unsigned char)*value))
        value++;

    struct slot *slot = find(config, line, len);
    if (!slot) {
        char shown[PATH_SHOWN + 100];
        snprintf(shown, sizeof shown, "%.*s:%d: %.60s", PATH_SHOWN, config->file, number, line);
        return unknown(shown, (struct str){line, len}, err);
    }
    struct buf origin CV_CLEANUP(buf_done);
    buf_init(&origin, 8192);
    buf_printf(&origin, "%s:%d: %s", config->file, number, line);
    if (slot->line && slot->option->type != OPTION_PAIR) {
        err_set(err, "%s: is given twice, first in line %d", origin.data, slot->line);
        return CV_FATAL;
    }
    slot->line = number;
    return put_value(slot, SOURCE_FILE, origin.data, value, err);
}

static void close_file(FILE **file)
{
    if (*file)
        fclose(*file);
}

static enum cv_status read_file(struct config *config, struct err *err)
{
    FILE *file CV_CLEANUP(close_file) = fopen(config->file, "re");
    if (!file) {
        err_set(err, "%s: %s cannot be read: %s", config->file_origin, config->file, strerror(errno));
        return CV_FATAL;
    }
    char *line CV_CLEANUP(cv_free_ptr) = NULL;
    size_t size = 0;
    ssize_t len;
    int number = 1;
    for (; errno = 0, (len = getline(&line, &size, file)) >= 0; number++) {
        if (len > LINE_MAX_BYTES || strlen(line) != (size_t)len) {
            err_set(err, "%s:%d: this is no line of text", config->file, number);
            return CV_FATAL;
        }
        if (read_line(config, line, number, err) != CV_OK)
            return CV_FATAL;
    }
    if (ferror(file)) {
        err_set(err, "%s: %s cannot be read: %s", config->file_origin, config->file, strerror(errno));
        return CV_FATAL;
    }
    return CV_OK;
}

static void split_items(struct slot *slot, const char *value)
{
    size_t n = 0;
    while (option_item(value, n).ptr)
        n++;
    slot->items = cv_zalloc((n + 1) * sizeof *slot->items);
    for (size_t i = 0; i < n; i++) {
        struct str item = option_item(value, i);
        slot->items[i] = cv_strndup(item.ptr, item.len);
    }
}

static enum cv_status check_folder(const struct slot *slot, struct err *err)
{
    DIR *folder = opendir(slot->value);
    bool readable = folder && access(slot->value, R_OK | X_OK) == 0;
    if (!readable)
        err_set(err, "%s: the folder %s cannot be read: %s", slot->origin, slot->value, strerror(errno));
    if (folder)
        closedir(folder);
    return readable ? CV_OK : CV_FATAL;
}

/* What can only be asked once all sources are read, and only of the options that will be used. */
static enum cv_status finish(struct config *config, struct err *err)
{
    for (size_t i = 0; i < config->slot_count; i++) {
        struct slot *slot = &config->slots[i];
        const char *value = slot->value ? slot->value : slot->option->fallback;
        if (!slot->in_scope)
            continue;
        if (slot->option->compute)
            slot->computed = slot->option->compute();
        if (slot->option->list && value)
            split_items(slot, value);
        if (slot->option->required && !value && slot->pair_count == 0) {
            err_set(err, "--%s: is required (%s)", slot->option->name, slot->option->help);
            return CV_FATAL;
        }
        if (slot->option->type == OPTION_FOLDER && slot->value && check_folder(slot, err) != CV_OK)
            return CV_FATAL;
    }
    return CV_OK;
}

static enum cv_status load(struct config *config, int argc, char **argv, char **environ_, struct err *err)
{
    enum cv_status status = read_arguments(config, argc, argv, err);
    if (status != CV_OK || config->wants_help)
        return status;
    status = read_environment(config, environ_, err);
    if (status == CV_OK && config->file)
        status = read_file(config, err);
    return status == CV_OK ? finish(config, err) : status;
}

enum cv_status config_load(const struct option_def *const *tables, unsigned scope, int argc, char **argv,
                           char **environ_, struct config **out_config, struct err *err)
{
    struct config *config = cv_zalloc(sizeof *config);
    for (; *tables; tables++)
        add_rows(config, *tables, scope);
    enum cv_status status = load(config, argc, argv, environ_, err);
    if (status != CV_OK) {
        config_free(config);
        return status;
    }
    *out_config = config;
    return CV_OK;
}

bool config_wants_help(const struct config *config)
{
    return config->wants_help;
}

static const struct slot *get(const struct config *config, const char *name)
{
    const struct slot *slot = find(config, name, strlen(name));
    assert(slot && slot->in_scope);
    return slot;
}

const char *config_text(const struct config *config, const char *name)
{
    const struct slot *slot = get(config, name);
    return slot->value ? slot->value : slot->option->fallback;
}

int64_t config_int(const struct config *config, const char *name)
{
    const struct slot *slot = get(config, name);
    assert(slot->option->type == OPTION_INT);
    if (!slot->value && slot->option->compute)
        return slot->computed;
    const char *value = config_text(config, name);
    assert(value);
    return option_int(value);
}

bool config_flag(const struct config *config, const char *name)
{
    assert(get(config, name)->option->type == OPTION_FLAG);
    const char *value = config_text(config, name);
    return value && option_on(value);
}

bool config_is_set(const struct config *config, const char *name)
{
    const struct slot *slot = get(config, name);
    return slot->value || slot->pair_count;
}

const char *config_item(const struct config *config, const char *name, size_t i)
{
    const struct slot *slot = get(config, name);
    assert(slot->option->list);
    for (size_t k = 0; slot->items && slot->items[k]; k++)
        if (k == i)
            return slot->items[k];
    return NULL;
}

const struct config_property *config_pairs(const struct config *config, const char *name, size_t *out_count)
{
    const struct slot *slot = get(config, name);
    assert(slot->option->type == OPTION_PAIR);
    *out_count = slot->pair_count;
    return slot->properties;
}

bool config_pair(const struct config *config, const char *name, size_t i, const char **out_property,
                 const char **out_value)
{
    const struct slot *slot = get(config, name);
    if (i >= slot->pair_count)
        return false;
    *out_property = slot->pairs[i].property;
    *out_value = slot->pairs[i].value;
    return true;
}

const char *config_operand(const struct config *config, size_t i)
{
    return i < config->operand_count ? config->operands[i] : NULL;
}
