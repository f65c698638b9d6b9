#include "workers/ops/rebuild_compare_body.h"

#include <jansson.h>
#include <stdio.h>

#define PATH_MAX_LEN 96

static const char *const names[] = {
    "serviceCategoryName",
    "serviceTypeName",
    "unitName",
    "inboxName",
    "inboxColorCode",
    "workstationName",
    "customer.displayName",
    "assignedTo.displayName",
    "assignedTo.initials",
    "assignedTo.picture",
    "lockedBy.displayName",
    "lockedBy.initials",
    "lockedBy.picture",
};

struct members {
    struct buf *out;
    bool any, only_names;
};

static void add(struct members *members, const char *path)
{
    bool is_name = false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        is_name |= strcmp(names[i], path) == 0;
    buf_printf(members->out, "%s%s", members->any ? ", " : "", path);
    members->any = true;
    members->only_names &= is_name;
}

static void compare_value(const json_t *one, const json_t *other, const char *path, struct members *members)
{
    if (one == NULL || other == NULL || !json_equal(one, other))
        add(members, path);
}

/* The members of one object inside the body. */
static void compare_inner(json_t *one, json_t *other, const char *key, struct members *members)
{
    const char *inner;
    json_t *value;
    char path[PATH_MAX_LEN];
    json_object_foreach(one, inner, value)
    {
        snprintf(path, sizeof path, "%s.%s", key, inner);
        compare_value(value, json_object_get(other, inner), path, members);
    }
    json_object_foreach(other, inner, value)
    {
        snprintf(path, sizeof path, "%s.%s", key, inner);
        if (json_object_get(one, inner) == NULL)
            add(members, path);
    }
}

static void compare_member(json_t *one, json_t *other, const char *key, struct members *members)
{
    if (json_is_object(one) && json_is_object(other))
        compare_inner(one, other, key, members);
    else
        compare_value(one, other, key, members);
}

bool compare_bodies(struct str one, struct str other, struct buf *out_members, bool *out_only_names)
{
    struct members members = {.out = out_members, .only_names = true};
    json_t *a = json_loadb(one.ptr, one.len, 0, NULL), *b = json_loadb(other.ptr, other.len, 0, NULL);
    bool valid = json_is_object(a) && json_is_object(b);
    const char *key;
    json_t *value;
    if (valid) {
        json_object_foreach(a, key, value) compare_member(value, json_object_get(b, key), key, &members);
        json_object_foreach(b, key, value) if (json_object_get(a, key) == NULL) add(&members, key);
        if (!members.any) /* only white space, or the form of a number */
            add(&members, "its form");
        *out_only_names = members.only_names;
    }
    json_decref(a);
    json_decref(b);
    return valid;
}
