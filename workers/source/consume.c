#include "workers/source/consume.h"

#include <errno.h>
#include <math.h>

#include "caseview/clock.h"
#include "workers/source/text.h"

/* Records, unions, arrays and maps within one another; only types that the reader does not know can get this deep. */
#define DEPTH_MAX 512

/* An event's single texts; a list's are apart. */
#define TEXTS_MAX 64

/*
 * The library hands each callback what the callback around it chose: the frame of its level, by which it finds the
 * decoder and knows how deep it is.
 */
struct frame {
    struct decoder *decoder;
    bool ended; /* of the array or map here: its last block was empty */
};

union item {
    struct uuid id;
    struct str text;
};

struct decoder {
    struct frame frames[DEPTH_MAX + 1];
    avro_reader_t reader;
    struct err *err;
    enum park_reason reason; /* of the worst value so far */
    const char *broken;      /* why the bytes are no such value, when we and not the library say so */
    uint32_t elements;       /* of all arrays and maps */
    bool keep;               /* the next string is a text of the event */
    size_t body_len;
    char *texts; /* kept strings, each with its NUL: never longer than the body, which has a length before each */
    size_t texts_len;
    char *ignored; /* where every other string goes */
    struct str *text_fields[TEXTS_MAX];
    size_t text_field_count;
    union item *items; /* of the event's list */
    size_t item_count, item_capacity;
    bool items_are_texts;
    struct decoded decoded;
    struct uuid organization;
    bool has_organization;
};

static struct decoder *decoder_of(void *frame)
{
    return ((struct frame *)frame)->decoder;
}

static const struct plan_node *node_of(const avro_consumer_t *consumer)
{
    return (const struct plan_node *)consumer;
}

static void *place(struct decoder *decoder, uint32_t offset)
{
    return (char *)&decoder->decoded + offset;
}

/* A value that may not be. Decoding goes on: bytes that are no Avro at all, and graver faults, count first. */
static void fault(struct decoder *decoder, const struct plan_node *node, enum park_reason reason, const char *what)
{
    if (decoder->reason != PARK_NONE && decoder->reason <= reason)
        return;
    decoder->reason = reason;
    err_set(decoder->err, "%s: %s", node->path, what);
}

/* Ends the decoding. */
static int broken(struct decoder *decoder, const char *why)
{
    decoder->broken = why;
    return EILSEQ;
}

static void mark(struct decoder *decoder, const struct plan_node *node)
{
    if (node->flag)
        *(bool *)place(decoder, node->flag - 1) = true;
    if (node->given)
        decoder->decoded.event.c.given |= node->given;
}

/* Single values. */

static int guid(struct decoder *decoder, const struct plan_node *node, const void *value, size_t len)
{
    if (!uuid_parse((struct str){value, len}, place(decoder, node->offset)))
        fault(decoder, node, PARK_BAD_GUID, "no GUID");
    mark(decoder, node);
    return 0;
}

static int text(struct decoder *decoder, const struct plan_node *node, const void *value, size_t len)
{
    struct str *out = place(decoder, node->offset);
    *out = (struct str){value, len};
    if (!text_valid(*out))
        fault(decoder, node, PARK_BAD_TEXT, "no UTF-8, or with U+0000");
    if (decoder->text_field_count == TEXTS_MAX)
        return broken(decoder, "more texts than any event has");
    decoder->text_fields[decoder->text_field_count++] = out;
    mark(decoder, node);
    return 0;
}

static int meeting(struct decoder *decoder, const struct plan_node *node, const void *value, size_t len)
{
    struct str *out = place(decoder, node->offset);
    int failed = text(decoder, node, value, len);
    if (failed || !text_valid(*out))
        return failed;
    const char *what;
    enum park_reason reason = text_json_object(*out, out, &what);
    if (reason != PARK_NONE)
        fault(decoder, node, reason, what);
    return 0;
}

