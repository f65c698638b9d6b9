#include "authorities.h"

#include <pthread.h>

#include "caseview/file.h"
#include "caseview/log.h"

#define PEM_BEGIN "-----BEGIN "
#define PEM_END   "-----END "

/* Process-wide, as libcurl's own settings are. The mutex guards `good` and `broken`. */
static struct {
    const char *path; /* set before threads start */
    pthread_mutex_t mutex;
    char *good;   /* the last content that was valid */
    char *broken; /* the last error that was logged, NULL: none since the last good content */
} authorities = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* The value of a base64 digit, -1: none. */
static int base64_value(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = c != '\0' ? strchr(digits, c) : NULL;
    return found != NULL ? (int)(found - digits) : -1;
}

/* True when the first bytes of a DER structure say that it is a SEQUENCE of `size` bytes in all (X.690, 8.1.3). */
static bool is_sequence(const uint8_t head[6], size_t size)
{
    size_t length_bytes = head[1] > 0x80 ? head[1] & 0x7fu : 0, length = length_bytes > 0 ? 0 : head[1];
    if (head[0] != 0x30 || head[1] == 0x80 || length_bytes > 4)
        return false;
    for (size_t i = 0; i < length_bytes; i++)
        length = length << 8 | head[2 + i];
    return size == 2 + length_bytes + length;
}

/* True when the text is base64, with line ends anywhere, of one whole DER structure. A truncated one is not. */
static bool is_der(const char *text, size_t len)
{
    uint8_t head[6] = {0};
    size_t digits = 0, padding = 0;
    for (size_t i = 0; i < len; i++) {
        if (strchr(" \t\r\n", text[i]) != NULL && text[i] != '\0')
            continue;
        int value = base64_value(text[i]);
        padding += text[i] == '=';
        if (text[i] != '=' && (value < 0 || padding > 0))
            return false;
        for (size_t bit = 0; value >= 0 && bit < 6; bit++)
            if (digits * 6 + bit < sizeof head * 8 && value & 1 << (5 - bit))
                head[(digits * 6 + bit) / 8] |= (uint8_t)(0x80 >> (digits * 6 + bit) % 8);
        digits++;
    }
    return digits > 4 && digits % 4 == 0 && padding <= 2 && is_sequence(head, digits / 4 * 3 - padding);
}

/* Checks that a PEM text has certificates, each of them whole. Text around them is allowed (RFC 7468). */
static enum cv_status check_pem(const char *pem, struct err *err)
{
    size_t count = 0;
    for (const char *p = pem; (p = strstr(p, PEM_BEGIN)) != NULL;) {
        const char *label = p + strlen(PEM_BEGIN), *body = strstr(label, "-----\n"), *end = strstr(label, PEM_END);
        if (body == NULL)
            body = strstr(label, "-----\r\n");
        bool certificate = strncmp(label, "CERTIFICATE-----", 16) == 0;
        if (!certificate || body == NULL || end == NULL || body > end || strncmp(end + 9, label, 16) != 0 ||
            !is_der(body + 5, (size_t)(end - body - 5))) {
            err_set(err, "%s: entry %zu is not a whole certificate", authorities.path, count + 1);
            return CV_FATAL;
        }
        count++;
        p = end;
    }
    if (count > 0)
        return CV_OK;
    err_set(err, "%s: contains no certificate in PEM form", authorities.path);
    return CV_FATAL;
}

/* Reads and checks the file. The content is the caller's. */
static enum cv_status read_file(char **out_pem, struct err *err)
{
    struct buf text CV_CLEANUP(buf_done);
    buf_init(&text, AUTHORITIES_MAX_BYTES);
    enum cv_status status = file_read(authorities.path, &text, err);
    if (status != CV_OK)
        return CV_FATAL;
    struct str pem = file_skip_bom((struct str){text.data != NULL ? text.data : "", text.len});
    status = check_pem(pem.ptr, err); /* a NUL ends the text there, as it would for libcurl */
    if (status == CV_OK)
        *out_pem = cv_strdup(pem.ptr);
    return status;
}

enum cv_status authorities_use(const char *path, struct err *err)
{
    authorities.path = path;
    enum cv_status status = read_file(&authorities.good, err);
    if (status != CV_OK)
        authorities.path = NULL;
    return status;
}

/* Caller holds the mutex. Logs an error that is not the last one logged. */
static void report(const struct err *err)
{
    if (authorities.broken != NULL && strcmp(authorities.broken, err->text) == 0)
        return;
    free(authorities.broken);
    authorities.broken = cv_strdup(err->text);
    log_error("ca-file: %s; the certificates read before remain trusted", err->text);
}

bool authorities_read(const char *system_bundle, struct buf *out)
{
    if (authorities.path == NULL)
        return false;
    struct err err = ERR_INIT;
    char *pem = NULL;
    if (system_bundle != NULL && file_read(system_bundle, out, NULL) == CV_OK)
        buf_byte(out, '\n');
    enum cv_status status = read_file(&pem, &err);
    pthread_mutex_lock(&authorities.mutex);
    if (status == CV_OK) {
        if (strcmp(pem, authorities.good) != 0)
            log_info("ca-file: %s has changed, its certificates are trusted from now on", authorities.path);
        free(authorities.good);
        free(authorities.broken);
        authorities.good = pem;
        authorities.broken = NULL;
    } else {
        report(&err);
    }
    buf_puts(out, authorities.good);
    pthread_mutex_unlock(&authorities.mutex);
    return true;
}
