#include "workers/source/value_skip.h"

static bool skip(struct body_input *in, const struct plan_node *node, unsigned depth);

static bool skip_items(struct body_input *in, const struct plan_node *node, unsigned depth)
{
    uint32_t count;
    for (;;) {
        if (!input_block(in, &count))
            return false;
        if (count == 0)
            return true;
        if (node->skip == SKIP_ARRAY && node->children[0]->skip == SKIP_NULL)
            continue;
        for (uint32_t i = 0; i < count; i++) {
            struct str key;
            if (node->skip == SKIP_MAP && !input_string(in, &key))
                return false;
            if (!skip(in, node->children[0], depth))
                return false;
        }
    }
}

static bool skip_fields(struct body_input *in, const struct plan_node *node, unsigned depth)
{
    for (size_t i = 0; i < node->child_count; i++)
        if (!skip(in, node->children[i], depth))
            return false;
    return true;
}

static bool skip_branch(struct body_input *in, const struct plan_node *node, unsigned depth)
{
    size_t branch;
    return input_index(in, node->child_count, &branch) && skip(in, node->children[branch], depth);
}

/* A value with others in it. */
static bool skip_nested(struct body_input *in, const struct plan_node *node, unsigned depth)
{
    if (depth == BODY_DEPTH_MAX)
        return input_broken(in, "values are nested too deep");
    if (node->skip == SKIP_RECORD)
        return skip_fields(in, node, depth + 1);
    if (node->skip == SKIP_UNION)
        return skip_branch(in, node, depth + 1);
    return skip_items(in, node, depth + 1);
}

static bool skip(struct body_input *in, const struct plan_node *node, unsigned depth)
{
    int64_t number;
    bool boolean;
    size_t index;
    const uint8_t *bytes;
    struct str string;
    switch (node->skip) {
    case SKIP_NULL:
        return true;
    case SKIP_BOOLEAN:
        return input_boolean(in, &boolean);
    case SKIP_INT:
        return input_int(in, &number);
    case SKIP_LONG:
        return input_long(in, &number);
    case SKIP_STRING:
        return input_string(in, &string);
    case SKIP_FIXED:
        return input_fixed(in, node->size, &bytes);
    case SKIP_ENUM:
        return input_index(in, node->size, &index);
    case SKIP_ARRAY:
    case SKIP_MAP:
    case SKIP_UNION:
    case SKIP_RECORD:
        return skip_nested(in, node, depth);
    }
    return false;
}

bool value_skip(struct body_input *in, const struct plan_node *node)
{
    return skip(in, node, 0);
}