/* A string's length counts its NUL in the library, the length of bytes does not. */
#define STRING_CALLBACKS(action)                                                                       \
    static int action##_string(avro_consumer_t *consumer, const void *value, size_t size, void *frame) \
    {                                                                                                  \
        return action(decoder_of(frame), node_of(consumer), value, size - 1);                          \
    }                                                                                                  \
    static int action##_bytes(avro_consumer_t *consumer, const void *value, size_t len, void *frame)   \
    {                                                                                                  \
        return action(decoder_of(frame), node_of(consumer), value, len);                               \
    }

STRING_CALLBACKS(guid)
STRING_CALLBACKS(text)
STRING_CALLBACKS(meeting)

static int time_long(avro_consumer_t *consumer, int64_t value, void *frame)
{
    struct decoder *decoder = decoder_of(frame);
    const struct plan_node *node = node_of(consumer);
    if (value < CLOCK_MIN_US || value > CLOCK_MAX_US)
        fault(decoder, node, PARK_BAD_TIME, "outside the years 1 to 9999");
    *(int64_t *)place(decoder, node->offset) = value;
    mark(decoder, node);
    return 0;
}

static int time_int(avro_consumer_t *consumer, int32_t value, void *frame)
{
    return time_long(consumer, value, frame);
}

static int sequence_long(avro_consumer_t *consumer, int64_t value, void *frame)
{
    struct decoder *decoder = decoder_of(frame);
    const struct plan_node *node = node_of(consumer);
    if (value < 1)
        fault(decoder, node, PARK_BAD_SEQUENCE, "less than 1");
    *(int64_t *)place(decoder, node->offset) = value;
    return 0;
}

static int sequence_int(avro_consumer_t *consumer, int32_t value, void *frame)
{
    return sequence_long(consumer, value, frame);
}

static int number_int(avro_consumer_t *consumer, int32_t value, void *frame)
{
    *(int32_t *)place(decoder_of(frame), node_of(consumer)->offset) = value;
    return 0;
}

static int rank_float(avro_consumer_t *consumer, float value, void *frame)
{
    struct decoder *decoder = decoder_of(frame);
    const struct plan_node *node = node_of(consumer);
    if (!isfinite(value))
        fault(decoder, node, PARK_BAD_RANK, "no finite number");
    *(float *)place(decoder, node->offset) = value;
    return 0;
}

static int rank_int(avro_consumer_t *consumer, int32_t value, void *frame)
{
    return rank_float(consumer, (float)value, frame);
}

static int rank_long(avro_consumer_t *consumer, int64_t value, void *frame)
{
    return rank_float(consumer, (float)value, frame);
}

static int ignored_boolean(avro_consumer_t *consumer CV_UNUSED, int value, void *frame)
{
    return value == 0 || value == 1 ? 0 : broken(decoder_of(frame), "a boolean that is neither 0 nor 1");
}

static int boolean(avro_consumer_t *consumer, int value, void *frame)
{
    *(bool *)place(decoder_of(frame), node_of(consumer)->offset) = value == 1;
    return ignored_boolean(consumer, value, frame);
}

void consume_value(struct plan_node *node, enum field_type type)
{
    avro_consumer_t *consumer = &node->consumer;
    switch (type) {
    case FIELD_GUID:
        consumer->string_value = guid_string;
        consumer->bytes_value = guid_bytes;
        break;
    case FIELD_TEXT:
        consumer->string_value = text_string;
        consumer->bytes_value = text_bytes;
        node->keep = true;
        break;
    case FIELD_MEETING:
        consumer->string_value = meeting_string;
        consumer->bytes_value = meeting_bytes;
        node->keep = true;
        break;
    case FIELD_TIME:
        consumer->long_value = time_long;
        consumer->int_value = time_int;
        break;
    case FIELD_SEQUENCE:
        consumer->long_value = sequence_long;
        consumer->int_value = sequence_int;
        break;
    case FIELD_INT:
        consumer->int_value = number_int;
        break;
    case FIELD_RANK:
        consumer->float_value = rank_float;
        consumer->int_value = rank_int;
        consumer->long_value = rank_long;
        break;
    case FIELD_BOOL:
        consumer->boolean_value = boolean;
        break;
    case FIELD_RECORD:
    case FIELD_GUIDS:
    case FIELD_TEXTS:
    case FIELD_PAYLOAD:
        break; /* they have nodes of their own kind */
    }
}

