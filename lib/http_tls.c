#include "http_tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "caseview/buf.h"
#include "caseview/clock.h"
#include "caseview/file.h"
#include "caseview/log.h"

enum { FILE_MAX = 1024 * 1024, REFRESH_EVERY_MS = 5000 };

struct http_tls {
    const char *path;
    SSL_CTX *context;
    struct buf content; /* of the file that was last looked at, good or bad */
    bool unreadable;    /* it could not be read the last time, which has been logged */
    int64_t next_ms;
    atomic_bool reload;
    _Atomic int64_t expiry_s; /* of the certificate in force */
};

static void set_openssl_error(struct err *err, const char *path, const char *what)
{
    char text[256] = "no details";
    unsigned long code = ERR_get_error();
    if (code != 0)
        ERR_error_string_n(code, text, sizeof text);
    ERR_clear_error();
    err_set(err, "tls-certificate %s: %s: %s", path, what, text);
}

/* The first certificate is the server's, further ones are its chain. */
static bool use_chain(SSL_CTX *context, BIO *pem)
{
    X509 *certificate = PEM_read_bio_X509_AUX(pem, NULL, NULL, NULL);
    bool good = certificate != NULL && SSL_CTX_use_certificate(context, certificate) == 1;
    X509_free(certificate);
    for (X509 *more; good && (more = PEM_read_bio_X509(pem, NULL, NULL, NULL)) != NULL;) {
        good = SSL_CTX_add0_chain_cert(context, more) == 1;
        if (!good)
            X509_free(more);
    }
    if (good)
        ERR_clear_error(); /* reading ends with "no start line" */
    return good;
}

static bool use_key(SSL_CTX *context, BIO *pem)
{
    static char no_passphrase[] = "";
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, NULL, no_passphrase); /* never asks on a terminal */
    bool good = key != NULL && SSL_CTX_use_PrivateKey(context, key) == 1;
    EVP_PKEY_free(key);
    return good;
}

/* NULL: the text is no certificate with its key; err says why. */
static SSL_CTX *make_context(const char *path, struct str text, struct err *err)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    BIO *pem = BIO_new_mem_buf(text.ptr, (int)text.len);
    const char *what = NULL;
    if (context == NULL || pem == NULL)
        what = "out of memory";
    else if (!use_chain(context, pem))
        what = "no usable certificate";
    else if (BIO_seek(pem, 0) < 0 || !use_key(context, pem))
        what = "no usable private key";
    else if (SSL_CTX_check_private_key(context) != 1)
        what = "the key does not belong to the certificate";
    BIO_free(pem);
    if (what != NULL) {
        set_openssl_error(err, path, what);
        SSL_CTX_free(context);
        return NULL;
    }
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF); /* tickets resume sessions without memory here */
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(context,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    return context;
}

/* When the first certificate ends: the one of the chain that is renewed most often. */
static int64_t expiry_of(const SSL_CTX *context)
{
    struct tm tm;
    const X509 *certificate = SSL_CTX_get0_certificate(context);
    if (certificate == NULL || ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm) != 1)
        return 0;
    return (int64_t)timegm(&tm);
}

enum cv_status http_tls_new(const char *path, struct http_tls **out_tls, struct err *err)
{
    struct http_tls *tls = cv_zalloc(sizeof *tls);
    tls->path = path;
    buf_init(&tls->content, FILE_MAX);
    if (file_read(path, &tls->content, err) == CV_OK)
        tls->context = make_context(path, file_skip_bom((struct str){tls->content.data, tls->content.len}), err);
    if (tls->context == NULL) {
        http_tls_free(tls);
        return CV_FATAL;
    }
    tls->expiry_s = expiry_of(tls->context);
    *out_tls = tls;
    return CV_OK;
}

void http_tls_free(struct http_tls *tls)
{
    if (tls == NULL)
        return;
    SSL_CTX_free(tls->context);
    if (tls->content.data != NULL)
        OPENSSL_cleanse(tls->content.data, tls->content.len); /* it holds the key */
    buf_done(&tls->content);
    free(tls);
}

struct ssl_st *http_tls_connection(struct http_tls *tls)
{
    return SSL_new(tls->context);
}

void http_tls_close(struct ssl_st *ssl)
{
    if (ssl == NULL)
        return;
    if (SSL_is_init_finished(ssl))
        SSL_shutdown(ssl); /* one record; the socket does not block */
    SSL_free(ssl);
    ERR_clear_error();
}

bool http_tls_has_part(const struct ssl_st *ssl)
{
    return SSL_has_pending(ssl) == 1 || strcmp(SSL_rstate_string(ssl), "RB") == 0; /* it waits for the record's body */
}

ssize_t http_tls_read(struct ssl_st *ssl, char *out, size_t size)
{
    int n = SSL_is_init_finished(ssl) ? SSL_read(ssl, out, (int)size) : -1;
    ERR_clear_error();
    return n > 0 ? n : -1;
}

void http_tls_write(struct ssl_st *ssl, const char *bytes, size_t len)
{
    if (SSL_is_init_finished(ssl))
        SSL_write(ssl, bytes, (int)len);
    ERR_clear_error();
}

static bool same_content(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && (a->len == 0 || memcmp(a->data, b->data, a->len) == 0);
}

static void take_content(struct http_tls *tls, struct buf *content)
{
    if (tls->content.data != NULL)
        OPENSSL_cleanse(tls->content.data, tls->content.len);
    buf_done(&tls->content);
    tls->content = *content;
    buf_init(content, FILE_MAX);
}

void http_tls_refresh(struct http_tls *tls, int64_t now_ms)
{
    if (!atomic_exchange(&tls->reload, false) && now_ms < tls->next_ms)
        return;
    tls->next_ms = now_ms + REFRESH_EVERY_MS;
    struct buf content CV_CLEANUP(buf_done);
    struct err err = ERR_INIT;
    buf_init(&content, FILE_MAX);
    if (file_read(tls->path, &content, &err) != CV_OK) {
        if (!tls->unreadable)
            log_warn("tls-certificate cannot be read, the one in force stays: %s", err.text);
        tls->unreadable = true;
        return;
    }
    tls->unreadable = false;
    if (same_content(&content, &tls->content))
        return;
    SSL_CTX *context = make_context(tls->path, file_skip_bom((struct str){content.data, content.len}), &err);
    take_content(tls, &content); /* a bad one, too: it is logged once */
    if (context == NULL) {
        log_warn("changed tls-certificate cannot be used, the one in force stays: %s", err.text);
        return;
    }
    SSL_CTX_free(tls->context);
    tls->context = context;
    tls->expiry_s = expiry_of(context);
    log_info("changed tls-certificate %s is in force for new connections", tls->path);
}

int64_t http_tls_expiry_s(const struct http_tls *tls)
{
    return tls != NULL ? tls->expiry_s : 0;
}

void http_tls_reload(struct http_tls *tls)
{
    if (tls != NULL)
        atomic_store(&tls->reload, true);
}
