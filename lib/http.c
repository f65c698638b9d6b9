#include "caseview/http.h"

#include <civetweb.h>
#include <civetweb_caseview.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "http_answer.h"
#include "http_door.h"
#include "http_guard.h"
#include "http_refuse.h"
#include "http_tls.h"

static_assert(HTTP_FIELDS_MAX == MG_MAX_HEADERS, "a full field list means that some may have been dropped");

enum {
    BODY_MAX = 64 * 1024,      /* of a request, read and discarded */
    DRAIN_MAX = 1024 * 1024,   /* of a refused body, so that the answer is read before the connection is reset */
    HEADERS_MAX = 8 * 1024,    /* of an answer, next to those made here */
    KEPT_MAX = 256 * 1024,     /* a thread's larger buffers are freed after the answer */
    REQUEST_TIMEOUT_MS = 5000, /* for a whole request: TLS handshake, header block and body; for a stalled write */
    HOLD_MS = 100,             /* an idle connection holds its thread no longer, then the door keeps it */
    TURN_MS = 1000,            /* pipelined requests hold their thread no longer while other connections wait */
    ANSWER_TIMEOUT_MS = 5000,  /* for a whole answer … */
    ANSWER_BYTES_PER_MS = 160, /* … and this is how much longer for a long one: 8 MiB have 57 s */
    UNREAD_PATIENCE_MS = 500,
    DRAIN_TIMEOUT_MS = 2000,
    DRAIN_ON_STOP_MS = 10000,
    QUIET_ON_STOP_MS = 50,
    FILES_RESERVED = 96, /* descriptors for everything but connections */
    CONNECTIONS_MAX = 65536,
};

/* One CivetWeb thread; only that thread touches it. */
struct worker {
    struct http_head head;
    struct buf out, headers, body;
    char text[HTTP_HEAD_MAX]; /* field values without the white space after them */
    struct http_date date;
    const char *buffer; /* lowest place where a request began: the start of CivetWeb's buffer of this thread */
    int64_t taken_ms;   /* when the thread took the connection */
};

struct http_server {
    struct mg_context *context;
    struct http_options options;
    struct http_tls *tls; /* NULL: plain */
    struct http_door *door;
    char keep_alive[40];   /* the Keep-Alive field of an answer */
    char start_error[256]; /* CivetWeb's first message during a failed start; the starting thread's */
    atomic_bool started;
    atomic_bool keeps_none; /* every answer closes its connection */
    atomic_bool stopping;
    atomic_int in_flight;
};

static struct http_server *server_of(const struct mg_connection *connection)
{
    return mg_get_user_data(mg_get_context(connection));
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

/*
 * A client that reads too slowly is dropped at the deadline; and before it, while other connections wait for a thread,
 * when it has left so many answers unread that the next one has no room in the socket's buffer. The makers of large
 * bodies bound their number. False: not all was sent.
 */
static bool send_all(struct mg_connection *connection, const struct buf *out, struct str large)
{
    mg_set_deadline(ANSWER_TIMEOUT_MS + (int)((out->len + large.len) / ANSWER_BYTES_PER_MS));
    mg_set_patience(large.len == 0 ? UNREAD_PATIENCE_MS : 0);
    if (mg_write(connection, out->data, out->len) != (int)out->len)
        return false;
    return large.len == 0 || mg_write(connection, large.ptr, large.len) == (int)large.len;
}

/* Header and body go out in one write: the copy of the body costs less than a second system call. */
static void send_answer(struct mg_connection *connection, struct worker *worker, struct http_response *response,
                        bool keep_alive)
{
    struct buf *out = &worker->out;
    const struct http_answer_form form = {
        .is_head = worker->head.method != NULL && strcmp(worker->head.method, "HEAD") == 0,
        .is_1_0 = worker->head.version != NULL && strcmp(worker->head.version, "1.0") == 0,
        .keep_alive = keep_alive ? server_of(connection)->keep_alive : NULL,
    };
    buf_reset(out);
    bool has_body = http_answer_head(out, response, &form, &worker->date);
    if (has_body && response->large.ptr == NULL)
        buf_append(out, response->body.data, response->body.len);
    bool sent = send_all(connection, out, has_body && response->large.ptr != NULL ? response->large : STR(""));
    if (!keep_alive || !sent)
        mg_disable_connection_keep_alive(connection);
}

/* While other connections wait for a thread, one that pipelines its requests may not keep this one for long. */
static bool has_had_its_turn(struct mg_connection *connection, const struct http_server *server,
                             const struct worker *worker)
{
    return http_door_is_crowded(server->door) && mg_has_more(connection) &&
           clock_mono_ms() - worker->taken_ms >= TURN_MS;
}

static void free_if_large(struct buf *buf)
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
    http_handler handler = request->refusal != NULL ? server->options.refused : server->options.handler;
    if (handler != NULL)
        handler(server->options.context, request, &response);
    else
        response.status = request->refusal_status;
    if (response.status == 0 || response.body.overflow || response.headers.overflow) {
        log_error("bug: no answer to %s %.*s", request->method != NULL ? request->method : "a request",
                  (int)(request->path.len < 512 ? request->path.len : 512),
                  request->path.ptr != NULL ? request->path.ptr : "");
        response.status = 500;
        response.content_type = NULL;
        response.large = STR_NULL;
        buf_reset(&response.headers);
        buf_reset(&response.body);
    }
    bool keep = may_keep && !response.close && !atomic_load_explicit(&server->keeps_none, memory_order_relaxed) &&
                !has_had_its_turn(connection, server, worker);
    send_answer(connection, worker, &response, keep);
    if (http_door_is_crowded(server->door))
        mg_yield_connection(connection); /* back to the door, behind those that wait */
    if (response.release != NULL)
        response.release(response.owner);
    free_if_large(&response.body);
    free_if_large(&worker->out);
    worker->headers = response.headers;
    worker->body = response.body;
}