/* Lists. */

static union item *add_item(struct decoder *decoder)
{
    if (decoder->item_count == decoder->item_capacity) {
        decoder->item_capacity = decoder->item_capacity ? 2 * decoder->item_capacity : 64;
        decoder->items = cv_realloc(decoder->items, decoder->item_capacity * sizeof *decoder->items);
    }
    return &decoder->items[decoder->item_count++];
}

static int guid_item(struct decoder *decoder, const struct plan_node *node, const void *value, size_t len)
{
    struct uuid id;
    if (uuid_parse((struct str){value, len}, &id))
        add_item(decoder)->id = id;
    else
        fault(decoder, node, PARK_BAD_GUID, "an item is no GUID");
    return 0;
}

static int text_item(struct decoder *decoder, const struct plan_node *node, const void *value, size_t len)
{
    struct str item = {value, len};
    if (text_valid(item))
        add_item(decoder)->text = item;
    else
        fault(decoder, node, PARK_BAD_TEXT, "an item is no UTF-8, or has U+0000");
    decoder->items_are_texts = true;
    return 0;
}

STRING_CALLBACKS(guid_item)
STRING_CALLBACKS(text_item)

void consume_list_item(struct plan_node *node, enum field_type list_type)
{
    bool texts = list_type == FIELD_TEXTS;
    node->keep = texts;
    node->consumer.string_value = texts ? text_item_string : guid_item_string;
    node->consumer.bytes_value = texts ? text_item_bytes : guid_item_bytes;
}

/* What is made of parts. */

static int descend(struct decoder *decoder, struct plan_node *child, void *frame, avro_consumer_t **out_consumer,
                   void **out_frame)
{
    struct frame *inner = (struct frame *)frame + 1;
    if (inner == decoder->frames + ARRAY_LEN(decoder->frames))
        return broken(decoder, "nested too deep");
    decoder->keep = child->keep;
    *out_consumer = &child->consumer;
    *out_frame = inner;
    return 0;
}

static int record_start(avro_consumer_t *consumer, void *frame)
{
    mark(decoder_of(frame), node_of(consumer));
    return 0;
}

static int payload_start(avro_consumer_t *consumer, void *frame)
{
    decoder_of(frame)->decoded.payload = node_of(consumer)->payload;
    return 0;
}

static int record_field(avro_consumer_t *consumer, unsigned int index, avro_consumer_t **out_consumer, void **out_frame,
                        void *frame)
{
    return descend(decoder_of(frame), node_of(consumer)->children[index], frame, out_consumer, out_frame);
}

static int union_branch(avro_consumer_t *consumer, unsigned int branch, avro_consumer_t **out_consumer,
                        void **out_frame, void *frame)
{
    struct decoder *decoder = decoder_of(frame);
    const struct plan_node *node = node_of(consumer);
    if (branch >= node->child_count)
        return broken(decoder, "a union's branch that there is not");
    if (node->mismatches && node->mismatches[branch] && decoder->reason != PARK_WRONG_TYPE) {
        decoder->reason = PARK_WRONG_TYPE; /* nothing that values can be is graver */
        err_set(decoder->err, "%s", node->mismatches[branch]);
    }
    return descend(decoder, node->children[branch], frame, out_consumer, out_frame);
}

