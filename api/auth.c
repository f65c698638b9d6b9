#include "auth.h"

#include <jansson.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <strings.h>

#include "caseview/clock.h"
#include "role.h"

#define LEEWAY_US INT64_C(60000000)

enum { PART_MAX = 8192 }; /* a token is part of a header block of that size */

/* Header, claims and signature: as sent, and decoded. */
struct parts {
    struct str text[3];
    char bytes[3][PART_MAX];
    size_t length[3];
};

static int base64url_value(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

/* Without padding, and only the one spelling of each byte string: bits left over are zero (RFC 4648, section 3.5). */
static bool decode_base64url(struct str text, char *out, size_t *out_length)
{
    uint32_t bits = 0;
    int count = 0;
    size_t length = 0;
    if (text.len % 4 == 1)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int value = base64url_value(text.ptr[i]);
        if (value < 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        count += 6;
        if (count >= 8) {
            count -= 8;
            out[length++] = (char)(bits >> count);
            bits &= (1u << count) - 1;
        }
    }
    *out_length = length;
    return bits == 0;
}

static bool split(struct str token, struct parts *parts)
{
    const char *p = token.ptr;
    const char *end = token.ptr + token.len;
    for (size_t i = 0; i < 3; i++) {
        const char *dot = memchr(p, '.', (size_t)(end - p));
        if ((dot == NULL) != (i == 2))
            return false;
        const char *part_end = dot != NULL ? dot : end;
        parts->text[i] = (struct str){p, (size_t)(part_end - p)};
        if (parts->text[i].len == 0 || parts->text[i].len > PART_MAX ||
            !decode_base64url(parts->text[i], parts->bytes[i], &parts->length[i]))
            return false;
        p = part_end + 1;
    }
    return true;
}

/* Numbers are only compared as times: an integer that fits no integer type is read as a real. */
static json_t *parse_object(const char *text, size_t length)
{
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, NULL);
    if (json_is_object(json))
        return json;
    json_decref(json);
    return NULL;
}

static bool signature_holds(struct str token, const struct key *key)
{
    cjose_err ignored;
    cjose_jws_t *jws = cjose_jws_import(token.ptr, token.len, &ignored);
    bool holds = jws != NULL && cjose_jws_verify(jws, key->jwk, &ignored);
    if (jws != NULL)
        cjose_jws_release(jws);
    ERR_clear_error();
    return holds;
}

/* `jwk`, `jku`, `x5u` and the like are ignored. */
static const char *check_header(const json_t *header)
{
    const char *alg = json_string_value(json_object_get(header, "alg"));
    const char *kid = json_string_value(json_object_get(header, "kid"));
    const json_t *b64 = json_object_get(header, "b64");
    if (alg == NULL || (strcmp(alg, "RS256") != 0 && strcmp(alg, "PS256") != 0 && strcmp(alg, "ES256") != 0))
        return "The token's algorithm is not one of RS256, PS256 and ES256.";
    if (kid == NULL || !*kid)
        return "The token has no kid.";
    if (json_object_get(header, "crit") != NULL || (b64 != NULL && !json_is_true(b64)))
        return "The token's header asks for an extension (crit, b64).";
    return NULL;
}

static const char *check_signature(const struct auth_options *options, struct str token, const struct parts *parts,
                                   const json_t *header, uint64_t *out_version)
{
    const char *why = check_header(header);
    if (why != NULL)
        return why;
    const char *kid = json_string_value(json_object_get(header, "kid"));
    const char *alg = json_string_value(json_object_get(header, "alg"));
    const struct key *key = NULL;
    struct key_set *set = NULL;
    switch (key_source_find(options->keys, kid, alg, &key, &set)) {
    case KEY_FOUND:
        break;
    case KEY_UNKNOWN:
        return "The token's key (kid) is unknown.";
    case KEY_UNFIT:
        return "The token's key does not fit its algorithm.";
    case KEY_AMBIGUOUS:
        return "The token's key (kid) is ambiguous.";
    case KEY_NO_SET:
        return "The keys for checking tokens are not known yet.";
    }
    /*
     * cjose reads as many bytes of the signature as the key is long, even of a shorter one: so the length is checked
     * first.
     */
    if (parts->length[2] != key->signature_length || !signature_holds(token, key))
        why = "The token's signature is wrong.";
    *out_version = set->version;
    key_set_release(set);
    return why;
}

static bool is_one_of(const char *text, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(text, *list) == 0)
            return true;
    return false;
}

static bool audience_fits(const json_t *aud, const char *const *audiences)
{
    if (json_is_string(aud))
        return is_one_of(json_string_value(aud), audiences);
    for (size_t i = 0; i < json_array_size(aud); i++) {
        const char *text = json_string_value(json_array_get(aud, i));
        if (text != NULL && is_one_of(text, audiences))
            return true;
    }
    return false;
}

