/*
 * Any bytes as an access token: as sent, and as header, claims and signature (separated by line ends) that are encoded
 * first, so that the code after base64url is reached. The key never signed them, so all must be refused.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "api/auth.h"
#include "caseview/buf.h"
#include "caseview/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TOKEN_MAX 8192

/* The base point of P-256: a public key whose private key is not used. */
static const char key_set[] = "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"k\","
                              "\"x\":\"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY\","
                              "\"y\":\"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU\"}]}";

static const struct auth_options *options(void)
{
    static const char *const names[] = {"i", NULL};
    static struct metrics *volatile metrics; /* reachable for the leak checker */
    static struct auth_options made;
    static char path[] = "/tmp/fuzz_token_XXXXXX";
    if (made.keys != NULL)
        return &made;
    log_init("fuzz", LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
    int fd = mkstemp(path);
    assert(fd >= 0 && write(fd, key_set, sizeof key_set - 1) == (ssize_t)(sizeof key_set - 1));
    close(fd);
    metrics = metrics_new();
    made = (struct auth_options){names, names, key_source_new(path, 86400, 2, metrics), tokens_new(metrics)};
    while (key_source_version(made.keys) == 0)
        usleep(1000);
    unlink(path);
    return &made;
}

static void encode(struct buf *out, const uint8_t *data, size_t size)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    int count = 0;
    for (size_t i = 0; i < size; i++) {
        bits = bits << 8 | data[i];
        for (count += 8; count >= 6; count -= 6)
            buf_byte(out, digits[bits >> (count - 6) & 63]);
    }
    if (count > 0)
        buf_byte(out, digits[bits << (6 - count) & 63]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct principal principal;
    struct buf token;
    assert(auth_verify(options(), (struct str){(const char *)data, size}, 0, &principal) != NULL);

    buf_init(&token, TOKEN_MAX);
    for (const uint8_t *end = data + size; data < end;) {
        const uint8_t *stop = memchr(data, '\n', (size_t)(end - data));
        if (stop == NULL)
            stop = end;
        encode(&token, data, (size_t)(stop - data));
        if (stop == end)
            break;
        buf_byte(&token, '.');
        data = stop + 1;
    }
    if (!token.overflow && token.len > 0)
        assert(auth_verify(options(), (struct str){token.data, token.len}, 0, &principal) != NULL);
    buf_done(&token);
    return 0;
}
