#include "caseview/http.h"

#include <civetweb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "http_guard.h"
#include "http_listeners.h"
#include "http_tls.h"

static_assert(HTTP_FIELDS_MAX == MG_MAX_HEADERS, "a full field list means that some may have been dropped");

enum {
    BODY_MAX = 64 * 1024,         /* of a request, read and thrown away */
    DRAIN_MAX = 1024 * 1024,      /* of a refused body, so that the answer is read before the connection is reset */
    HEADERS_MAX = 8 * 1024,       /* of an answer, beside those made here */
    KEPT_MAX = 256 * 1024,        /* a thread's buffers above this are given back after the answer */
    HEADER_TIMEOUT_MS = 5000,     /* for a whole header block, and for a stalled read or write */
    KEEP_ALIVE_TIMEOUT_MS = 1000, /* an idle client holds a thread no longer */
    BODY_TIMEOUT_MS = 5000,
    LARGE_PART = 256 * 1024,
    LARGE_TIMEOUT_MS = 60000, /* for all of a large body */
    DRAIN_ON_STOP_MS = 10000,
    QUIET_ON_STOP_MS = 50,
    LISTENERS_MAX = 16,
    SLOTS_BUSY_PERCENT = 90,
};

/* One CivetWeb thread; only that thread touches it. */
struct worker {
    struct http_head head;
    struct buf out, headers, body;
    char text[HTTP_HEAD_MAX + 1]; /* a header block that CivetWeb left unparsed */
    char date[sizeof "Thu, 01 Jan 1970 00:00:00 GMT"];
    int64_t date_s;
    const char *buffer; /* lowest place where a request began: the start of CivetWeb's buffer of this thread */
    bool counted;       /* its connection is in server->connections */
    bool error_answered;
};

struct http_server {
    struct mg_context *context;
    struct http_options options;
    int ports[LISTENERS_MAX];
    int listeners[LISTENERS_MAX];
    size_t listener_count;
    char start_error[256]; /* CivetWeb's first words during a failed start; the starting thread's */
    atomic_bool started;
    atomic_bool stopping;
    atomic_int connections;
    atomic_int in_flight;
};

static struct http_server *server_of(const struct mg_connection *connection)
{
    return mg_get_user_data(mg_get_context(connection));
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

static const char *reason_phrase(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 204:
        return "No Content";
    case 304:
        return "Not Modified";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 409:
        return "Conflict";
    case 413:
        return "Content Too Large";
    case 503:
        return "Service Unavailable";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return status < 400 ? "Done" : status < 500 ? "Client Error" : "Internal Server Error";
    }
}

static void put_number(struct buf *out, size_t number)
{
    char digits[20];
    char *p = digits + sizeof digits;
    do
        *--p = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    buf_append(out, p, (size_t)(digits + sizeof digits - p));
}

static void refresh_date(struct worker *worker)
{
    int64_t now_s = clock_wall_us() / 1000000;
    if (now_s == worker->date_s)
        return;
    time_t time = (time_t)now_s;
    struct tm utc;
    if (gmtime_r(&time, &utc) && strftime(worker->date, sizeof worker->date, "%a, %d %b %Y %H:%M:%S GMT", &utc) > 0)
        worker->date_s = now_s;
}

/* In parts, so that a client that reads slowly is given up after a time whatever it reads. False: not all was sent. */
static bool send_large(struct mg_connection *connection, struct str text)
{
    int64_t deadline = clock_mono_ms() + LARGE_TIMEOUT_MS;
    for (size_t sent = 0; sent < text.len;) {
        size_t part = text.len - sent < LARGE_PART ? text.len - sent : LARGE_PART;
        if (clock_mono_ms() > deadline || mg_write(connection, text.ptr + sent, part) != (int)part)
            return false;
        sent += part;
    }
    return true;
}

