/*
 * body_input.h: reads bytes in Avro's binary encoding from front to back. Every read is checked against the end of the
 * input, so that a length or count that exceeds the input is refused. Private to workers/source.
 *
 * A function that returns false has set `broken`: the bytes are not a valid value, and nothing more may be read.
 */
#ifndef CASEVIEW_SOURCE_BODY_INPUT_H
#define CASEVIEW_SOURCE_BODY_INPUT_H

#include "workers/fold/record.h"

/* Maximum nesting of values; only types that the reader does not use can be nested this deep. */
#define BODY_DEPTH_MAX 512
/* Maximum number of items in all arrays and maps of a value. Items of zero bytes would otherwise be unlimited. */
#define BODY_ITEMS_MAX RECORD_MAX_BYTES

struct body_input {
    const uint8_t *next, *end;
    const char *broken; /* why the bytes are not a valid value; NULL: no fault so far */
    uint32_t items;     /* of all arrays and maps so far */
};

static inline bool input_broken(struct body_input *in, const char *why)
{
    in->broken = why;
    return false;
}

static inline size_t input_left(const struct body_input *in)
{
    return (size_t)(in->end - in->next);
}

/* The bits beyond the 64th of a number of ten bytes are ignored, as Avro's own libraries do. */
static inline bool input_long(struct body_input *in, int64_t *out_number)
{
    const uint8_t *p = in->next;
    uint64_t bits = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (p == in->end)
            return input_broken(in, "the bytes end within a number");
        uint8_t byte = *p++;
        bits |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            in->next = p;
            *out_number = (int64_t)(bits >> 1 ^ -(bits & 1));
            return true;
        }
    }
    return input_broken(in, "a number is longer than ten bytes");
}

static inline bool input_int(struct body_input *in, int64_t *out_number)
{
    if (!input_long(in, out_number))
        return false;
    if (*out_number < INT32_MIN || *out_number > INT32_MAX)
        return input_broken(in, "an int is larger than 32 bits");
    return true;
}

/* Reads size bytes, borrowed from the input. */
static inline bool input_fixed(struct body_input *in, size_t size, const uint8_t **out_bytes)
{
    if (size > input_left(in))
        return input_broken(in, "the bytes end within a value");
    *out_bytes = in->next;
    in->next += size;
    return true;
}

/* Reads a string or bytes, borrowed from the input. */
static inline bool input_string(struct body_input *in, struct str *out_string)
{
    int64_t len;
    if (!input_long(in, &len))
        return false;
    if (len < 0 || (uint64_t)len > input_left(in))
        return input_broken(in, "a string is longer than the bytes that are left");
    *out_string = (struct str){(const char *)in->next, (size_t)len};
    in->next += len;
    return true;
}

static inline bool input_boolean(struct body_input *in, bool *out_value)
{
    if (in->next == in->end)
        return input_broken(in, "the bytes end within a value");
    uint8_t byte = *in->next++;
    if (byte > 1)
        return input_broken(in, "a boolean is neither 0 nor 1");
    *out_value = byte == 1;
    return true;
}

/* Reads the index of a union's branch or an enum's symbol; there are `count` of them. */
static inline bool input_index(struct body_input *in, size_t count, size_t *out_index)
{
    int64_t index;
    if (!input_long(in, &index))
        return false;
    if (index < 0 || (uint64_t)index >= count)
        return input_broken(in, "a union's branch or an enum's symbol does not exist");
    *out_index = (size_t)index;
    return true;
}

/* Reads the number of items in the next block of an array or map; 0: end. */
static inline bool input_block(struct body_input *in, uint32_t *out_count)
{
    int64_t count, size;
    if (!input_long(in, &count))
        return false;
    if (count < 0) { /* the size of the block in bytes follows, for readers that skip */
        if (!input_long(in, &size))
            return false;
        count = count == INT64_MIN ? INT64_MAX : -count;
    }
    if (count > (int64_t)(BODY_ITEMS_MAX - in->items))
        return input_broken(in, "arrays or maps have more items than a record can hold");
    in->items += (uint32_t)count;
    *out_count = (uint32_t)count;
    return true;
}

#endif
