#include "workers/source/registry_lookup.h"

#include "caseview/clock.h"
#include "caseview/fetch.h"
#include "workers/source/canonical.h"

#define ANSWER_MAX_BYTES (8u << 20) /* the schema as a JSON string, every character escaped at worst */
#define URL_MAX_BYTES    8192
#define SHOWN_MAX_BYTES  384 /* of a URL, in an error */
#define REFERENCES_MAX   256 /* in all, however deep */
#define REFERENCE_DEPTH  16

/* Error codes of the registry's API: no such subject, version, schema. */
#define NOT_FOUND_MIN 40401
#define NOT_FOUND_MAX 40403

struct lookup {
    const char *base;
    int64_t deadline_ms;
    bool beyond_java;
    unsigned references;
    json_t *externals;
    struct err *err;
};

/* Appends a path segment, with all characters except the unreserved ones as %XX. */
static void put_segment(struct buf *url, const char *text)
{
    for (; *text; text++) {
        char c = *text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("-._~", c) != NULL;
        if (plain)
            buf_byte(url, c);
        else
            buf_printf(url, "%%%02X", (unsigned char)c);
    }
}

static void put_base(struct buf *url, const char *base)
{
    size_t len = strlen(base);
    while (len && base[len - 1] == '/')
        len--;
    buf_append(url, base, len);
}

/*
 * Whether a 404 is the registry's own word that it has no such thing. Any server, a registry too, answers 404 to a path
 * that it does not have, so only the API's own codes count. To registries in Java an id of 32 bits is such a path: for
 * those any error code will do.
 */
static bool says_unknown(const struct lookup *lookup, const json_t *answer)
{
    const json_t *code = json_object_get(answer, "error_code");
    if (!json_is_integer(code))
        return false;
    return lookup->beyond_java ||
           (json_integer_value(code) >= NOT_FOUND_MIN && json_integer_value(code) <= NOT_FOUND_MAX);
}

/* schemaType is absent, or null, for Avro. */
static bool is_answer(const json_t *answer)
{
    const json_t *type = json_object_get(answer, "schemaType");
    return json_is_string(json_object_get(answer, "schema")) &&
           (type == NULL || json_is_null(type) || json_is_string(type));
}

/* Any other answer may come from a server in between, or from a wrong URL: it is retried. */
static enum cv_status refuse(const struct lookup *lookup, const char *url, int http, const json_t *answer)
{
    if (http == 404 && says_unknown(lookup, answer)) {
        err_set(lookup->err, "the schema registry knows no such schema");
        return CV_PARK;
    }
    char shown[SHOWN_MAX_BYTES];
    fetch_redact(url, shown, sizeof shown);
    if (http == 404)
        err_set(lookup->err,
                "schema registry: 404 without a registry's error code, the path in schema-registry may be wrong: %s",
                shown);
    else if (http == 200)
        err_set(lookup->err,
                "schema registry: the answer is not a registry's, the path in schema-registry may be wrong: %s", shown);
    else
        err_set(lookup->err, "schema registry: HTTP status %d", http);
    return CV_RETRY;
}

/* GETs a schema's object. */
static enum cv_status get_object(struct lookup *lookup, const struct buf *url, json_t **out_json)
{
    int64_t left_ms = lookup->deadline_ms - clock_mono_ms();
    if (left_ms <= 0) {
        err_set(lookup->err, "schema registry: no time left for referenced schemas");
        return CV_RETRY;
    }
    if (url->overflow) {
        err_set(lookup->err, "schema registry: the URL is too long");
        return CV_PARK;
    }
    CV_CLEANUP(buf_done) struct buf answer;
    buf_init(&answer, ANSWER_MAX_BYTES);
    int http;
    enum cv_status status = fetch_get(url->data, (int)left_ms, &http, &answer, lookup->err);
    if (status != CV_OK) {
        err_prefix(lookup->err, "schema registry");
        return CV_RETRY;
    }
    json_t *json = json_loadb(answer.data != NULL ? answer.data : "", answer.len, 0, NULL);
    if (http != 200 || !is_answer(json)) {
        status = refuse(lookup, url->data, http, json);
        json_decref(json);
        return status;
    }
    *out_json = json;
    return CV_OK;
}