/* Header and body go out in one write: the copy of the body costs less than a second system call. */
static void send_answer(struct mg_connection *connection, struct worker *worker, struct http_response *response,
                        bool keep_alive)
{
    struct buf *out = &worker->out;
    bool has_body = response->status != 204 && response->status != 304;
    bool is_head = worker->head.method && strcmp(worker->head.method, "HEAD") == 0;

    refresh_date(worker);
    buf_reset(out);
    buf_str(out, STR("HTTP/1.1 "));
    put_number(out, (size_t)response->status);
    buf_byte(out, ' ');
    buf_puts(out, reason_phrase(response->status));
    buf_str(out, STR("\r\nDate: "));
    buf_append(out, worker->date, sizeof worker->date - 1);
    buf_str(out, STR("\r\n"));
    if (has_body && response->content_type) {
        buf_str(out, STR("Content-Type: "));
        buf_puts(out, response->content_type);
        buf_str(out, STR("\r\n"));
    }
    if (has_body) {
        buf_str(out, STR("Content-Length: "));
        put_number(out, response->large.ptr != NULL ? response->large.len : response->body.len);
        buf_str(out, STR("\r\n"));
    }
    buf_append(out, response->headers.data, response->headers.len);
    if (!keep_alive)
        buf_str(out, STR("Connection: close\r\n"));
    else if (strcmp(worker->head.version, "1.0") == 0)
        buf_str(out, STR("Connection: keep-alive\r\n"));
    buf_str(out, STR("\r\n"));
    bool is_large = has_body && !is_head && response->large.ptr != NULL;
    if (has_body && !is_head && !is_large)
        buf_append(out, response->body.data, response->body.len);

    bool sent = mg_write(connection, out->data, out->len) == (int)out->len;
    if (sent && is_large)
        sent = send_large(connection, response->large);
    if (!keep_alive || !sent)
        mg_disable_connection_keep_alive(connection);
}

static void give_back_large(struct buf *buf)
{
    if (buf->cap > KEPT_MAX)
        buf_done(buf);
}

static void answer(struct mg_connection *connection, struct http_server *server, struct worker *worker,
                   const struct http_request *request, bool may_keep)
{
    struct http_response response = {.headers = worker->headers, .body = worker->body};
    buf_reset(&response.headers);
    buf_reset(&response.body);
    http_handler handler = request->refusal ? server->options.refused : server->options.handler;
    if (handler)
        handler(server->options.context, request, &response);
    else
        response.status = request->refusal_status;
    if (response.status == 0 || response.body.overflow || response.headers.overflow) {
        log_error("bug: no answer to %s %.*s", request->method ? request->method : "a request",
                  (int)(request->path.len < 512 ? request->path.len : 512), request->path.ptr ? request->path.ptr : "");
        response.status = 500;
        response.content_type = NULL;
        response.large = STR_NULL;
        buf_reset(&response.headers);
        buf_reset(&response.body);
    }
    bool busy = atomic_load_explicit(&server->connections, memory_order_relaxed) * 100 >=
                server->options.threads * SLOTS_BUSY_PERCENT;
    bool keep = may_keep && !response.close && !busy && !atomic_load_explicit(&server->stopping, memory_order_relaxed);
    send_answer(connection, worker, &response, keep);
    if (response.release != NULL)
        response.release(response.owner);
    give_back_large(&response.body);
    give_back_large(&worker->out);
    worker->headers = response.headers;
    worker->body = response.body;
}

/* --- the request -------------------------------------------------------------------------------------------------- */

enum body { BODY_READ, BODY_TOO_LARGE, BODY_BROKEN };

static enum body read_body(struct mg_connection *connection, const struct http_head *head)
{
    if (!head->chunked && head->content_length == 0)
        return BODY_READ;
    if (head->content_length > BODY_MAX)
        return BODY_TOO_LARGE;
    if (head->expects_continue) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        if (mg_write(connection, go_on, sizeof go_on - 1) != (int)sizeof go_on - 1)
            return BODY_BROKEN;
    }
    int64_t deadline = clock_mono_ms() + BODY_TIMEOUT_MS;
    int64_t total = 0;
    for (;;) {
        char block[4096];
        int n = mg_read(connection, block, sizeof block);
        if (n < 0 || clock_mono_ms() > deadline)
            return BODY_BROKEN;
        total += n;
        if (total > BODY_MAX)
            return BODY_TOO_LARGE;
        if (n == 0)
            return head->chunked || total == head->content_length ? BODY_READ : BODY_BROKEN;
    }
}

/* The client is still sending what it was refused: a reset now could overtake the answer. */
static void drain_refused_body(struct mg_connection *connection)
{
    int64_t deadline = clock_mono_ms() + BODY_TIMEOUT_MS;
    char block[16384];
    for (int left = DRAIN_MAX; left > 0 && clock_mono_ms() < deadline;) {
        int n = mg_read(connection, block, sizeof block);
        if (n <= 0)
            break;
        left -= n;
    }
}

