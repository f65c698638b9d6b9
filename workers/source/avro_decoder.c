#include "workers/source/avro_decoder.h"
#include "caseview/utf8.h"

#include <math.h>

#include "caseview/clock.h"
#include "workers/source/body_input.h"
#include "workers/source/text.h"
#include "workers/source/value_skip.h"

struct walk {
    struct body_input in;
    char *target;
    struct avro_decoder *decoder;
    struct err *err;
};

static bool walk_value(struct walk *walk, const struct plan_node *node);

/* True: this is the worst value so far. Decoding continues, since malformed bytes and worse faults take precedence. */
static bool is_graver(struct walk *walk, enum park_reason reason)
{
    struct avro_decoder *decoder = walk->decoder;
    if (decoder->reason != PARK_NONE && decoder->reason <= reason)
        return false;
    decoder->reason = reason;
    return true;
}

static void fault(struct walk *walk, const struct plan_node *node, enum park_reason reason, const char *what)
{
    if (is_graver(walk, reason))
        err_set(walk->err, "%s: %s", node->path, what);
}

static void too_large(struct walk *walk, const struct plan_node *node, size_t len)
{
    if (is_graver(walk, PARK_TOO_LARGE))
        err_set(walk->err, "%s: %zu bytes, more than the limit of %u", node->path, len, node->max);
}

/* Values without a target are only checked. */
static void store(struct walk *walk, const struct plan_node *node, const void *value, size_t size)
{
    if (node->offset != READER_NOWHERE)
        memcpy(walk->target + node->offset, value, size);
}

static void mark(struct walk *walk, const struct plan_node *node)
{
    if (node->flag != 0)
        *(bool *)(walk->target + node->flag - 1) = true;
    if (node->given != 0)
        ((struct event *)walk->target)->c.given |= node->given;
}

/* Single values. */

/* False only when the bytes are malformed. *out_good: the value is a GUID. */
static bool read_guid(struct walk *walk, const struct plan_node *node, struct uuid *out_id, bool *out_good)
{
    const uint8_t *raw = NULL;
    struct str text = {NULL, 0};
    if (node->op == PLAN_GUID_FIXED) {
        if (!input_fixed(&walk->in, sizeof *out_id, &raw))
            return false;
    } else if (!input_string(&walk->in, &text)) {
        return false;
    } else if (node->op == PLAN_GUID_BYTES && text.len == sizeof *out_id) {
        raw = (const uint8_t *)text.ptr;
    }
    *out_good = true;
    if (raw != NULL)
        memcpy(out_id, raw, sizeof *out_id);
    else
        *out_good = uuid_parse(text, out_id);
    return true;
}

static bool walk_guid(struct walk *walk, const struct plan_node *node)
{
    struct uuid nowhere;
    struct uuid *id = node->offset == READER_NOWHERE ? &nowhere : (struct uuid *)(walk->target + node->offset);
    bool good;
    if (!read_guid(walk, node, id, &good))
        return false;
    if (!good)
        fault(walk, node, PARK_BAD_GUID, "not a GUID");
    mark(walk, node);
    return true;
}

/* True: the text is valid. */
static bool check_text(struct walk *walk, const struct plan_node *node, struct str text)
{
    if (!utf8_valid_no_nul(text))
        fault(walk, node, PARK_BAD_TEXT, "not valid UTF-8, or with U+0000");
    else if (text.len > node->max)
        too_large(walk, node, text.len);
    else
        return true;
    return false;
}

static bool walk_text(struct walk *walk, const struct plan_node *node)
{
    struct str text;
    if (!input_string(&walk->in, &text))
        return false;
    if (check_text(walk, node, text))
        store(walk, node, &text, sizeof text);
    mark(walk, node);
    return true;
}