/* The library believes any block's count; each item takes a byte at least, or else is not worth having. */
static int array_element(avro_consumer_t *consumer, unsigned int index CV_UNUSED, avro_consumer_t **out_consumer,
                         void **out_frame, void *frame)
{
    struct decoder *decoder = decoder_of(frame);
    if (++decoder->elements > RECORD_MAX_BYTES)
        return broken(decoder, "more array items than bytes");
    return descend(decoder, node_of(consumer)->children[0], frame, out_consumer, out_frame);
}

/*
 * An empty block is the end. The library takes one of -2^63 items for empty too, and goes on; its count is cut to 32
 * bits on the way here, which makes the many that no record can hold look empty as well.
 */
static int list_block(avro_consumer_t *consumer CV_UNUSED, int first, unsigned int count, void *frame)
{
    struct frame *own = frame;
    if (!first && own->ended)
        return broken(own->decoder, "a block of more items than there can be");
    own->ended = count == 0;
    return 0;
}

/* The library reads the keys itself: they lie over one another, as nothing of a map is kept. */
static int map_element(avro_consumer_t *consumer, unsigned int index, const char *key CV_UNUSED,
                       avro_consumer_t **out_consumer, void **out_frame, void *frame)
{
    return array_element(consumer, index, out_consumer, out_frame, frame);
}

static int ignored_enum(avro_consumer_t *consumer, int value, void *frame)
{
    size_t symbols = node_of(consumer)->child_count;
    return value >= 0 && (size_t)value < symbols ? 0 : broken(decoder_of(frame), "an enum's symbol that there is not");
}

void consume_record(struct plan_node *node)
{
    node->consumer.record_start = record_start;
    node->consumer.record_field = record_field;
}

void consume_payload(struct plan_node *node)
{
    node->consumer.record_start = payload_start;
}

void consume_list(struct plan_node *node)
{
    node->consumer.array_start_block = list_block;
    node->consumer.array_element = array_element;
}

void consume_union(struct plan_node *node)
{
    node->consumer.union_branch = union_branch;
}

void consume_ignored(struct plan_node *node)
{
    avro_consumer_t *consumer = &node->consumer;
    consumer->boolean_value = ignored_boolean;
    consumer->enum_value = ignored_enum;
    consumer->record_field = record_field;
    consumer->union_branch = union_branch;
    consumer->array_start_block = list_block;
    consumer->array_element = array_element;
    consumer->map_start_block = list_block;
    consumer->map_element = map_element;
}

/* One decoding. */

/* Nothing longer than the whole body can be read, whatever its length claims to be. */
static void *allocate(void *context, void *ptr, size_t old_size CV_UNUSED, size_t size)
{
    struct decoder *decoder = context;
    if (ptr)
        return NULL; /* given back; nothing here is ever resized */
    if (size > decoder->body_len + 1)
        return NULL;
    if (!decoder->keep)
        return decoder->ignored;
    if (size > decoder->body_len - decoder->texts_len)
        return NULL;
    char *text_ = decoder->texts + decoder->texts_len;
    decoder->texts_len += size;
    return text_;
}

static enum cv_status not_avro(struct decoder *decoder, const char *why, enum park_reason *out_reason)
{
    err_set(decoder->err, "%.300s", why);
    *out_reason = PARK_NOT_AVRO;
    return CV_PARK;
}

static bool consume(struct decoder *decoder, struct plan_node *root, struct str body)
{
    struct avro_allocator_state outer = AVRO_CURRENT_ALLOCATOR;
    avro_reader_memory_set_source(decoder->reader, body.ptr, (int64_t)body.len);
    avro_set_allocator(allocate, decoder);
    int failed = avro_consume_binary(decoder->reader, &root->consumer, decoder->frames);
    avro_set_allocator(outer.alloc, outer.user_data);
    return !failed;
}

static void begin(struct decoder *decoder, size_t body_len, struct err *err)
{
    decoder->err = err;
    decoder->reason = PARK_NONE;
    decoder->broken = NULL;
    decoder->elements = 0;
    decoder->keep = false;
    decoder->body_len = body_len;
    decoder->texts_len = 0;
    decoder->text_field_count = 0;
    decoder->item_count = 0;
    decoder->items_are_texts = false;
    memset(&decoder->decoded, 0, sizeof decoder->decoded);
}

