#include "http_door.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "caseview/log_limit.h"
#include "http_guard.h"
#include "http_listen.h"

enum {
    REQUEST_TIMEOUT_MS = 5000, /* for a header block, or a TLS record, from the connection or from its first byte on */
    THREAD_TIMEOUT_MS = 10000, /* for a thread */
    KEEP_GRACE_MS = 1000,      /* a kept connection is open a little longer than the client was told */
    PAUSE_MS = 100,            /* before accepting again when no connection can be closed for a new one */
    TICK_MS = 1000,
    EVENTS = 64,
    ACCEPTS = 64, /* at a time */
    BUCKETS = 4096,
    SEND_BUFFER = 256 * 1024, /* has room for an answer of 128 KiB, so that no thread waits for its client to read it */
};

enum guest_state { GUEST_NEW, GUEST_IDLE, GUEST_READY, GUEST_GONE, GUEST_STATES };

/* A connection that no thread has. */
struct guest {
    struct guest *previous, *next; /* in the list of its state */
    enum guest_state state;
    bool watched; /* by epoll */
    struct http_kept kept;
    int64_t deadline_ms; /* of its state */
};

struct guest_list {
    struct guest *first, *last;
};

struct http_door {
    struct http_door_options options;
    int listeners[HTTP_LISTENERS_MAX];
    int ports[HTTP_LISTENERS_MAX];
    int epoll_fd, wake_fd, crowded_fd;
    pthread_t thread;
    bool started;

    atomic_bool stopping, ending;
    atomic_int open;   /* connections, handed over or not */
    atomic_int active; /* handed over */
    atomic_int ready;  /* guests that wait for a thread */
    atomic_bool paused;
    atomic_int_fast64_t shed, refused, unserved, failures;
    atomic_int addresses[BUCKETS]; /* open connections by a hash of their address */
    size_t fd_count;
    _Atomic uint16_t *buckets; /* of each descriptor */

    pthread_mutex_t mutex;      /* guards returned */
    struct guest_list returned; /* by http_door_keep(), linked by next; the oldest is first */

    /*
     * The thread's own. In the lists the oldest is first; within a state that is the order of the deadlines, except for
     * requests that a thread has begun to read: these may be closed up to REQUEST_TIMEOUT_MS late.
     */
    struct guest_list lists[GUEST_STATES];
    bool closed;  /* the listeners are */
    bool crowded; /* crowded_fd is readable */
    int64_t resume_ms;
    struct log_limit shortage;
};

static void wake(struct http_door *door)
{
    if (eventfd_write(door->wake_fd, 1) != 0)
        log_error("cannot wake the thread that accepts connections, they are delayed: %m");
}

/* --- guests ------------------------------------------------------------------------------------------------------- */

static void unlink_guest(struct http_door *door, struct guest *guest)
{
    struct guest_list *list = &door->lists[guest->state];
    *(guest->previous != NULL ? &guest->previous->next : &list->first) = guest->next;
    *(guest->next != NULL ? &guest->next->previous : &list->last) = guest->previous;
    if (guest->state == GUEST_READY)
        atomic_fetch_sub(&door->ready, 1);
}

static void link_guest(struct http_door *door, struct guest *guest, enum guest_state state, int64_t deadline_ms)
{
    struct guest_list *list = &door->lists[state];
    guest->state = state;
    guest->deadline_ms = deadline_ms;
    guest->next = NULL;
    guest->previous = list->last;
    *(list->last != NULL ? &list->last->next : &list->first) = guest;
    list->last = guest;
    if (state == GUEST_READY)
        atomic_fetch_add(&door->ready, 1);
}

static void move_guest(struct http_door *door, struct guest *guest, enum guest_state state, int64_t deadline_ms)
{
    unlink_guest(door, guest);
    link_guest(door, guest, state, deadline_ms);
}

/* Stops watching the guest. Its memory is freed after the round: epoll may have reported it already. */
static void remove_guest(struct http_door *door, struct guest *guest)
{
    if (guest->watched)
        epoll_ctl(door->epoll_fd, EPOLL_CTL_DEL, guest->kept.fd, NULL);
    move_guest(door, guest, GUEST_GONE, 0);
}