static bool walk_meeting(struct walk *walk, const struct plan_node *node)
{
    struct str text, object;
    const char *what;
    if (!input_string(&walk->in, &text))
        return false;
    if (!check_text(walk, node, text))
        return true;
    enum park_reason reason = text_json_object(text, &object, &what);
    if (reason == PARK_NONE)
        store(walk, node, &object, sizeof object);
    else
        fault(walk, node, reason, what);
    return true;
}

static bool read_integer(struct walk *walk, const struct plan_node *node, int64_t *out_number)
{
    return node->is_int ? input_int(&walk->in, out_number) : input_long(&walk->in, out_number);
}

/* Converts a time from the writer's unit to microseconds; out of the valid range if it overflows. */
static int64_t to_micros(int64_t time, enum plan_time unit)
{
    switch (unit) {
    case TIME_MICROS:
        return time;
    case TIME_MILLIS:
        return time > INT64_MAX / 1000 || time < INT64_MIN / 1000 ? INT64_MAX : time * 1000;
    case TIME_NANOS:
        return time / 1000 - (time % 1000 < 0);
    }
    return INT64_MAX;
}

static bool walk_time(struct walk *walk, const struct plan_node *node)
{
    int64_t time;
    if (!read_integer(walk, node, &time))
        return false;
    int64_t micros = to_micros(time, node->time_unit);
    if (micros < CLOCK_MIN_US || micros > CLOCK_MAX_US)
        fault(walk, node, PARK_BAD_TIME, "outside the years 1 to 9999");
    store(walk, node, &micros, sizeof micros);
    mark(walk, node);
    return true;
}

static bool walk_sequence(struct walk *walk, const struct plan_node *node)
{
    int64_t number;
    if (!read_integer(walk, node, &number))
        return false;
    if (number < 1)
        fault(walk, node, PARK_BAD_SEQUENCE, "less than 1");
    store(walk, node, &number, sizeof number);
    return true;
}

static bool walk_int(struct walk *walk, const struct plan_node *node)
{
    int64_t number;
    if (!input_int(&walk->in, &number))
        return false;
    int32_t narrow = (int32_t)number;
    store(walk, node, &narrow, sizeof narrow);
    return true;
}

static bool walk_rank(struct walk *walk, const struct plan_node *node)
{
    float rank;
    if (node->op == PLAN_RANK_INTEGER) {
        int64_t number;
        if (!read_integer(walk, node, &number))
            return false;
        rank = (float)number;
    } else {
        const uint8_t *bytes;
        if (!input_fixed(&walk->in, sizeof rank, &bytes))
            return false;
        memcpy(&rank, bytes, sizeof rank); /* little-endian, as this machine is */
    }
    if (!isfinite(rank))
        fault(walk, node, PARK_BAD_RANK, "not a finite number");
    store(walk, node, &rank, sizeof rank);
    return true;
}

static bool walk_bool(struct walk *walk, const struct plan_node *node)
{
    bool value;
    if (!input_boolean(&walk->in, &value))
        return false;
    store(walk, node, &value, sizeof value);
    return true;
}

/* Composite values. */

static bool walk_item(struct walk *walk, const struct plan_node *node)
{
    struct avro_decoder *decoder = walk->decoder;
    size_t i = decoder->item_count++;
    if (decoder->items_are_texts) {
        struct str text;
        if (!input_string(&walk->in, &text))
            return false;
        if (check_text(walk, node, text) && i < LIST_ITEMS_MAX)
            decoder->texts[i] = text;
        return true;
    }
    struct uuid id;
    bool good;
    if (!read_guid(walk, node, &id, &good))
        return false;
    if (!good)
        fault(walk, node, PARK_BAD_GUID, "an item is not a GUID");
    else if (i < LIST_ITEMS_MAX)
        decoder->ids[i] = id;
    return true;
}