/* --- the request -------------------------------------------------------------------------------------------------- */

enum body { BODY_READ, BODY_LEFT, BODY_TOO_LARGE, BODY_BROKEN };

/* The request's deadline ends it. While other connections wait for a thread, the rest of a body is not waited for. */
static enum body read_body(struct mg_connection *connection, const struct http_head *head)
{
    if (!head->chunked && head->content_length == 0)
        return BODY_READ;
    if (head->content_length > BODY_MAX || server_of(connection)->options.no_bodies)
        return BODY_TOO_LARGE;
    if (head->expects_continue) {
        static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
        if (mg_write(connection, go_on, sizeof go_on - 1) != (int)sizeof go_on - 1)
            return BODY_BROKEN;
    }
    int64_t total = 0;
    for (;;) {
        char block[4096];
        int n = mg_read(connection, block, sizeof block);
        if (n < 0)
            return mg_gave_up() ? BODY_LEFT : BODY_BROKEN;
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
    char block[16384];
    mg_set_deadline(DRAIN_TIMEOUT_MS);
    for (int left = DRAIN_MAX; left > 0;) {
        int n = mg_read(connection, block, sizeof block);
        if (n <= 0)
            break;
        left -= n;
    }
}

/*
 * True when white space came before the request. CivetWeb skips it but does not count it in the header's length, so it
 * would look for a body in the wrong place. Its buffer is allocated once for a thread's life.
 */
static bool began_late(struct worker *worker)
{
    const char *begin = worker->head.method;
    if (worker->buffer == NULL || begin < worker->buffer)
        worker->buffer = begin;
    return begin != worker->buffer || (uintptr_t)begin % 16 != 0;
}

/* worker->head is filled. Answers or refuses it. */
static void serve(struct mg_connection *connection)
{
    struct http_server *server = server_of(connection);
    struct worker *worker = mg_get_thread_pointer(connection);
    struct http_head *head = &worker->head;
    struct http_request request = {.method = head->method, .head = head, .refusal = http_guard_layout(head)};
    bool late = head->method != NULL && began_late(worker);

    atomic_fetch_add(&server->in_flight, 1);
    if (request.refusal == NULL) {
        http_guard_trim(head, worker->text);
        request.refusal = http_guard_fields(head);
    }
    if (request.refusal == NULL)
        request.refusal = http_guard_path(head);
    if (request.refusal == NULL && late && (head->chunked || head->content_length > 0))
        request.refusal = "White space precedes a request with a body.";
    request.refusal_status = request.refusal != NULL ? 400 : 0;
    request.path = head->path;

    enum body body = BODY_READ;
    if (request.refusal == NULL)
        body = read_body(connection, head);
    if (body == BODY_TOO_LARGE) {
        request.refusal_status = 413;
        request.refusal = server->options.no_bodies ? "A request body is not taken here."
                                                    : "The request body is longer than 64 KiB.";
    } else if (body == BODY_BROKEN) {
        request.refusal_status = 400;
        request.refusal = "The request body is not what its header announces, or did not come in time.";
    }
    /* After a chunked body CivetWeb may leave trailers unread without reporting it. */
    bool may_keep = request.refusal == NULL && head->keep_alive && !head->chunked && !late && body == BODY_READ;
    answer(connection, server, worker, &request, may_keep);
    if (body == BODY_TOO_LARGE && !server->options.no_bodies)
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
    serve(connection);
    return 200; /* only says that the request is done */
}

/* --- what CivetWeb refuses ---------------------------------------------------------------------------------------- */

static int on_refused(struct mg_connection *connection, int status, const char *message CV_UNUSED)
{
    struct worker *worker = mg_get_thread_pointer(connection);
    const struct mg_request_info *info = mg_get_request_info(connection);
    take_head(worker, info);

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
    worker->taken_ms = clock_mono_ms();
    return 0;
}

/* Called once per connection that a thread had: one without a request returns to the door, any other one ends. */
static void on_close(const struct mg_connection *connection)
{
    struct http_server *server = server_of(connection);
    struct mg_connection *changeable;
    struct mg_kept kept;
    memcpy(&changeable, &connection, sizeof connection); /* the callback's const is only its declaration */
    enum mg_release release = MG_NOT_RELEASED;
    if (!atomic_load(&server->stopping))
        release = mg_release_connection(changeable, &kept);
    if (release == MG_NOT_RELEASED) {
        http_door_ended(server->door, mg_connection_fd(connection));
        return;
    }
    const struct http_kept back = {
        .fd = kept.fd,
        .ssl = kept.ssl,
        .begun = kept.begun,
        .begun_len = (size_t)kept.begun_len,
        .deadline_ms = release == MG_UNFINISHED ? kept.deadline_ms : 0,
    };
    http_door_keep(server->door, &back);
}

static void *on_thread(const struct mg_context *context, int type)
{
    if (type != 1)
        return NULL;
    const struct http_server *server = mg_get_user_data(context);
    struct worker *worker = cv_zalloc(sizeof *worker);
    mg_set_wanted(http_door_crowded_fd(server->door));
    buf_init(&worker->headers, HEADERS_MAX);
    buf_init(&worker->body, server->options.max_answer);
    buf_init(&worker->out, server->options.max_answer + HEADERS_MAX + 1024);
    return worker;
}

static void on_thread_end(const struct mg_context *context, int type, void *pointer)
{
    (void)context;
    struct worker *worker = pointer;
    if (type != 1 || worker == NULL)
        return;
    buf_done(&worker->headers);
    buf_done(&worker->body);
    buf_done(&worker->out);
    free(worker);
}

/* During the start its first message becomes our error; later ones are about clients. */
static int on_message(const struct mg_connection *connection, const char *message)
{
    struct http_server *server = connection != NULL ? server_of(connection) : NULL;
    if (server == NULL || atomic_load(&server->started))
        log_debug("http: %s", message);
    else if (!server->start_error[0]) /* the first one names the address, the next ones what follows from it */
        snprintf(server->start_error, sizeof server->start_error, "%s", message);
    return 1;
}

/* --- start and stop ----------------------------------------------------------------------------------------------- */

static pthread_once_t library_once = PTHREAD_ONCE_INIT;

static void init_library(void)
{
    mg_init_library(0);
}

/* Called on the door's thread. */
static void take_connection(void *context, const struct http_kept *kept)
{
    const struct http_server *server = context;
    const struct mg_kept taken = {
        .fd = kept->fd,
        .ssl = kept->ssl,
        .begun = kept->begun,
        .begun_len = (int)kept->begun_len,
        .deadline_ms = kept->deadline_ms,
    };
    mg_take_connection(server->context, &taken);
}

/* Called on the door's thread. */
static void refuse_connection(void *context, const struct http_kept *kept)
{
    const struct http_server *server = context;
    http_refuse_waiting(server->options.refused, server->options.context, kept);
}

/* Computes how many connections the descriptors allow, after raising the soft limit to the hard one. */
static enum cv_status count_connections(const struct http_options *options, int *out_max, struct err *err)
{
    struct rlimit files = {.rlim_cur = 0};
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files); /* refused: the soft limit counts */
        getrlimit(RLIMIT_NOFILE, &files);
    }
    rlim_t room = files.rlim_cur > FILES_RESERVED ? files.rlim_cur - FILES_RESERVED : 0;
    if (room < (rlim_t)options->threads) {
        err_set(err,
                "%d threads need a limit of at least %d open files, it is %llu: raise it (ulimit -n) or lower threads",
                options->threads, options->threads + FILES_RESERVED, (unsigned long long)files.rlim_cur);
        return CV_FATAL;
    }
    *out_max = room < CONNECTIONS_MAX ? (int)room : CONNECTIONS_MAX;
    if (options->connections_max > 0 && options->connections_max < *out_max)
        *out_max = options->connections_max;
    return CV_OK;
}

