#include "http_refuse.h"

#include <sys/socket.h>

#include "http_answer.h"
#include "http_guard.h"

enum {
    ANSWER_MAX = 16 * 1024,
    READS_MAX = 8, /* of HTTP_HEAD_MAX bytes: what is unread when the socket is closed could discard the answer */
};

static ssize_t read_some(const struct http_kept *kept, char *out, size_t size)
{
    return kept->ssl != NULL ? http_tls_read(kept->ssl, out, size) : recv(kept->fd, out, size, MSG_DONTWAIT);
}

/* Cuts the header block into lines. Enough for the fields of an answer; nothing is decided by them. */
static void read_fields(struct http_head *head, char *text)
{
    char *line = strstr(text, "\r\n");
    while (line != NULL && head->field_count < HTTP_FIELDS_MAX) {
        char *name = line + 2;
        line = strstr(name, "\r\n");
        if (line != NULL)
            *line = '\0';
        char *colon = strchr(name, ':');
        if (colon == NULL)
            return;
        *colon = '\0';
        head->fields[head->field_count++] = (struct http_field){name, colon + 1 + strspn(colon + 1, " \t")};
    }
}

void http_refuse_waiting(void (*refused)(void *context, const struct http_request *, struct http_response *),
                         void *context, const struct http_kept *kept)
{
    char text[HTTP_HEAD_MAX + 1], more[HTTP_HEAD_MAX];
    size_t begun = kept->begun_len;
    if (begun > 0)
        memcpy(text, kept->begun, begun);
    ssize_t n = read_some(kept, text + begun, sizeof text - 1 - begun);
    text[begun + (n > 0 ? (size_t)n : 0)] = '\0';
    for (int i = 1; n > 0 && i < READS_MAX; i++)
        n = read_some(kept, more, sizeof more);

    struct http_head head = {.path = {"", 0}};
    struct http_date date = {.second = 0};
    struct http_response response = {.status = 503};
    struct buf out CV_CLEANUP(buf_done);
    const struct http_request request = {
        .path = {"", 0},
        .head = &head,
        .refusal_status = 503,
        .refusal = "All threads were busy; no one could serve the request in time.",
    };
    const struct http_answer_form form = {.is_head = strncmp(text, "HEAD ", 5) == 0, .keep_alive = NULL};
    read_fields(&head, text);
    buf_init(&out, 2 * ANSWER_MAX);
    buf_init(&response.headers, ANSWER_MAX);
    buf_init(&response.body, ANSWER_MAX);
    if (refused != NULL)
        refused(context, &request, &response);
    else
        buf_str(&response.headers, STR("Retry-After: 1\r\n"));
    if (http_answer_head(&out, &response, &form, &date))
        buf_append(&out, response.body.data, response.body.len);
    /* A short write or a failed one leaves the client without an answer: it does not read, or is gone. */
    if (kept->ssl != NULL)
        http_tls_write(kept->ssl, out.data, out.len);
    else
        (void)!send(kept->fd, out.data, out.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    buf_done(&response.headers);
    buf_done(&response.body);
}
