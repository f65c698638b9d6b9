#include "workers/source/registry.h"

#include "caseview/clock.h"
#include "caseview/fetch.h"
#include "workers/source/canonical.h"

#define ANSWER_MAX_BYTES (8u << 20) /* the schema as a JSON string, every character escaped at worst */
#define URL_MAX_BYTES    8192
#define SHOWN_MAX_BYTES  384 /* of a URL, in an error */
#define REFERENCES_MAX   256 /* in all, however deep */
#define REFERENCE_DEPTH  16

struct lookup {
    const char *base;
    int64_t deadline_ms;
    bool beyond_java;
    unsigned references;
    json_t *externals;
    struct err *err;
};

/* One path segment: everything but unreserved characters as %XX. */
static void put_segment(struct buf *url, const char *text)
{
    for (; *text; text++) {
        char c = *text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("-._~", c);
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
 * Why there is no object. Anybody answers 404 to a path that he does not have, registries too, so only the API's own
 * codes say that there is no such subject (40401), version (40402) or schema (40403). Everything else may be mended and
 * is tried again.
 */
static enum cv_status refuse(const struct lookup *lookup, const char *url, int http, const json_t *answer)
{
    json_int_t code = json_integer_value(json_object_get(answer, "error_code"));
    if (http == 404 && (lookup->beyond_java || (code >= 40401 && code <= 40403))) {
        err_set(lookup->err, "the schema registry knows no such schema");
        return CV_PARK;
    }
    char shown[SHOWN_MAX_BYTES];
    fetch_redact(url, shown, sizeof shown);
    if (http == 404)
        err_set(lookup->err,
                "schema registry: 404 without a registry's error code, the path in schema-registry may be wrong: %s",
                shown);
    else
        err_set(lookup->err, "the schema registry answers %d%s", http, http == 200 ? " without a JSON object" : "");
    return CV_RETRY;
}

/* GETs a JSON object, or says why there is none. */
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
    json_t *json = json_loadb(answer.data ? answer.data : "", answer.len, 0, NULL);
    if (http != 200 || !json_is_object(json)) {
        status = refuse(lookup, url->data, http, json);
        json_decref(json);
        return status;
    }
    *out_json = json;
    return CV_OK;
}

static enum cv_status check_type(struct lookup *lookup, const json_t *answer)
{
    const json_t *type = json_object_get(answer, "schemaType");
    if (type && (!json_is_string(type) || strcmp(json_string_value(type), "AVRO") != 0)) {
        err_set(lookup->err, "the schema registry holds no Avro schema there but %.50s",
                json_is_string(type) ? json_string_value(type) : "something");
        return CV_PARK;
    }
    if (!json_is_string(json_object_get(answer, "schema"))) {
        err_set(lookup->err, "the schema registry's answer has no schema");
        return CV_PARK;
    }
    return CV_OK;
}

static enum cv_status resolve(struct lookup *lookup, const json_t *answer, unsigned depth);

/* Adds the types of one referenced schema, after those that it refers to itself. */
static enum cv_status resolve_one(struct lookup *lookup, const json_t *reference, unsigned depth)
{
    const char *subject = json_string_value(json_object_get(reference, "subject"));
    const json_t *version = json_object_get(reference, "version");
    if (!subject || !json_is_integer(version)) {
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
        struct canonical_options options = {.externals = lookup->externals};
        status = schema ? canonical_write(schema, &options, &form, lookup->err) : CV_PARK;
    }
    if (status == CV_OK) {
        canonical = canonical_parse((struct str){form.data, form.len}, lookup->err);
        status = canonical ? canonical_collect(canonical, lookup->externals, lookup->err) : CV_PARK;
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

enum cv_status registry_get(const char *base, uint32_t id, int timeout_ms, struct buf *out_schema,
                            json_t **out_externals, struct err *err)
{
    /* Registries in Java have ids of 31 bits: to them a larger one is no path of theirs, and cannot be registered. */
    struct lookup lookup = {
        .base = base, .deadline_ms = clock_mono_ms() + timeout_ms, .beyond_java = id > INT32_MAX, .err = err};
    CV_CLEANUP(buf_done) struct buf url;
    buf_init(&url, URL_MAX_BYTES);
    put_base(&url, base);
    buf_printf(&url, "/schemas/ids/%u", id);
    json_t *answer = NULL;
    enum cv_status status = get_object(&lookup, &url, &answer);
    if (status == CV_OK)
        status = check_type(&lookup, answer);
    if (status == CV_OK && json_array_size(json_object_get(answer, "references")) > 0) {
        lookup.externals = json_object();
        status = resolve(&lookup, answer, 0);
    }
    if (status == CV_OK) {
        const json_t *schema = json_object_get(answer, "schema");
        buf_append(out_schema, json_string_value(schema), json_string_length(schema));
        *out_externals = lookup.externals;
    } else {
        json_decref(lookup.externals);
    }
    json_decref(answer);
    return status;
}