/* NumericDate in seconds, fractions allowed, to microseconds; times far outside are clamped. */
static int64_t to_us(double seconds)
{
    const double far = 9e12; /* seconds: the year 287,000 */
    double clamped = seconds > far ? far : seconds < -far ? -far : seconds;
    return (int64_t)(clamped * 1e6);
}

static const char *check_claims(const struct auth_options *options, const json_t *claims, int64_t now_us,
                                struct principal *principal)
{
    const char *issuer = json_string_value(json_object_get(claims, "iss"));
    const json_t *expires = json_object_get(claims, "exp");
    const json_t *not_before = json_object_get(claims, "nbf");
    if (issuer == NULL || !is_one_of(issuer, options->issuers))
        return "The token's issuer is not accepted.";
    if (!audience_fits(json_object_get(claims, "aud"), options->audiences))
        return "The token is for another audience.";
    if (!json_is_number(expires) || (not_before != NULL && !json_is_number(not_before)))
        return "The token's exp is missing, or its exp or nbf is no number.";
    principal->expires_us = to_us(json_number_value(expires)) + LEEWAY_US;
    principal->not_before_us = not_before != NULL ? to_us(json_number_value(not_before)) - LEEWAY_US : INT64_MIN;
    if (now_us >= principal->expires_us)
        return "The token has expired.";
    if (now_us < principal->not_before_us)
        return "The token is not valid yet.";
    return NULL;
}

static void take_client(const json_t *claims, struct principal *principal)
{
    static const char *const names[] = {"azp", "appid", "client_id"};
    principal->client_len = 0;
    principal->client_too_long = false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const json_t *client = json_object_get(claims, names[i]);
        size_t length = json_string_length(client);
        if (length == 0)
            continue;
        principal->client_too_long = length > CLIENT_ID_MAX;
        if (!principal->client_too_long) {
            memcpy(principal->client, json_string_value(client), length);
            principal->client_len = (uint16_t)length;
        }
        return;
    }
}

/* An array of strings; anything else is no roles. */
static bool claims_have_role(const json_t *claims)
{
    const json_t *roles = json_object_get(claims, "roles");
    bool found = false;
    for (size_t i = 0; i < json_array_size(roles); i++) {
        const json_t *role = json_array_get(roles, i);
        if (!json_is_string(role))
            return false;
        found |= role_is_impersonator((struct str){json_string_value(role), json_string_length(role)});
    }
    return found;
}

const char *auth_verify(const struct auth_options *options, struct str token, int64_t now_us,
                        struct principal *out_principal)
{
    struct parts *parts = cv_alloc(sizeof *parts);
    json_t *header = NULL;
    json_t *claims = NULL;
    const char *why = NULL;
    if (split(token, parts)) {
        header = parse_object(parts->bytes[0], parts->length[0]);
        claims = parse_object(parts->bytes[1], parts->length[1]);
    }
    if (header == NULL || claims == NULL)
        why = "The token is no signed JWT.";
    if (why == NULL)
        why = check_signature(options, token, parts, header, &out_principal->keys_version);
    if (why == NULL)
        why = check_claims(options, claims, now_us, out_principal);
    if (why == NULL) {
        take_client(claims, out_principal);
        out_principal->has_role = claims_have_role(claims);
    }
    json_decref(header);
    json_decref(claims);
    free(parts);
    return why;
}

/*
 * The credentials after `Bearer`; empty when there are none or the scheme is another one. Only spaces divide the two
 * (RFC 9110, section 11.4); after another delimiter the credentials are taken with it, and are no token then.
 */
static struct str take_bearer(const char *field)
{
    static const char scheme[] = "Bearer";
    if (strncasecmp(field, scheme, sizeof scheme - 1) != 0)
        return STR("");
    field += sizeof scheme - 1;
    if (*field != ' ' && *field != '\t')
        return STR("");
    field += strspn(field, " ");
    size_t length = strlen(field);
    while (length > 0 && (field[length - 1] == ' ' || field[length - 1] == '\t'))
        length--;
    return (struct str){field, length};
}

enum auth_outcome auth_request(const struct auth_options *options, const struct http_request *request,
                               struct principal *out_principal, const char **out_why)
{
    const char *field = http_header(request, "Authorization", 0);
    if (field != NULL && http_header(request, "Authorization", 1) != NULL) {
        *out_why = "Authorization is given twice.";
        return AUTH_INVALID_TOKEN;
    }
    struct str token = field != NULL ? take_bearer(field) : STR("");
    if (token.len == 0) {
        *out_why = NULL;
        return AUTH_NO_TOKEN;
    }
    int64_t now_us = clock_wall_us();
    if (tokens_find(options->tokens, token, key_source_version(options->keys), now_us, out_principal))
        return AUTH_OK;
    *out_why = auth_verify(options, token, now_us, out_principal);
    if (*out_why != NULL)
        return AUTH_INVALID_TOKEN;
    tokens_remember(options->tokens, token, out_principal);
    return AUTH_OK;
}