static void forget_address(struct http_door *door, int fd)
{
    atomic_fetch_sub(&door->addresses[door->buckets[fd]], 1);
    atomic_fetch_sub(&door->open, 1);
}

static void close_guest(struct http_door *door, struct guest *guest)
{
    remove_guest(door, guest);
    forget_address(door, guest->kept.fd);
    http_tls_close(guest->kept.ssl);
    close(guest->kept.fd);
    free(guest->kept.begun);
}

/* Closes the oldest guest of a bucket (-1: of any address). False: every connection has a request. */
static bool shed_oldest(struct http_door *door, int bucket)
{
    static const enum guest_state order[] = {GUEST_NEW, GUEST_IDLE};
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        struct guest *guest = door->lists[order[i]].first;
        while (guest != NULL && bucket >= 0 && door->buckets[guest->kept.fd] != bucket)
            guest = guest->next;
        if (guest != NULL) {
            close_guest(door, guest);
            atomic_fetch_add(&door->shed, 1);
            return true;
        }
    }
    return false;
}

static void free_gone(struct http_door *door)
{
    for (struct guest *guest; (guest = door->lists[GUEST_GONE].first) != NULL;) {
        unlink_guest(door, guest);
        free(guest);
    }
}

/* --- is there a request? ------------------------------------------------------------------------------------------ */

/* True for a complete header block, and for bytes that no header block can contain: the parser refuses them. */
static bool is_header_block(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c < 128 && !isprint(c) && c != '\r' && c != '\n' && c != '\t')
            return true;
        if (c != '\n' || i == 0)
            continue;
        if (text[i - 1] == '\n' || (i >= 3 && memcmp(text + i - 3, "\r\n\r\n", 4) == 0))
            return true;
    }
    return false;
}

/* True for a complete TLS record (its length is in bytes 3 and 4), and for bytes that OpenSSL will refuse. */
static bool is_tls_record(const char *text, size_t len)
{
    if ((unsigned char)text[0] < 20 || (unsigned char)text[0] > 24)
        return true;
    return len >= 5 && len >= 5 + ((size_t)(unsigned char)text[3] << 8 | (unsigned char)text[4]);
}

enum found { FOUND_NOTHING, FOUND_PART, FOUND_REQUEST, FOUND_END };

static enum found peek_request(const struct http_kept *kept, bool ended)
{
    char text[HTTP_HEAD_MAX];
    size_t begun = kept->ssl == NULL ? kept->begun_len : 0; /* less than a header block may have */
    if (begun > 0)
        memcpy(text, kept->begun, begun);
    ssize_t n = recv(kept->fd, text + begun, sizeof text - begun, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? FOUND_NOTHING : FOUND_END;
    if (n == 0)
        return FOUND_END;
    size_t len = begun + (size_t)n;
    bool whole = kept->ssl != NULL ? http_tls_has_part(kept->ssl) || is_tls_record(text, len)
                                   : is_header_block(text, len);
    return whole || ended || len == sizeof text ? FOUND_REQUEST : FOUND_PART;
}

/* ended: the client will send no more. */
static void look_at_guest(struct http_door *door, struct guest *guest, bool ended)
{
    if (guest->state != GUEST_NEW && guest->state != GUEST_IDLE)
        return;
    switch (peek_request(&guest->kept, ended)) {
    case FOUND_NOTHING:
        break;
    case FOUND_PART:
        if (guest->state == GUEST_IDLE)
            move_guest(door, guest, GUEST_NEW, clock_mono_ms() + REQUEST_TIMEOUT_MS);
        break;
    case FOUND_REQUEST:
        move_guest(door, guest, GUEST_READY, clock_mono_ms() + THREAD_TIMEOUT_MS);
        break;
    case FOUND_END:
        close_guest(door, guest);
        break;
    }
}

/* Waits for the next bytes of a guest that has no request yet. */
static void watch(struct http_door *door, struct guest *guest)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.ptr = guest};
    if (guest->state != GUEST_NEW && guest->state != GUEST_IDLE)
        return;
    guest->watched = epoll_ctl(door->epoll_fd, EPOLL_CTL_ADD, guest->kept.fd, &event) == 0;
    if (!guest->watched) {
        log_warn("cannot wait for the request of a connection, it is closed: %m");
        close_guest(door, guest);
    }
}

