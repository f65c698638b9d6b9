#include "caseview/fetch.h"

#include <curl/curl.h>
#include <stdio.h>

#include "authorities.h"

void fetch_global_init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

enum cv_status fetch_use_ca_file(const char *path, struct err *err)
{
    return path != NULL ? authorities_use(path, err) : CV_OK;
}

void fetch_reload_ca_file(void)
{
    struct buf pem CV_CLEANUP(buf_done);
    buf_init(&pem, AUTHORITIES_MAX_BYTES);
    authorities_read(NULL, &pem);
}

/*
 * Shown is what follows the last @ and precedes a query or fragment, so that nothing is shown of a password with a /.
 * When ? or # precede an @, that may be a password or a query: only the scheme is shown.
 */
void fetch_redact(const char *url, char *out, size_t out_size)
{
    const char *end = url + strcspn(url, "?#"), *scheme_end = strstr(url, "://"), *at = strrchr(url, '@');
    const char *rest = scheme_end != NULL && scheme_end < end ? scheme_end + 3 : url;
    int scheme_len = (int)(rest - url);
    if (memchr(url, '@', (size_t)scheme_len) != NULL)
        scheme_len = 0;
    if (at != NULL && at > end)
        snprintf(out, out_size, "%.*s…", scheme_len, url);
    else
        snprintf(out, out_size, "%.*s%.*s", scheme_len, url, (int)(end - (at != NULL ? at + 1 : rest)),
                 at != NULL ? at + 1 : rest);
}

static size_t on_data(char *data, size_t size, size_t count, void *context)
{
    struct buf *body = context;
    buf_append(body, data, size * count);
    return body->overflow ? 0 : size * count; /* a short count ends the transfer */
}

static bool set_common(CURL *curl, const char *url, int timeout_ms, struct buf *body, char *error_text)
{
    bool ok = true;
    ok &= curl_easy_setopt(curl, CURLOPT_URL, url) == CURLE_OK;
    ok &= curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK;
    ok &= curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK; /* threads */
    ok &= curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK;
    ok &= curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms) == CURLE_OK;
    ok &= curl_easy_setopt(curl, CURLOPT_USERAGENT, "caseview") == CURLE_OK;
    ok &= curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error_text) == CURLE_OK;
    ok &= curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data) == CURLE_OK;
    ok &= curl_easy_setopt(curl, CURLOPT_WRITEDATA, body) == CURLE_OK;
    return ok;
}

/* Where there is a ca-file, the authorities are given as one text: libcurl takes one file only. */
static bool set_authorities(CURL *curl)
{
    struct buf pem CV_CLEANUP(buf_done);
    buf_init(&pem, 2 * AUTHORITIES_MAX_BYTES + 1);
    if (!authorities_read(curl_version_info(CURLVERSION_NOW)->cainfo, &pem))
        return true;
    struct curl_blob blob = {.data = pem.data, .len = pem.len, .flags = CURL_BLOB_COPY};
    return !pem.overflow && curl_easy_setopt(curl, CURLOPT_CAINFO_BLOB, &blob) == CURLE_OK;
}

static enum cv_status perform(CURL *curl, const char *url, const char *error_text, int *out_status,
                              struct buf *out_body, struct err *err)
{
    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    if (code == CURLE_OK)
        code = curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_OK) {
        *out_status = (int)status;
        return CV_OK;
    }
    char shown[512];
    fetch_redact(url, shown, sizeof shown);
    /* curl's own text may repeat a part of the URL, so it is not used where that has a secret. */
    bool secret = strpbrk(url, "@?#") != NULL;
    if (out_body->overflow)
        err_set(err, "%s: the answer is longer than %zu bytes", shown, out_body->max);
    else
        err_set(err, "%s: %s", shown, !secret && error_text[0] != '\0' ? error_text : curl_easy_strerror(code));
    return CV_RETRY;
}

static enum cv_status request(const char *url, const char *content_type, const struct str *post, int timeout_ms,
                              int *out_status, struct buf *out_body, struct err *err)
{
    char error_text[CURL_ERROR_SIZE] = "";
    char header[256];
    struct curl_slist *headers = NULL;
    CURL *curl = curl_easy_init();
    bool ok = curl != NULL && set_common(curl, url, timeout_ms, out_body, error_text) && set_authorities(curl);
    if (ok && post != NULL) {
        snprintf(header, sizeof header, "Content-Type: %s", content_type);
        headers = curl_slist_append(NULL, header);
        ok = headers != NULL && curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
             curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)post->len) == CURLE_OK &&
             curl_easy_setopt(curl, CURLOPT_POSTFIELDS, post->ptr) == CURLE_OK;
    }
    enum cv_status status = CV_RETRY;
    if (ok)
        status = perform(curl, url, error_text, out_status, out_body, err);
    else
        err_set(err, "libcurl could not be set up for a request");
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return status;
}

enum cv_status fetch_get(const char *url, int timeout_ms, int *out_status, struct buf *out_body, struct err *err)
{
    return request(url, NULL, NULL, timeout_ms, out_status, out_body, err);
}

enum cv_status fetch_post(const char *url, const char *content_type, struct str body, int timeout_ms, int *out_status,
                          struct buf *out_body, struct err *err)
{
    return request(url, content_type, &body, timeout_ms, out_status, out_body, err);
}