static struct mg_context *start_civetweb(struct http_server *server)
{
    char threads[16], request_max[16], request_ms[16], hold_ms[16];
    snprintf(threads, sizeof threads, "%d", server->options.threads);
    snprintf(request_max, sizeof request_max, "%d", HTTP_HEAD_MAX);
    snprintf(request_ms, sizeof request_ms, "%d", REQUEST_TIMEOUT_MS);
    snprintf(hold_ms, sizeof hold_ms, "%d", HOLD_MS);
    const char *settings[] = {
        "listening_ports",
        "", /* the door has them */
        "num_threads",
        threads,
        "connection_queue",
        threads, /* the door hands over no more, so it never waits */
        "max_request_size",
        request_max,
        "request_timeout_ms",
        request_ms,
        "keep_alive_timeout_ms",
        hold_ms,
        "enable_keep_alive",
        "yes",
        "decode_url",
        "no",
        "enable_auth_domain_check",
        "no",
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
    };
    char text[256] = "";
    struct mg_init_data init = {.callbacks = &callbacks, .user_data = server, .configuration_options = settings};
    struct mg_error_data error = {.text = text, .text_buffer_size = sizeof text};
    struct mg_context *context = mg_start2(&init, &error);
    if (context == NULL && !server->start_error[0])
        snprintf(server->start_error, sizeof server->start_error, "%s", text);
    return context;
}