/* Into the arena goes only what a good event keeps, in one piece each. */
static bool keep_texts(struct decoder *decoder, struct arena *arena)
{
    if (decoder->texts_len == 0)
        return true;
    char *kept = arena_alloc(arena, decoder->texts_len);
    if (!kept)
        return false;
    memcpy(kept, decoder->texts, decoder->texts_len);
    for (size_t i = 0; i < decoder->text_field_count; i++) {
        struct str *field = decoder->text_fields[i];
        field->ptr = kept + (field->ptr - decoder->texts);
    }
    for (size_t i = 0; decoder->items_are_texts && i < decoder->item_count; i++)
        decoder->items[i].text.ptr = kept + (decoder->items[i].text.ptr - decoder->texts);
    return true;
}

static bool keep_list(struct decoder *decoder, struct arena *arena)
{
    struct decoded *decoded = &decoder->decoded;
    size_t count = decoder->item_count;
    if (count == 0)
        return true;
    union item *kept = arena_alloc(arena, count * sizeof *kept);
    if (!kept)
        return false;
    memcpy(kept, decoder->items, count * sizeof *kept);
    if (decoder->items_are_texts) {
        decoded->event.d.fields.roles = &kept->text;
        decoded->event.d.fields.role_count = count;
    } else {
        decoded->event.a.workspace_ids = &kept->id;
        decoded->event.a.workspace_count = count;
    }
    return true;
}

_Static_assert(sizeof(union item) == sizeof(struct uuid) && sizeof(union item) == sizeof(struct str),
               "a list's items lie one behind the other as its element type has them");

enum cv_status decoder_run(struct decoder *decoder, struct plan_node *root, enum topic topic, struct str body,
                           struct decoded **out_decoded, enum park_reason *out_reason, struct err *err)
{
    struct err own_err;
    begin(decoder, body.len, err ? err : &own_err);
    if (!consume(decoder, root, body)) {
        enum cv_status status = not_avro(decoder, decoder->broken ? decoder->broken : avro_strerror(), out_reason);
        avro_set_error("%s", ""); /* the library puts some of its errors in front of the one before */
        return status;
    }
    if (avro_skip(decoder->reader, 1) == 0)
        return not_avro(decoder, "bytes are left over behind the record", out_reason);
    decoder->decoded.event.topic = topic;
    *out_decoded = &decoder->decoded;
    if (decoder->reason != PARK_NONE) {
        *out_reason = decoder->reason;
        return CV_PARK;
    }
    return CV_OK;
}

bool decoder_keep(struct decoder *decoder, struct arena *arena)
{
    return keep_texts(decoder, arena) && keep_list(decoder, arena);
}

void decoder_set_organization(struct decoder *decoder, const struct uuid *organization)
{
    decoder->has_organization = organization != NULL;
    if (organization)
        decoder->organization = *organization;
}

const struct uuid *decoder_organization(const struct decoder *decoder)
{
    return decoder->has_organization ? &decoder->organization : NULL;
}

struct decoder *decoder_new(void)
{
    struct decoder *decoder = cv_zalloc(sizeof *decoder);
    for (size_t i = 0; i < ARRAY_LEN(decoder->frames); i++)
        decoder->frames[i].decoder = decoder;
    decoder->texts = cv_alloc(RECORD_MAX_BYTES + 1);
    decoder->ignored = cv_alloc(RECORD_MAX_BYTES + 1);
    decoder->reader = avro_reader_memory(NULL, 0);
    return decoder;
}

void decoder_free(struct decoder *decoder)
{
    if (!decoder)
        return;
    avro_reader_free(decoder->reader);
    free(decoder->texts);
    free(decoder->ignored);
    free(decoder->items);
    free(decoder);
}
