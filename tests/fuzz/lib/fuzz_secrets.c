/*
 * Any bytes around a marker in a secret position of a URL: user and password, or query. The URL as a log line shows it,
 * and the error that refuses it as an option, never contain the marker.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "caseview/config.h"
#include "caseview/fetch.h"

#define MARK "hush"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct option_def *const tables[] = {caseview_options, NULL};

static void check(char *url)
{
    char shown[1024], issuer[] = "--issuer=i", audience[] = "--audience=a", jwks[] = "--jwks";
    char *argv[] = {issuer, audience, jwks, url, NULL}, *none[] = {NULL};
    struct err err = ERR_INIT;
    struct config *config = NULL;
    fetch_redact(url, shown, sizeof shown);
    assert(strstr(shown, MARK) == NULL);
    if (config_load(tables, SCOPE_API, 4, argv, none, &config, &err) != CV_OK)
        assert(err.text[0] != '\0' && strstr(err.text, MARK) == NULL);
    config_free(config);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char url[1024], parts[3][256] = {"", "", ""};
    size_t part = 0, len = 0;
    for (size_t i = 0; i < size; i++) {
        if (data[i] == '\n' && part + 1 < ARRAY_LEN(parts)) {
            part++;
            len = 0;
        } else if (data[i] != '\0' && len + 1 < sizeof parts[0]) {
            parts[part][len++] = (char)data[i];
            parts[part][len] = '\0';
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (strpbrk(parts[i], "hush") != NULL)
            return 0; /* the input could contain a second marker outside the secret */
    snprintf(url, sizeof url, "http://%s" MARK "%s@example.org%s", parts[0], parts[1], parts[2]);
    check(url);
    snprintf(url, sizeof url, "https://example.org%s?%s" MARK "%s", parts[0], parts[1], parts[2]);
    check(url);
    return 0;
}
