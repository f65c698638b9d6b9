#include "config_internal.h"

#include <dirent.h>
#include <errno.h>
#include <unistd.h>

static void add_rows(struct config *config, const struct option_def *table, unsigned scope)
{
    for (const struct option_def *option = table; option->name != NULL; option++) {
        bool in_scope = (option->scope & scope) != 0;
        struct config_slot *slot = config_find(config, str_of(option->name));
        if (slot != NULL) {
            assert(!(slot->in_scope && in_scope));
            if (in_scope)
                slot->option = option;
            slot->in_scope = slot->in_scope || in_scope;
            continue;
        }
        config->slots = cv_realloc(config->slots, (config->slot_count + 1) * sizeof *config->slots);
        config->slots[config->slot_count++] = (struct config_slot){
            .option = option, .in_scope = in_scope, .source = SOURCE_DEFAULT};
    }
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < config->slot_count; i++)
        config_slot_done(&config->slots[i]);
    free(config->slots);
    free(config->file);
    for (size_t i = 0; i < config->operand_count; i++)
        free(config->operands[i]);
    free(config->operands);
    free(config);
}

static void split_items(struct config_slot *slot, const char *value)
{
    size_t n = 0;
    while (option_item(value, n).ptr != NULL)
        n++;
    slot->items = cv_zalloc((n + 1) * sizeof *slot->items);
    for (size_t i = 0; i < n; i++) {
        struct str item = option_item(value, i);
        slot->items[i] = cv_strndup(item.ptr, item.len);
    }
}

static enum cv_status check_folder(const struct config_slot *slot, struct err *err)
{
    DIR *folder = opendir(slot->value);
    bool readable = folder != NULL && access(slot->value, R_OK | X_OK) == 0;
    if (!readable)
        err_set(err, "%s: the folder %s cannot be read: %s", slot->origin, slot->value, strerror(errno));
    if (folder != NULL)
        closedir(folder);
    return readable ? CV_OK : CV_FATAL;
}

/* Checks what needs all sources, and only for the options of the scope that runs. */
static enum cv_status finish(struct config *config, struct err *err)
{
    for (size_t i = 0; i < config->slot_count; i++) {
        struct config_slot *slot = &config->slots[i];
        const char *value = slot->value != NULL ? slot->value : slot->option->fallback;
        if (!slot->in_scope)
            continue;
        if (slot->option->compute != NULL)
            slot->computed = slot->option->compute();
        if (slot->option->list && value != NULL)
            split_items(slot, value);
        if (slot->option->required && value == NULL && slot->pair_count == 0) {
            err_set(err, "--%s: is required (%s)", slot->option->name, slot->option->help);
            return CV_FATAL;
        }
        if (slot->option->type == OPTION_FOLDER && slot->value != NULL && check_folder(slot, err) != CV_OK)
            return CV_FATAL;
    }
    return CV_OK;
}

static enum cv_status load(struct config *config, int argc, char **argv, char **environ_, struct err *err)
{
    enum cv_status status = config_read_arguments(config, argc, argv, err);
    if (status != CV_OK || config->wants_help)
        return status;
    status = config_read_environment(config, environ_, err);
    if (status == CV_OK && config->file != NULL)
        status = config_read_file(config, err);
    return status == CV_OK ? finish(config, err) : status;
}

enum cv_status config_load(const struct option_def *const *tables, unsigned scope, int argc, char **argv,
                           char **environ_, struct config **out_config, struct err *err)
{
    struct config *config = cv_zalloc(sizeof *config);
    for (; *tables != NULL; tables++)
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

static const struct config_slot *get(const struct config *config, const char *name)
{
    const struct config_slot *slot = config_find(config, str_of(name));
    assert(slot != NULL && slot->in_scope);
    return slot;
}

const char *config_text(const struct config *config, const char *name)
{
    const struct config_slot *slot = get(config, name);
    return slot->value != NULL ? slot->value : slot->option->fallback;
}

int64_t config_int(const struct config *config, const char *name)
{
    const struct config_slot *slot = get(config, name);
    assert(slot->option->type == OPTION_INT);
    if (slot->value == NULL && slot->option->compute != NULL)
        return slot->computed;
    const char *value = config_text(config, name);
    assert(value != NULL);
    return option_int(value);
}

enum cv_status config_read_int_again(const struct config *config, const char *name, int64_t *out_value, struct err *err)
{
    const struct config_slot *slot = get(config, name);
    assert(slot->option->type == OPTION_INT && slot->option->compute == NULL);
    if (config->file == NULL || (slot->value != NULL && slot->source != SOURCE_FILE)) {
        *out_value = config_int(config, name);
        return CV_OK;
    }
    struct config *now = cv_zalloc(sizeof *now);
    now->file = cv_strdup(config->file);
    now->file_origin = config->file_origin;
    now->slot_count = config->slot_count;
    now->slots = cv_zalloc((config->slot_count + 1) * sizeof *now->slots);
    for (size_t i = 0; i < config->slot_count; i++)
        now->slots[i] = (struct config_slot){
            .option = config->slots[i].option, .in_scope = config->slots[i].in_scope, .source = SOURCE_DEFAULT};
    enum cv_status status = config_read_file(now, err);
    if (status == CV_OK)
        *out_value = config_int(now, name);
    config_free(now);
    return status;
}

bool config_flag(const struct config *config, const char *name)
{
    assert(get(config, name)->option->type == OPTION_FLAG);
    const char *value = config_text(config, name);
    return value != NULL && option_on(value);
}

bool config_is_set(const struct config *config, const char *name)
{
    const struct config_slot *slot = get(config, name);
    return slot->value != NULL || slot->pair_count > 0;
}

bool config_is_argument(const struct config *config, const char *name)
{
    const struct config_slot *slot = get(config, name);
    return slot->value != NULL && slot->source == SOURCE_COMMAND_LINE;
}

const char *config_item(const struct config *config, const char *name, size_t i)
{
    const struct config_slot *slot = get(config, name);
    assert(slot->option->list);
    for (size_t k = 0; slot->items != NULL && slot->items[k] != NULL; k++)
        if (k == i)
            return slot->items[k];
    return NULL;
}

const struct config_property *config_pairs(const struct config *config, const char *name, size_t *out_count)
{
    const struct config_slot *slot = get(config, name);
    assert(slot->option->type == OPTION_PAIR);
    *out_count = slot->pair_count;
    return slot->properties;
}

const char *config_operand(const struct config *config, size_t i)
{
    return i < config->operand_count ? config->operands[i] : NULL;
}