static enum cv_status open_door(struct http_server *server, struct err *err)
{
    const struct http_options *options = &server->options;
    struct http_door_options door = {
        .listen = options->listen,
        .listen_count = options->listen_count,
        .threads = options->threads,
        .keep_alive_s = options->keep_alive_s > 0 ? options->keep_alive_s : 1,
        .hand_over = take_connection,
        .refuse = refuse_connection,
        .context = server,
    };
    snprintf(server->keep_alive, sizeof server->keep_alive, "Keep-Alive: timeout=%d\r\n", door.keep_alive_s);
    enum cv_status status = count_connections(options, &door.connections_max, err);
    if (status == CV_OK && options->tls_certificate != NULL)
        status = http_tls_new(options->tls_certificate, &server->tls, err);
    door.tls = server->tls;
    return status == CV_OK ? http_door_open(&door, &server->door, err) : status;
}

enum cv_status http_start(const struct http_options *options, struct http_server **out_server, struct err *err)
{
    if (options->listen_count == 0 || options->listen_count > HTTP_LISTENERS_MAX) {
        err_set(err, "between 1 and %d addresses can be listened on, not %zu", HTTP_LISTENERS_MAX,
                options->listen_count);
        return CV_FATAL;
    }
    pthread_once(&library_once, init_library);
    struct http_server *server = cv_zalloc(sizeof *server);
    server->options = *options;
    enum cv_status status = open_door(server, err);
    if (status == CV_OK && (server->context = start_civetweb(server)) == NULL) {
        err_set(err, "cannot start the HTTP server: %s", server->start_error);
        status = CV_FATAL;
    }
    if (status != CV_OK) {
        http_door_free(server->door);
        http_tls_free(server->tls);
        free(server);
        return status;
    }
    atomic_store(&server->started, true);
    http_door_start(server->door);
    *out_server = server;
    return CV_OK;
}

void http_end_keep_alive(struct http_server *server)
{
    atomic_store(&server->keeps_none, true);
}

void http_stop(struct http_server *server)
{
    if (server == NULL)
        return;
    http_end_keep_alive(server);
    atomic_store(&server->stopping, true);
    http_door_stop_accepting(server->door);
    /* mg_stop() discards answers that are not written yet, so no request may be in flight when it is called. */
    int64_t deadline = clock_mono_ms() + DRAIN_ON_STOP_MS;
    for (int64_t quiet_since = clock_mono_ms(), now = quiet_since; now < deadline; now = clock_mono_ms()) {
        if (atomic_load(&server->in_flight) > 0 || http_door_waiting(server->door) > 0)
            quiet_since = now;
        else if (now - quiet_since >= QUIET_ON_STOP_MS)
            break;
        usleep(2000);
    }
    http_door_end(server->door);
    mg_stop(server->context);
    http_door_free(server->door);
    http_tls_free(server->tls);
    free(server);
}

void http_reload(struct http_server *server)
{
    http_tls_reload(server->tls);
}

int http_port(const struct http_server *server, size_t i)
{
    return http_door_port(server->door, i);
}

void http_stats(const struct http_server *server, struct http_stats *out_stats)
{
    http_door_stats(server->door, out_stats);
}