/* --- accepting ---------------------------------------------------------------------------------------------------- */

static void set_accepting(struct http_door *door, bool accepting)
{
    atomic_store(&door->paused, !accepting);
    for (size_t i = 0; i < door->options.listen_count; i++) {
        struct epoll_event event = {.events = accepting ? EPOLLIN : 0, .data.ptr = &door->listeners[i]};
        if (epoll_ctl(door->epoll_fd, EPOLL_CTL_MOD, door->listeners[i], &event) != 0)
            log_error("cannot change what is waited for at a listening socket: %m");
    }
}

static void pause_accepting(struct http_door *door, const char *why)
{
    atomic_fetch_add(&door->failures, 1);
    int64_t times = log_limit_hit(&door->shortage);
    if (times > 0)
        log_warn("cannot accept further connections (%s), %d are open; new ones wait: raise the limit of open files "
                 "or run more processes (%" PRId64 " times since the last such line)",
                 why, atomic_load(&door->open), times);
    set_accepting(door, false);
    door->resume_ms = clock_mono_ms() + PAUSE_MS;
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void welcome(struct http_door *door, int fd, const struct sockaddr_storage *address)
{
    int on = 1, send_buffer = SEND_BUFFER;
    uint16_t bucket = (uint16_t)(http_address_hash(address) % BUCKETS);
    if (atomic_load(&door->addresses[bucket]) >= door->options.connections_max / 2 && !shed_oldest(door, bucket)) {
        atomic_fetch_add(&door->refused, 1);
        close(fd);
        return;
    }
    struct ssl_st *ssl = door->options.tls != NULL ? http_tls_connection(door->options.tls) : NULL;
    if ((size_t)fd >= door->fd_count || (door->options.tls != NULL && ssl == NULL)) {
        http_tls_close(ssl);
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_buffer, sizeof send_buffer);
    door->buckets[fd] = bucket;
    atomic_fetch_add(&door->addresses[bucket], 1);
    atomic_fetch_add(&door->open, 1);
    struct guest *guest = cv_zalloc(sizeof *guest);
    guest->kept = (struct http_kept){.fd = fd, .ssl = ssl};
    link_guest(door, guest, GUEST_NEW, clock_mono_ms() + REQUEST_TIMEOUT_MS);
    look_at_guest(door, guest, false);
    watch(door, guest);
}

static void accept_some(struct http_door *door, int listener)
{
    for (int i = 0; i < ACCEPTS; i++) {
        if (atomic_load(&door->open) >= door->options.connections_max && !shed_oldest(door, -1)) {
            pause_accepting(door, "all have a request");
            return;
        }
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        socklen_t len = sizeof address;
        int fd = accept4(listener, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            welcome(door, fd, &address);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return;
        } else if (is_shortage(errno) && !shed_oldest(door, -1)) {
            pause_accepting(door, strerror(errno));
            return;
        } /* otherwise this one connection failed, or there is room now */
    }
}

/* --- the thread --------------------------------------------------------------------------------------------------- */

static void take_returned(struct http_door *door)
{
    pthread_mutex_lock(&door->mutex);
    struct guest *guest = door->returned.first;
    door->returned = (struct guest_list){.first = NULL};
    pthread_mutex_unlock(&door->mutex);
    for (struct guest *next; guest != NULL; guest = next) {
        next = guest->next;
        if (guest->kept.deadline_ms != 0)
            link_guest(door, guest, GUEST_NEW, guest->kept.deadline_ms);
        else
            link_guest(door, guest, GUEST_IDLE,
                       clock_mono_ms() + door->options.keep_alive_s * INT64_C(1000) + KEEP_GRACE_MS);
        look_at_guest(door, guest, false);
        watch(door, guest);
    }
}

static void hand_over(struct http_door *door)
{
    struct guest *guest;
    while ((guest = door->lists[GUEST_READY].first) != NULL && atomic_load(&door->active) < door->options.threads) {
        if (guest->kept.deadline_ms != 0) /* waiting for a thread does not count */
            guest->kept.deadline_ms += clock_mono_ms() - (guest->deadline_ms - THREAD_TIMEOUT_MS);
        remove_guest(door, guest);
        atomic_fetch_add(&door->active, 1);
        door->options.hand_over(door->options.context, &guest->kept);
    }
}

/* After hand_over(): guests with a request are left only when all threads have a connection. */
static void show_crowded(struct http_door *door)
{
    bool crowded = door->lists[GUEST_READY].first != NULL;
    eventfd_t ignored;
    if (crowded == door->crowded)
        return;
    door->crowded = crowded;
    int failed = crowded ? eventfd_write(door->crowded_fd, 1) : eventfd_read(door->crowded_fd, &ignored);
    assert(failed == 0);
}

static void refuse_guest(struct http_door *door, struct guest *guest)
{
    atomic_fetch_add(&door->unserved, 1);
    door->options.refuse(door->options.context, &guest->kept);
    close_guest(door, guest);
}

static void close_expired(struct http_door *door, int64_t now_ms)
{
    for (int state = 0; state < GUEST_GONE; state++)
        for (struct guest *guest; (guest = door->lists[state].first) != NULL && guest->deadline_ms <= now_ms;)
            if (state == GUEST_READY)
                refuse_guest(door, guest);
            else
                close_guest(door, guest);
}

/* Called once, when the server stops accepting connections. */
static void close_listeners(struct http_door *door)
{
    for (size_t i = 0; i < door->options.listen_count; i++) {
        close(door->listeners[i]);
        door->listeners[i] = -1;
    }
    door->closed = true;
}

static int timeout_ms(const struct http_door *door)
{
    int64_t next_ms = clock_mono_ms() + (atomic_load(&door->paused) ? PAUSE_MS : TICK_MS);
    for (int state = 0; state < GUEST_GONE; state++)
        if (door->lists[state].first != NULL && door->lists[state].first->deadline_ms < next_ms)
            next_ms = door->lists[state].first->deadline_ms;
    int64_t wait_ms = next_ms - clock_mono_ms();
    return wait_ms > 0 ? (int)wait_ms : 0;
}

static void handle_event(struct http_door *door, const struct epoll_event *event)
{
    for (size_t i = 0; i < door->options.listen_count; i++)
        if (event->data.ptr == &door->listeners[i]) {
            if (!door->closed)
                accept_some(door, door->listeners[i]);
            return;
        }
    if (event->data.ptr == door) {
        eventfd_t ignored;
        eventfd_read(door->wake_fd, &ignored);
        return;
    }
    look_at_guest(door, event->data.ptr, (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
}

static void *run(void *context)
{
    struct http_door *door = context;
    while (!atomic_load(&door->ending)) {
        struct epoll_event events[EVENTS];
        int n = epoll_wait(door->epoll_fd, events, EVENTS, timeout_ms(door));
        for (int i = 0; i < n; i++)
            handle_event(door, &events[i]);
        take_returned(door);
        hand_over(door);
        int64_t now_ms = clock_mono_ms();
        close_expired(door, now_ms);
        show_crowded(door);
        if (atomic_load(&door->stopping)) {
            if (!door->closed)
                close_listeners(door);
            while (shed_oldest(door, -1))
                ;
        } else if (atomic_load(&door->paused) && now_ms >= door->resume_ms) {
            set_accepting(door, true);
        }
        if (door->options.tls != NULL)
            http_tls_refresh(door->options.tls, now_ms);
        free_gone(door);
    }
    return NULL;
}

/* --- life and other threads --------------------------------------------------------------------------------------- */

static bool add_to_epoll(struct http_door *door, int fd, void *data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};
    return epoll_ctl(door->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

enum cv_status http_door_open(const struct http_door_options *options, struct http_door **out_door, struct err *err)
{
    struct http_door *door = cv_zalloc(sizeof *door);
    struct rlimit files = {.rlim_cur = 1024};
    getrlimit(RLIMIT_NOFILE, &files);
    door->options = *options;
    door->options.listen_count = 0;
    door->fd_count = files.rlim_cur < (1 << 20) ? (size_t)files.rlim_cur : 1 << 20;
    door->buckets = cv_zalloc(door->fd_count * sizeof door->buckets[0]);
    pthread_mutex_init(&door->mutex, NULL);
    door->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    door->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    door->crowded_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    enum cv_status status = CV_OK;
    if (door->epoll_fd < 0 || door->wake_fd < 0 || door->crowded_fd < 0 || !add_to_epoll(door, door->wake_fd, door)) {
        err_set(err, "cannot wait for connections: %s", strerror(errno));
        status = CV_FATAL;
    }
    for (size_t i = 0; i < options->listen_count && status == CV_OK; i++) {
        status = http_listen(options->listen[i], &door->listeners[i], &door->ports[i], err);
        if (status == CV_OK)
            door->options.listen_count++;
    }
    if (status != CV_OK) {
        http_door_free(door);
        return status;
    }
    *out_door = door;
    return CV_OK;
}

void http_door_start(struct http_door *door)
{
    for (size_t i = 0; i < door->options.listen_count; i++) {
        bool added = add_to_epoll(door, door->listeners[i], &door->listeners[i]);
        assert(added);
    }
    int failed = pthread_create(&door->thread, NULL, run, door);
    assert(failed == 0);
    door->started = true;
}

void http_door_stop_accepting(struct http_door *door)
{
    atomic_store(&door->stopping, true);
    wake(door);
}

void http_door_end(struct http_door *door)
{
    if (!door->started)
        return;
    atomic_store(&door->ending, true);
    wake(door);
    pthread_join(door->thread, NULL);
    door->started = false;
}

void http_door_free(struct http_door *door)
{
    if (door == NULL)
        return;
    http_door_end(door);
    take_returned(door);
    for (int state = 0; state < GUEST_GONE; state++)
        while (door->lists[state].first != NULL)
            close_guest(door, door->lists[state].first);
    free_gone(door);
    if (!door->closed)
        close_listeners(door);
    if (door->epoll_fd >= 0)
        close(door->epoll_fd);
    if (door->wake_fd >= 0)
        close(door->wake_fd);
    if (door->crowded_fd >= 0)
        close(door->crowded_fd);
    pthread_mutex_destroy(&door->mutex);
    free(door->buckets);
    free(door);
}

void http_door_keep(struct http_door *door, const struct http_kept *kept)
{
    struct guest *guest = cv_zalloc(sizeof *guest);
    guest->kept = *kept;
    atomic_fetch_sub(&door->active, 1);
    pthread_mutex_lock(&door->mutex);
    struct guest_list *returned = &door->returned;
    *(returned->last != NULL ? &returned->last->next : &returned->first) = guest;
    returned->last = guest;
    pthread_mutex_unlock(&door->mutex);
    wake(door);
}

void http_door_ended(struct http_door *door, int fd)
{
    forget_address(door, fd);
    atomic_fetch_sub(&door->active, 1);
    if (atomic_load(&door->ready) > 0)
        wake(door);
}

int http_door_crowded_fd(const struct http_door *door)
{
    return door->crowded_fd;
}

int http_door_port(const struct http_door *door, size_t i)
{
    return i < door->options.listen_count ? door->ports[i] : 0;
}

void http_door_stats(const struct http_door *door, struct http_stats *out_stats)
{
    *out_stats = (struct http_stats){
        .connections = atomic_load(&door->open),
        .active = atomic_load(&door->active),
        .shed = atomic_load(&door->shed) + atomic_load(&door->refused),
        .unserved = atomic_load(&door->unserved),
        .accept_failures = atomic_load(&door->failures),
        .certificate_expiry_s = http_tls_expiry_s(door->options.tls),
    };
}

int http_door_waiting(const struct http_door *door)
{
    return atomic_load(&door->ready);
}

bool http_door_is_crowded(const struct http_door *door)
{
    return atomic_load_explicit(&door->ready, memory_order_relaxed) > 0 &&
           atomic_load_explicit(&door->active, memory_order_relaxed) >= door->options.threads;
}
