#include "request_id.h"

#include <stdatomic.h>
#include <xxhash.h>

#include "caseview/uuid.h"

/* A fresh id is the hash of a counter under a random key: unique and unguessable enough, without a system call each. */
static struct uuid key;
static atomic_uint_fast64_t counter;

void request_id_init(void)
{
    uuid_random(&key);
}

static void make_fresh(char out[UUID_TEXT_LEN + 1])
{
    struct {
        struct uuid key;
        uint64_t number;
    } input = {.key = key, .number = atomic_fetch_add_explicit(&counter, 1, memory_order_relaxed)};
    XXH128_hash_t hash = XXH3_128bits(&input, sizeof input);
    struct uuid id;
    static_assert(sizeof id == sizeof hash, "both are 16 bytes");
    memcpy(id.b, &hash, sizeof id.b);
    id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x40); /* version 4, variant 1 */
    id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
    uuid_format(&id, out);
}

/* The length of an acceptable id, without white space after it; 0: it is none. */
static size_t acceptable_length(const char *id)
{
    size_t len = id != NULL ? strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-") : 0;
    return len <= REQUEST_ID_MAX && len > 0 && id[len + strspn(id + len, " \t")] == '\0' ? len : 0;
}

const char *request_id_put(const struct http_request *request, struct http_response *response,
                           char out[REQUEST_ID_MAX + 1])
{
    const char *given = http_header(request, "X-Request-Id", 0);
    size_t len = acceptable_length(given);
    if (len > 0) {
        memcpy(out, given, len);
        out[len] = '\0';
    } else {
        make_fresh(out);
    }
    buf_str(&response->headers, STR("X-Request-Id: "));
    buf_puts(&response->headers, out);
    buf_str(&response->headers, STR("\r\n"));
    return out;
}
