#include "config_internal.h"

#define PAIRS_MAX 1000

struct config_slot *config_find(const struct config *config, struct str name)
{
    for (size_t i = 0; i < config->slot_count; i++)
        if (str_eq(str_of(config->slots[i].option->name), name))
            return &config->slots[i];
    return NULL;
}

enum cv_status config_put_pair(struct config_slot *slot, enum config_source source, const char *origin,
                               struct str property, const char *value, struct err *err)
{
    for (size_t i = 0; i < slot->pair_count; i++) {
        const struct config_pair *pair = &slot->pairs[i];
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
    struct config_pair pair = {cv_strndup(property.ptr, property.len), cv_strdup(value), source};
    slot->pairs[slot->pair_count] = pair;
    slot->properties[slot->pair_count++] = (struct config_property){pair.property, pair.value};
    return CV_OK;
}

enum cv_status config_put_value(struct config_slot *slot, enum config_source source, const char *origin,
                                const char *value, struct err *err)
{
    if (option_check(slot->option, origin, value, err) != CV_OK)
        return CV_FATAL;
    if (slot->option->type == OPTION_PAIR) {
        const char *equals = strchr(value, '=');
        return config_put_pair(slot, source, origin, (struct str){value, (size_t)(equals - value)}, equals + 1, err);
    }
    if (slot->value != NULL && slot->source == source) {
        err_set(err, "%s: is given twice", origin);
        return CV_FATAL;
    }
    if (slot->value != NULL)
        return CV_OK;
    slot->value = cv_strdup(value);
    slot->origin = cv_strdup(origin);
    slot->source = source;
    return CV_OK;
}

void config_slot_done(struct config_slot *slot)
{
    free(slot->value);
    free(slot->origin);
    for (size_t i = 0; slot->items != NULL && slot->items[i] != NULL; i++)
        free(slot->items[i]);
    free(slot->items);
    for (size_t i = 0; i < slot->pair_count; i++) {
        free(slot->pairs[i].property);
        free(slot->pairs[i].value);
    }
    free(slot->pairs);
    free(slot->properties);
}
