#include "deploy/dev/token.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "deploy/dev/keyring.h"

/*
 * Returns an option's items as an array, or a single one as text if wanted, since issuers write one audience as text.
 */
static json_t *list(const struct config *config, const char *option, bool single_as_text)
{
    json_t *array = json_array();
    const char *item;
    for (size_t i = 0; (item = config_item(config, option, i)); i++)
        json_array_append_new(array, json_string(item));
    if (!single_as_text || json_array_size(array) != 1)
        return array;
    json_t *text = json_incref(json_array_get(array, 0));
    json_decref(array);
    return text;
}

/* Replaces claims by the members of the option; null removes a claim. */
static enum cv_status merge(json_t *claims, const char *text, struct err *err)
{
    json_error_t failure;
    json_t *own = json_loads(text, 0, &failure);
    if (!json_is_object(own)) {
        err_set(err, "--claims: %s", own ? "must be a JSON object" : failure.text);
        json_decref(own);
        return CV_FATAL;
    }
    const char *name;
    json_t *value;
    json_object_foreach(own, name, value)
    {
        if (json_is_null(value))
            json_object_del(claims, name);
        else
            json_object_set(claims, name, value);
    }
    json_decref(own);
    return CV_OK;
}

static enum cv_status make_claims(const struct config *config, json_t **out_claims, struct err *err)
{
    int64_t now = clock_wall_us() / 1000000;
    json_t *claims = json_object();
    json_object_set_new(claims, "iss", json_string(config_text(config, "issuer")));
    json_object_set_new(claims, "aud", list(config, "audience", true));
    json_object_set_new(claims, "iat", json_integer(now));
    json_object_set_new(claims, "exp", json_integer(now + config_int(config, "expires-in-s")));
    if (config_is_set(config, "valid-in-s"))
        json_object_set_new(claims, "nbf", json_integer(now + config_int(config, "valid-in-s")));
    if (config_text(config, "client"))
        json_object_set_new(claims, config_text(config, "client-claim"), json_string(config_text(config, "client")));
    if (config_text(config, "roles"))
        json_object_set_new(claims, "roles", list(config, "roles", false));
    enum cv_status status = config_text(config, "claims") ? merge(claims, config_text(config, "claims"), err) : CV_OK;
    if (status != CV_OK) {
        json_decref(claims);
        return status;
    }
    *out_claims = claims;
    return CV_OK;
}

static enum cv_status sign(cjose_jwk_t *key, const char *algorithm, const char *kid, const char *text, struct err *err)
{
    cjose_err failure = {0};
    const char *token = NULL;
    cjose_jws_t *jws = NULL;
    cjose_header_t *header = cjose_header_new(&failure);
    if (header && cjose_header_set(header, CJOSE_HDR_ALG, algorithm, &failure) &&
        cjose_header_set(header, CJOSE_HDR_KID, kid, &failure) && cjose_header_set(header, "typ", "JWT", &failure))
        jws = cjose_jws_sign(key, header, (const uint8_t *)text, strlen(text), &failure);
    enum cv_status status = jws && cjose_jws_export(jws, &token, &failure) ? CV_OK : CV_FATAL;
    if (status != CV_OK)
        err_set(err, "cannot sign the token: %s", failure.message != NULL ? failure.message : "failed");
    else
        puts(token);
    cjose_jws_release(jws);
    cjose_header_release(header);
    return status;
}

static enum cv_status make_token(const struct config *config, struct err *err)
{
    const char *algorithm = config_text(config, "algorithm");
    const char *kid = config_text(config, "kid");
    char own_kid[16] = "";
    for (size_t i = 0; algorithm[i] && i < sizeof own_kid - 1; i++)
        own_kid[i] = (char)tolower((unsigned char)algorithm[i]);
    if (kid == NULL)
        kid = own_kid;
    json_t *claims;
    enum cv_status status = make_claims(config, &claims, err);
    if (status != CV_OK)
        return status;
    char *text CV_CLEANUP(cv_free_ptr) = json_dumps(claims, JSON_COMPACT);
    json_decref(claims);
    cjose_jwk_t *key;
    status = keyring_key(config_text(config, "keys"), algorithm, kid, &key, err);
    if (status != CV_OK)
        return status;
    status = sign(key, algorithm, kid, text, err);
    cjose_jwk_release(key);
    return status;
}

int token_main(struct config *config)
{
    struct err err = ERR_INIT;
    enum cv_status status = CV_FATAL;
    if (config_operand(config, 0))
        err_set(&err, "unexpected word: %s", config_shown(config_operand(config, 0)));
    else
        status = make_token(config, &err);
    if (status == CV_OK)
        return CV_EXIT_OK;
    log_error("%s", err.text);
    return CV_EXIT_USAGE;
}