static enum cv_status check_type(struct lookup *lookup, const json_t *answer)
{
    const char *type = json_string_value(json_object_get(answer, "schemaType"));
    if (type == NULL || strcmp(type, "AVRO") == 0)
        return CV_OK;
    err_set(lookup->err, "the schema registry has %.50s there, not Avro", type);
    return CV_PARK;
}

static enum cv_status resolve(struct lookup *lookup, const json_t *answer, unsigned depth);

/* Adds the types of one referenced schema, after those that it refers to itself. */
static enum cv_status resolve_one(struct lookup *lookup, const json_t *reference, unsigned depth)
{
    const char *subject = json_string_value(json_object_get(reference, "subject"));
    const json_t *version = json_object_get(reference, "version");
    if (subject == NULL || !json_is_integer(version)) {
        err_set(lookup->err, "the schema registry's reference has no subject or version");
        return CV_PARK;
    }
    if (++lookup->references > REFERENCES_MAX || depth > REFERENCE_DEPTH) {
        err_set(lookup->err, "the schema refers to too many others");
        return CV_PARK;
    }
    CV_CLEANUP(buf_done) struct buf url, form;
    buf_init(&url, URL_MAX_BYTES);
    buf_init(&form, SCHEMA_MAX_BYTES);
    put_base(&url, lookup->base);
    buf_puts(&url, "/subjects/");
    put_segment(&url, subject);
    buf_printf(&url, "/versions/%lld", (long long)json_integer_value(version));
    json_t *answer = NULL, *schema = NULL, *canonical = NULL;
    enum cv_status status = get_object(lookup, &url, &answer);
    if (status == CV_OK)
        status = check_type(lookup, answer);
    if (status == CV_OK)
        status = resolve(lookup, answer, depth);
    if (status == CV_OK) {
        schema = canonical_parse(str_of(json_string_value(json_object_get(answer, "schema"))), lookup->err);
        struct canonical_options options = {.form = CANONICAL_WITH_LOGICAL_TYPES, .externals = lookup->externals};
        status = schema != NULL ? canonical_write(schema, &options, &form, lookup->err) : CV_PARK;
    }
    if (status == CV_OK) {
        canonical = canonical_parse((struct str){form.data, form.len}, lookup->err);
        status = canonical != NULL ? canonical_collect(canonical, lookup->externals, lookup->err) : CV_PARK;
    }
    json_decref(answer);
    json_decref(schema);
    json_decref(canonical);
    if (status == CV_PARK)
        err_prefix(lookup->err, "referenced schema %.100s", subject);
    return status;
}

static enum cv_status resolve(struct lookup *lookup, const json_t *answer, unsigned depth)
{
    size_t i;
    json_t *reference;
    json_array_foreach(json_object_get(answer, "references"), i, reference)
    {
        enum cv_status status = resolve_one(lookup, reference, depth + 1);
        if (status != CV_OK)
            return status;
    }
    return CV_OK;
}

enum cv_status registry_lookup(const char *base, uint32_t id, int timeout_ms, struct registry_answer *out_answer)
{
    struct lookup lookup = {.base = base,
                            .deadline_ms = clock_mono_ms() + timeout_ms,
                            .beyond_java = id > INT32_MAX,
                            .err = &out_answer->err};
    CV_CLEANUP(buf_done) struct buf url;
    buf_init(&url, URL_MAX_BYTES);
    buf_init(&out_answer->schema, SCHEMA_MAX_BYTES);
    put_base(&url, base);
    buf_printf(&url, "/schemas/ids/%u", id);
    json_t *answer = NULL;
    enum cv_status status = get_object(&lookup, &url, &answer);
    if (status == CV_OK)
        status = check_type(&lookup, answer);
    if (status == CV_OK && json_array_size(json_object_get(answer, "references")) > 0) {
        out_answer->externals = lookup.externals = json_object();
        status = resolve(&lookup, answer, 0);
    }
    if (status == CV_OK) {
        const json_t *schema = json_object_get(answer, "schema");
        buf_append(&out_answer->schema, json_string_value(schema), json_string_length(schema));
        if (out_answer->schema.overflow) {
            err_set(&out_answer->err, "the schema is larger than %u bytes", SCHEMA_MAX_BYTES);
            status = CV_PARK;
        }
    }
    out_answer->found = status == CV_OK;
    json_decref(answer);
    return status;
}