static bool walk_list(struct walk *walk, const struct plan_node *node)
{
    struct avro_decoder *decoder = walk->decoder;
    uint32_t count;
    decoder->items_are_texts = node->op == PLAN_TEXTS;
    for (;;) {
        if (!input_block(&walk->in, &count))
            return false;
        if (count == 0)
            break;
        for (uint32_t i = 0; i < count; i++)
            if (!walk_item(walk, node->children[0]))
                return false;
    }
    if (decoder->item_count > LIST_ITEMS_MAX && is_graver(walk, PARK_TOO_LARGE))
        err_set(walk->err, "%s: %zu items, more than the limit of %d", node->path, decoder->item_count, LIST_ITEMS_MAX);
    return true;
}

static bool walk_record(struct walk *walk, const struct plan_node *node)
{
    if (node->payload != NULL)
        walk->decoder->payload = node->payload;
    for (size_t i = 0; i < node->clear_count; i++)
        memset(walk->target + node->clear[i].offset, 0, node->clear[i].len);
    mark(walk, node);
    for (uint32_t i = 0; i < node->child_count; i++)
        if (!walk_value(walk, node->children[i]))
            return false;
    return true;
}

static bool walk_union(struct walk *walk, const struct plan_node *node)
{
    size_t branch;
    if (!input_index(&walk->in, node->child_count, &branch))
        return false;
    if (node->mismatches[branch] != NULL && is_graver(walk, PARK_WRONG_TYPE))
        err_set(walk->err, "%s", node->mismatches[branch]);
    return walk_value(walk, node->children[branch]);
}

static bool walk_value(struct walk *walk, const struct plan_node *node)
{
    switch (node->op) {
    case PLAN_SKIP:
        return value_skip(&walk->in, node);
    case PLAN_GUID:
    case PLAN_GUID_BYTES:
    case PLAN_GUID_FIXED:
        return walk_guid(walk, node);
    case PLAN_TEXT:
        return walk_text(walk, node);
    case PLAN_MEETING:
        return walk_meeting(walk, node);
    case PLAN_TIME:
        return walk_time(walk, node);
    case PLAN_SEQUENCE:
        return walk_sequence(walk, node);
    case PLAN_INT:
        return walk_int(walk, node);
    case PLAN_RANK:
    case PLAN_RANK_INTEGER:
        return walk_rank(walk, node);
    case PLAN_BOOL:
        return walk_bool(walk, node);
    case PLAN_RECORD:
        return walk_record(walk, node);
    case PLAN_UNION:
        return walk_union(walk, node);
    case PLAN_GUIDS:
    case PLAN_TEXTS:
        return walk_list(walk, node);
    }
    return false;
}

enum cv_status avro_decoder_run(struct avro_decoder *decoder, const struct plan_node *root, struct str body,
                                void *target, struct err *err)
{
    const uint8_t *bytes = (const uint8_t *)body.ptr;
    struct walk walk = {
        .in = {.next = bytes, .end = bytes + body.len}, .target = target, .decoder = decoder, .err = err};
    decoder->payload = NULL;
    decoder->reason = PARK_NONE;
    decoder->item_count = 0;
    if (walk_value(&walk, root) && walk.in.next != walk.in.end)
        input_broken(&walk.in, "bytes are left over after the record");
    if (walk.in.broken != NULL) {
        decoder->reason = PARK_NOT_AVRO;
        err_set(err, "%s", walk.in.broken);
    }
    return decoder->reason == PARK_NONE ? CV_OK : CV_PARK;
}

bool avro_decoder_keep_list(const struct avro_decoder *decoder, struct arena *arena, struct event *event)
{
    size_t count = decoder->item_count;
    if (count == 0)
        return true;
    size_t size = count * (decoder->items_are_texts ? sizeof *decoder->texts : sizeof *decoder->ids);
    void *list = arena_alloc(arena, size);
    if (list == NULL)
        return false;
    memcpy(list, decoder->items_are_texts ? (const void *)decoder->texts : decoder->ids, size);
    if (decoder->items_are_texts) {
        event->d.fields.roles = list;
        event->d.fields.role_count = count;
    } else {
        event->a.workspace_ids = list;
        event->a.workspace_count = count;
    }
    return true;
}