/*
 * Did white space come before the request? CivetWeb skips it but does not count it in the length of the header, so that
 * a body would be looked for in the wrong place. Its buffer is a malloc'd one, the same one for a thread's whole life.
 */
static bool began_late(struct worker *worker)
{
    const char *begin = worker->head.method;
    if (!worker->buffer || begin < worker->buffer)
        worker->buffer = begin;
    return begin != worker->buffer || (uintptr_t)begin % 16 != 0;
}

/* worker->head is filled. Answers it, or refuses it for `why`. */
static void serve(struct mg_connection *connection, const char *why, bool readable_body)
{
    struct http_server *server = server_of(connection);
    struct worker *worker = mg_get_thread_pointer(connection);
    struct http_head *head = &worker->head;
    struct http_request request = {
        .method = head->method, .head = head, .refusal = why, .refusal_status = why ? 400 : 0};
    bool late = head->method && began_late(worker);

    atomic_fetch_add(&server->in_flight, 1);
    if (!request.refusal)
        request.refusal = http_guard_fields(head);
    if (!request.refusal)
        request.refusal = http_guard_path(head);
    if (!request.refusal && late && (head->chunked || head->content_length > 0))
        request.refusal = "White space precedes a request with a body.";
    request.refusal_status = request.refusal ? 400 : 0;
    request.path = head->path;

    enum body body = BODY_READ;
    if (!request.refusal && readable_body)
        body = read_body(connection, head);
    if (body == BODY_TOO_LARGE) {
        request.refusal_status = 413;
        request.refusal = "The request body is longer than 64 KiB.";
    } else if (body == BODY_BROKEN) {
        request.refusal_status = 400;
        request.refusal = "The request body is not what its header announces, or did not come in time.";
    }
    /* After a chunked body CivetWeb may leave trailers unread, and does not tell. */
    bool may_keep = !request.refusal && head->keep_alive && !head->chunked && !late && readable_body;
    answer(connection, server, worker, &request, may_keep);
    if (body == BODY_TOO_LARGE)
        drain_refused_body(connection);
    atomic_fetch_sub(&server->in_flight, 1);
}

static void take_head(struct worker *worker, const struct mg_request_info *info)
{
    struct http_head *head = &worker->head;
    head->method = info->request_method;
    head->target = info->request_uri;
    head->query = info->query_string;
    head->version = info->http_version;
    head->path = (struct str){"", 0};
    head->field_count = info->num_headers > 0 ? info->num_headers : 0;
    for (int i = 0; i < head->field_count; i++)
        head->fields[i] = (struct http_field){info->http_headers[i].name, info->http_headers[i].value};
}

static int on_request(struct mg_connection *connection)
{
    struct worker *worker = mg_get_thread_pointer(connection);
    take_head(worker, mg_get_request_info(connection));
    serve(connection, http_guard_layout(&worker->head), true);
    return 200; /* only says that the request is done */
}

/* --- what CivetWeb refuses ---------------------------------------------------------------------------------------- */

static bool is_version(const char *version)
{
    return strcmp(version, "1.0") == 0 || strcmp(version, "1.1") == 0;
}

/*
 * CivetWeb refuses a method that it does not know before it parses the fields, but for us it is a request like any
 * other (RFC 9110: 405, not 400). The request line is split already, the fields still lie behind it.
 */
static bool is_unknown_method(const struct mg_request_info *info, int status)
{
    return status == 400 && info->num_headers == 0 && info->request_method && info->request_uri && info->http_version &&
           info->http_version - info->request_method >= 9 && memcmp(info->http_version - 5, "HTTP/", 5) == 0 &&
           is_version(info->http_version);
}

static const char *split_rest(struct worker *worker)
{
    const char *rest = worker->head.version + strlen(worker->head.version);
    rest += rest[1] == '\0' ? 2 : 1; /* over the CRLF, which are NULs now */
    size_t len = strlen(rest);
    if (len > HTTP_HEAD_MAX)
        return "The header block is longer than 8 KiB.";
    memcpy(worker->text, rest, len + 1);
    for (char *p = strchr(worker->text, '\r'); p; p = strchr(p + 1, '\r'))
        if (p[1] != '\n' && p[1] != '\0')
            return "A header line does not end in CRLF.";
    return http_guard_split(worker->text, &worker->head);
}

