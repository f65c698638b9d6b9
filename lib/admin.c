#include "caseview/admin.h"

#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/http.h"
#include "caseview/log.h"
#include "caseview/memory.h"

enum {
    ADMIN_THREADS = 4,        /* a scraper and two probes at once, and one more */
    ADMIN_CONNECTIONS = 4096, /* silent clients displace each other, hardly ever a probe */
    PAGE_MAX = 4 * 1024 * 1024,
    REASON_MAX = 512,
};

struct admin {
    struct http_server *server;
    struct admin_options options;
    struct metric *ready, *clock;
};

/* ---- metrics of every program ---- */

static void init_metrics(struct admin *admin)
{
    struct metrics *metrics = admin->options.metrics;
    char labels[128];
    snprintf(labels, sizeof labels, "program=\"%s\",version=\"%s\"", admin->options.program, CASEVIEW_VERSION);
    metric_set(metrics_gauge(metrics, "caseview_build_info", labels, "1, with program and version as labels"), 1);
    admin->ready = metrics_gauge(metrics, "caseview_ready", NULL, "1 while /ready answers 200, 0 otherwise");
    admin->clock = metrics_gauge(metrics, "caseview_clock_seconds", NULL,
                                 "This machine's clock when the page was made, in seconds since 1970");
    size_t limit = memory_cgroup_limit();
    if (limit > 0)
        metric_set(metrics_gauge(metrics, "caseview_memory_limit_bytes", NULL, "Memory limit of the process's cgroup"),
                   (double)limit);
}

static void put_metrics(const struct admin *admin, enum metrics_format format, struct buf *out)
{
    char reason[REASON_MAX] = "";
    if (admin->options.ready != NULL)
        admin->options.ready(admin->options.context, reason, sizeof reason);
    metric_set(admin->ready, reason[0] ? 0 : 1);
    metric_set(admin->clock, (double)clock_wall_us() / 1e6);
    if (admin->options.refresh != NULL)
        admin->options.refresh(admin->options.context);
    metrics_write(admin->options.metrics, format, out);
}

/* ---- requests ---- */

static void put_probe(const struct admin *admin, admin_probe probe, const char *healthy, struct http_response *response)
{
    char reason[REASON_MAX] = "";
    if (probe != NULL)
        probe(admin->options.context, reason, sizeof reason);
    response->status = reason[0] ? 503 : 200;
    buf_printf(&response->body, "%s\n", reason[0] ? reason : healthy);
}

static void handle(void *context, const struct http_request *request, struct http_response *response)
{
    const struct admin *admin = context;
    response->close = true; /* probes and scrapers connect each time */
    response->content_type = "text/plain; charset=utf-8";
    buf_puts(&response->headers, "Cache-Control: no-store\r\n");

    bool live = str_eq(request->path, STR("/live"));
    bool ready = str_eq(request->path, STR("/ready"));
    bool metrics = str_eq(request->path, STR("/metrics"));
    if (!live && !ready && !metrics) {
        response->status = 404;
        buf_puts(&response->body, "The pages are /live, /ready and /metrics.\n");
    } else if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
        response->status = 405;
        buf_puts(&response->headers, "Allow: GET, HEAD\r\n");
    } else if (live) {
        put_probe(admin, admin->options.live, "live", response);
    } else if (ready) {
        put_probe(admin, admin->options.ready, "ready", response);
    } else {
        response->status = 200;
        enum metrics_format format = metrics_format_of(http_header(request, "Accept", 0));
        buf_puts(&response->headers, "Vary: Accept\r\n");
        response->content_type = metrics_content_type(format);
        put_metrics(admin, format, &response->body);
    }
}

enum cv_status admin_start(const struct admin_options *options, struct admin **out_admin, struct err *err)
{
    struct admin *admin = cv_zalloc(sizeof *admin);
    admin->options = *options;
    init_metrics(admin);
    struct http_options http = {
        .listen = &options->listen,
        .listen_count = 1,
        .threads = ADMIN_THREADS,
        .connections_max = ADMIN_CONNECTIONS,
        .no_bodies = true,
        .max_answer = PAGE_MAX,
        .handler = handle,
        .context = admin,
    };
    enum cv_status status = http_start(&http, &admin->server, err);
    if (status != CV_OK) {
        free(admin);
        err_prefix(err, "admin-listen");
        return status;
    }
    const char *listen = options->listen, *colon = strrchr(listen, ':');
    log_info("admin port: http://%.*s:%d (/live /ready /metrics)", (int)(colon ? colon - listen : 0), listen,
             http_port(admin->server, 0));
    *out_admin = admin;
    return CV_OK;
}

void admin_stop(struct admin *admin)
{
    if (admin == NULL)
        return;
    http_stop(admin->server);
    free(admin);
}
