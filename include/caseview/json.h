/*
 * json.h: writes JSON into a buf. Strings are raw UTF-8 with only `"`, `\` and U+0000–U+001F escaped (contract,
 * section 2). The functions for single values leave commas and colons to the caller, struct json_writer adds them.
 * No name here may be one of jansson's: the linker would mix up the two.
 */
#ifndef CASEVIEW_JSON_H
#define CASEVIEW_JSON_H

#include "caseview/base.h"
#include "caseview/buf.h"
#include "caseview/uuid.h"

/* Single values, for hot paths. text.ptr == NULL writes null. */
void json_quote(struct buf *out, struct str text);
void json_uuid(struct buf *out, const struct uuid *uuid); /* NULL writes null */
void json_time(struct buf *out, int64_t us);
void json_int(struct buf *out, int64_t number);
/*
 * The shortest decimal that reads back to the same float32, the closest among the shortest, in the contract's form
 * (`5`, `0.1`, `3.7090777E+37`, `-0`). number is finite.
 */
void json_float32(struct buf *out, float number);

/* Writes objects and arrays with their commas, for all other places. */
#define JSON_DEPTH_MAX 32
struct json_writer {
    struct buf *out;
    unsigned depth;
    uint32_t has_items; /* one bit per level */
    uint32_t is_array;
};

void json_begin(struct json_writer *json, struct buf *out);
void json_open_object(struct json_writer *json, const char *key); /* key NULL inside an array or at the top */
void json_open_array(struct json_writer *json, const char *key);
void json_close(struct json_writer *json); /* closes the innermost object or array */
void json_put_str(struct json_writer *json, const char *key, struct str text);
void json_put_text(struct json_writer *json, const char *key, const char *text); /* NULL writes null */
void json_put_raw(struct json_writer *json, const char *key, struct str text);   /* text is JSON already */
void json_put_int(struct json_writer *json, const char *key, int64_t number);
void json_put_known(struct json_writer *json, const char *key, int64_t number); /* negative, unknown: writes null */
void json_put_double(struct json_writer *json, const char *key, double number); /* NaN and infinities write null */
void json_put_bool(struct json_writer *json, const char *key, bool value);
void json_put_null(struct json_writer *json, const char *key);
void json_put_uuid(struct json_writer *json, const char *key, const struct uuid *uuid); /* NULL writes null */
/* A time as clock_iso() writes it; INT64_MIN and INT64_MAX (infinity in db_time(), or none) write null. */
void json_put_time(struct json_writer *json, const char *key, int64_t us);

#endif