static int on_refused(struct mg_connection *connection, int status, const char *message)
{
    struct worker *worker = mg_get_thread_pointer(connection);
    const struct mg_request_info *info = mg_get_request_info(connection);
    worker->error_answered = true;
    take_head(worker, info);

    if (is_unknown_method(info, status)) {
        serve(connection, split_rest(worker), false);
        return 0;
    }
    /* Its own check of an absolute-form target takes any `:` for a port; ours decides. */
    if (status == 400 && strcmp(message, "Invalid URI") == 0) {
        serve(connection, http_guard_layout(&worker->head), true);
        return 0;
    }
    struct http_request request = {
        .method = worker->head.method,
        .path = {"", 0},
        .head = &worker->head,
        .refusal_status = status == 505 ? 505 : 400,
        .refusal = status == 505 ? "Only HTTP/1.0 and HTTP/1.1 are spoken here." : "The request could not be parsed.",
    };
    struct http_server *server = server_of(connection);
    atomic_fetch_add(&server->in_flight, 1);
    answer(connection, server, worker, &request, false);
    atomic_fetch_sub(&server->in_flight, 1);
    return 0;
}

/* --- connections and threads -------------------------------------------------------------------------------------- */

static int on_connection(const struct mg_connection *connection, void **user_data)
{
    struct worker *worker = mg_get_thread_pointer(connection);
    *user_data = NULL;
    worker->counted = true;
    worker->error_answered = false;
    atomic_fetch_add(&server_of(connection)->connections, 1);
    return 0;
}

/*
 * A target for another port than the one the client connected to (or `*`) is dropped by CivetWeb without an answer or a
 * callback. Behind a port mapping it is quite right, so the last moment before the close is used to answer it.
 */
static void answer_dropped(const struct mg_connection *connection, struct worker *worker)
{
    const struct mg_request_info *info = mg_get_request_info(connection);
    if (worker->error_answered || !info || !info->request_uri || info->local_uri_raw)
        return;
    struct mg_connection *writable;
    memcpy(&writable, &connection, sizeof connection); /* the callback's const is only its declaration */
    take_head(worker, info);
    worker->head.query = NULL; /* not split off on this way */
    serve(writable, http_guard_layout(&worker->head), true);
}

static void on_close(const struct mg_connection *connection)
{
    struct worker *worker = mg_get_thread_pointer(connection);
    if (!worker->counted)
        return; /* a TLS handshake that failed */
    answer_dropped(connection, worker);
    worker->counted = false;
    atomic_fetch_sub(&server_of(connection)->connections, 1);
}

static void *on_thread(const struct mg_context *context, int type)
{
    if (type != 1)
        return NULL;
    const struct http_server *server = mg_get_user_data(context);
    struct worker *worker = cv_zalloc(sizeof *worker);
    worker->date_s = -1;
    buf_init(&worker->headers, HEADERS_MAX);
    buf_init(&worker->body, server->options.max_answer);
    buf_init(&worker->out, server->options.max_answer + HEADERS_MAX + 1024);
    return worker;
}

static void on_thread_end(const struct mg_context *context, int type, void *pointer)
{
    (void)context;
    struct worker *worker = pointer;
    if (type != 1 || !worker)
        return;
    buf_done(&worker->headers);
    buf_done(&worker->body);
    buf_done(&worker->out);
    free(worker);
}

/* During the start its words become our error; later they are about what clients do. */
static int on_message(const struct mg_connection *connection, const char *message)
{
    struct http_server *server = connection ? server_of(connection) : NULL;
    if (!server || atomic_load(&server->started))
        log_debug("http: %s", message);
    else if (!server->start_error[0]) /* the first one names the address, the next ones what follows from it */
        snprintf(server->start_error, sizeof server->start_error, "%s", message);
    return 1;
}

/* --- start and stop ----------------------------------------------------------------------------------------------- */

static void put_listeners(struct buf *out, const struct http_options *options)
{
    for (size_t i = 0; i < options->listen_count; i++)
        buf_printf(out, "%s%s%s", i ? "," : "", options->listen[i], options->tls_certificate ? "s" : "");
}

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void init_library(void)
{
    mg_init_library(MG_FEATURES_TLS);
}

/* 0: CivetWeb goes on and loads the certificate. */
static int on_tls(void *ssl_context, void *user_data)
{
    (void)ssl_context;
    (void)user_data;
    return http_tls_mend() ? 0 : -1;
}

static struct mg_context *start_civetweb(struct http_server *server, const char *ports)
{
    char threads[16], request_max[16], header_ms[16], keep_ms[16];
    snprintf(threads, sizeof threads, "%d", server->options.threads);
    snprintf(request_max, sizeof request_max, "%d", HTTP_HEAD_MAX);
    snprintf(header_ms, sizeof header_ms, "%d", HEADER_TIMEOUT_MS);
    snprintf(keep_ms, sizeof keep_ms, "%d", KEEP_ALIVE_TIMEOUT_MS);
    const char *settings[] = {
        "listening_ports",
        ports,
        "num_threads",
        threads,
        "max_request_size",
        request_max,
        "request_timeout_ms",
        header_ms,
        "keep_alive_timeout_ms",
        keep_ms,
        "enable_keep_alive",
        "yes",
        "tcp_nodelay",
        "1",
        "listen_backlog",
        "1024",
        "decode_url",
        "no",
        "enable_auth_domain_check",
        "no",
        /* last, so that they can be left out */
        server->options.tls_certificate ? "ssl_certificate" : NULL,
        server->options.tls_certificate,
        "ssl_protocol_version",
        "4",
        NULL,
    };
    struct mg_callbacks callbacks = {
        .begin_request = on_request,
        .http_error = on_refused,
        .init_connection = on_connection,
        .connection_close = on_close,
        .init_thread = on_thread,
        .exit_thread = on_thread_end,
        .log_message = on_message,
        .init_ssl = on_tls,
    };
    char text[256] = "";
    struct mg_init_data init = {.callbacks = &callbacks, .user_data = server, .configuration_options = settings};
    struct mg_error_data error = {.text = text, .text_buffer_size = sizeof text};
    struct mg_context *context = mg_start2(&init, &error);
    if (!context && !server->start_error[0])
        snprintf(server->start_error, sizeof server->start_error, "%s", text);
    return context;
}

enum cv_status http_start(const struct http_options *options, struct http_server **out_server, struct err *err)
{
    if (options->listen_count == 0 || options->listen_count > LISTENERS_MAX) {
        err_set(err, "between 1 and %d addresses can be listened on, not %zu", LISTENERS_MAX, options->listen_count);
        return CV_FATAL;
    }
    pthread_once(&library_once, init_library);
    struct http_server *server = cv_zalloc(sizeof *server);
    server->options = *options;
    struct buf ports CV_CLEANUP(buf_done);
    buf_init(&ports, 4096);
    put_listeners(&ports, options);
    server->context = start_civetweb(server, ports.data);
    if (!server->context) {
        err_set(err, "cannot listen on %s: %s", ports.data, server->start_error);
        free(server);
        return CV_FATAL;
    }
    atomic_store(&server->started, true);
    struct mg_server_port found[LISTENERS_MAX];
    int count = mg_get_server_ports(server->context, LISTENERS_MAX, found);
    for (int i = 0; i < count; i++)
        server->ports[i] = found[i].port;
    server->listener_count = http_find_listeners(server->ports, options->listen_count, server->listeners,
                                                 LISTENERS_MAX);
    *out_server = server;
    return CV_OK;
}

void http_stop(struct http_server *server)
{
    if (!server)
        return;
    atomic_store(&server->stopping, true);
    for (size_t i = 0; i < server->listener_count; i++)
        shutdown(server->listeners[i], SHUT_RDWR);
    /* mg_stop() throws away answers that are not written yet, so nothing may be under way when it is called. */
    int64_t deadline = clock_mono_ms() + DRAIN_ON_STOP_MS;
    for (int64_t quiet_since = clock_mono_ms(), now = quiet_since; now < deadline; now = clock_mono_ms()) {
        if (atomic_load(&server->in_flight) > 0)
            quiet_since = now;
        else if (now - quiet_since >= QUIET_ON_STOP_MS)
            break;
        usleep(2000);
    }
    mg_stop(server->context);
    free(server);
}

int http_port(const struct http_server *server, size_t i)
{
    return i < server->options.listen_count ? server->ports[i] : 0;
}

int http_connections(const struct http_server *server)
{
    return atomic_load_explicit(&server->connections, memory_order_relaxed);
}
