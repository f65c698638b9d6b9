/*
 * caseview-api: answers one endpoint from the view that the workers keep (docs/architecture.md). It never consumes
 * Kafka, writes nothing, and waits for nothing at its start: without database or keys it runs and answers 503 or 401.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "active_cases.h"
#include "caseview/admin.h"
#include "caseview/clock.h"
#include "caseview/config.h"
#include "caseview/fetch.h"
#include "caseview/http.h"
#include "caseview/log.h"
#include "caseview/manual.h"
#include "caseview/notify.h"
#include "caseview/output.h"
#include "caseview/process.h"
#include "caseview/stop.h"
#include "manual_texts.h"
#include "request_id.h"

#ifndef CASEVIEW_VERSION
#define CASEVIEW_VERSION "0.1.0"
#endif

enum { LIST_MAX = 64, TICK_MS = 500 };

static const struct option_def *const tables[] = {caseview_options, NULL};

/* All parts, in the order in which they are made. */
struct api {
    struct config *config;
    const char *listen[LIST_MAX + 1];
    const char *issuers[LIST_MAX + 1];
    const char *audiences[LIST_MAX + 1];
    struct metrics *metrics;
    struct metric *connections, *active, *shed, *unserved, *accept_failures;
    struct http_stats counted; /* what the counters have of the server's */
    struct admin *admin;
    struct key_source *keys;
    struct tokens *tokens;
    struct lookup *lookup;
    struct active_cases *endpoint;
    struct http_server *server;
    struct notify notify;
};

static bool take_list(const struct config *config, const char *name, const char **out, struct err *err)
{
    size_t n = 0;
    for (const char *item; (item = config_item(config, name, n)) != NULL; n++) {
        if (n == LIST_MAX) {
            err_set(err, "%s: at most %d values are allowed", name, LIST_MAX);
            return false;
        }
        out[n] = item;
    }
    out[n] = NULL;
    return true;
}

static size_t length_of(const char *const *list)
{
    size_t n = 0;
    while (list[n] != NULL)
        n++;
    return n;
}

static void ready(void *context, char *out_reason, size_t size)
{
    struct api *api = context;
    if (stop_requested()) {
        snprintf(out_reason, size, "stopping");
        return;
    }
    key_source_reason(api->keys, out_reason, size);
    if (out_reason[0] == '\0')
        lookup_reason(api->lookup, out_reason, size);
}

/* What the figures of the moment are to be compared with. */
static void init_limits(struct api *api)
{
    int64_t threads = config_int(api->config, "threads");
    int64_t max_waiting = config_int(api->config, "max-waiting");
    metric_set(metrics_gauge(api->metrics, "caseview_api_threads", NULL, "The option threads"), (double)threads);
    metric_set(metrics_gauge(api->metrics, "caseview_api_waiting_max", NULL,
                             "Requests that can wait for the database at once: max-waiting, but at most threads"),
               (double)(max_waiting < threads ? max_waiting : threads));
}

static void make_parts(struct api *api)
{
    const struct config *config = api->config;
    api->metrics = metrics_new();
    api->connections = metrics_gauge(api->metrics, "caseview_api_connections", NULL, "Client connections open now");
    api->active = metrics_gauge(api->metrics, "caseview_api_connections_active", NULL,
                                "Client connections that have a thread now");
    api->shed = metrics_counter(api->metrics, "caseview_api_connections_shed_total", NULL,
                                "Connections without a request that were closed to make room for new ones");
    api->unserved = metrics_counter(api->metrics, "caseview_api_connections_unserved_total", NULL,
                                    "Connections whose request no thread took within 10 s; answered with 503");
    api->accept_failures = metrics_counter(api->metrics, "caseview_api_accept_failures_total", NULL,
                                           "Times when no further connection could be accepted");
    init_limits(api);
    api->keys = key_source_new(config_text(config, "jwks"), (int)config_int(config, "jwks-refresh-s"),
                               (int)config_int(config, "threads"), api->metrics);
    api->tokens = tokens_new(api->metrics);
    struct lookup_options options = {
        .database = config_text(config, "database"),
        .connect_timeout_ms = (int)config_int(config, "connect-timeout-s") * 1000,
        .max_waiting = (int)config_int(config, "max-waiting"),
        .callers = (int)config_int(config, "threads"),
        .log_traces = config_flag(config, "log-traces"),
        .metrics = api->metrics,
    };
    api->lookup = lookup_new(&options);
    struct auth_options auth = {
        .issuers = api->issuers, .audiences = api->audiences, .keys = api->keys, .tokens = api->tokens};
    api->endpoint = active_cases_new(&auth, api->lookup, api->metrics);
}

static enum cv_status start_server(struct api *api, struct err *err)
{
    const char *certificate = config_text(api->config, "tls-certificate");
    if (certificate != NULL && *certificate == '\0')
        certificate = NULL;
    struct http_options options = {
        .listen = api->listen,
        .listen_count = length_of(api->listen),
        .tls_certificate = certificate,
        .threads = (int)config_int(api->config, "threads"),
        .keep_alive_s = (int)config_int(api->config, "keep-alive-s"),
        .max_answer = ANSWER_MAX,
        .handler = active_cases_handle,
        .refused = active_cases_refused,
        .context = api->endpoint,
    };
    enum cv_status status = http_start(&options, &api->server, err);
    if (status != CV_OK)
        return status;
    for (size_t i = 0; i < options.listen_count; i++) {
        const char *colon = strrchr(api->listen[i], ':');
        log_info("listening on %s://%.*s:%d with %d threads", certificate != NULL ? "https" : "http",
                 (int)(colon != NULL ? colon - api->listen[i] : 0), api->listen[i], http_port(api->server, i),
                 options.threads);
    }
    return CV_OK;
}

/* Copies the server's figures to the metrics, and logs when all threads begin to be busy. */
static void report_connections(struct api *api, bool *busy)
{
    int threads = (int)config_int(api->config, "threads");
    struct http_stats stats;
    http_stats(api->server, &stats);
    metric_set(api->connections, stats.connections);
    metric_set(api->active, stats.active);
    metric_add(api->shed, stats.shed - api->counted.shed);
    metric_add(api->unserved, stats.unserved - api->counted.unserved);
    metric_add(api->accept_failures, stats.accept_failures - api->counted.accept_failures);
    api->counted = stats;
    if (stats.certificate_expiry_s > 0)
        metric_set(metrics_gauge(api->metrics, "caseview_api_certificate_expiry_timestamp_seconds", NULL,
                                 "When the certificate in force ends, in seconds since 1970"),
                   (double)stats.certificate_expiry_s);
    bool now = stats.active >= threads;
    if (now && !*busy)
        log_warn("all %d threads serve a request, further requests wait: raise threads or run more processes", threads);
    *busy = now;
}

/* systemd, where it has started this program: its status line shows what /ready shows. */
static void tell_service_manager(struct api *api)
{
    char text[NOTIFY_STATUS_MAX] = "";
    ready(api, text, sizeof text);
    notify_status(&api->notify, text[0] != '\0' ? text : "ready");
    notify_alive(&api->notify);
}

/* After the request to stop: /ready is 503 already; requests are served until load balancers have noticed. */
static void drain(struct api *api, bool *busy)
{
    int64_t delay_ms = config_int(api->config, "drain-delay-s") * 1000;
    int64_t end_ms = clock_mono_ms() + delay_ms;
    http_end_keep_alive(api->server);
    if (delay_ms > 0)
        log_info("stopping: not ready; requests are accepted for another %d s", (int)(delay_ms / 1000));
    notify_stopping(&api->notify);
    for (int64_t left_ms; (left_ms = end_ms - clock_mono_ms()) > 0;) {
        tell_service_manager(api);
        usleep((useconds_t)(left_ms < TICK_MS ? left_ms : TICK_MS) * 1000);
        report_connections(api, busy);
    }
    log_info("stopping: no new connections are accepted, the requests in flight are answered");
    notify_status(&api->notify, "stopping: answering the requests in flight");
    notify_alive(&api->notify);
}

/* Runs until a stop is requested, and drains. */
static int serve(struct api *api)
{
    struct err err = ERR_INIT;
    bool busy = false;
    unsigned reloads = 0;
    notify_ready(&api->notify); /* it listens; without database or keys it answers 503 or 401 */
    while (!stop_wait(TICK_MS)) {
        tell_service_manager(api);
        report_connections(api, &busy);
        if (stop_reload_requested(&reloads)) {
            log_info("SIGHUP: reading tls-certificate, ca-file and jwks again");
            fetch_reload_ca_file();
            http_reload(api->server);
            key_source_reload(api->keys);
        }
        if (lookup_is_fatal(api->lookup, &err)) {
            log_error("%s", err.text);
            return CV_EXIT_USAGE;
        }
    }
    drain(api, &busy);
    return CV_EXIT_OK;
}

static void take_down(struct api *api)
{
    http_stop(api->server);
    admin_stop(api->admin);
    active_cases_free(api->endpoint);
    lookup_free(api->lookup);
    key_source_free(api->keys);
    tokens_free(api->tokens);
    metrics_free(api->metrics);
    notify_done(&api->notify);
}

static int run_server(struct api *api)
{
    struct err err = ERR_INIT;
    if (!take_list(api->config, "listen", api->listen, &err) || !take_list(api->config, "issuer", api->issuers, &err) ||
        !take_list(api->config, "audience", api->audiences, &err)) {
        log_error("%s", err.text);
        return CV_EXIT_USAGE;
    }
    notify_init(&api->notify);
    make_parts(api);
    int code = CV_EXIT_USAGE;
    struct admin_options admin = {
        .listen = config_text(api->config, "admin-listen"),
        .program = "api",
        .metrics = api->metrics,
        .ready = ready,
        .context = api,
    };
    if (admin_start(&admin, &api->admin, &err) != CV_OK || start_server(api, &err) != CV_OK) {
        log_error("%s", err.text);
        stop_request(); /* ends a wait for the database at once */
    } else {
        code = serve(api);
    }
    take_down(api);
    return code;
}

/*
 * For all threads that start from now on: a thread that wakes up waits until the running one gives up the processor,
 * instead of preempting it. Fewer switches serve more requests (docs/decisions/0010). A sandbox may forbid it.
 */
static void schedule_as_batch(void)
{
    const struct sched_param none = {0};
    if (sched_setscheduler(0, SCHED_BATCH, &none) != 0)
        log_info("SCHED_BATCH is refused, threads keep the default scheduling and serve fewer requests per second: %m");
}

/* `--man`, `--completion`. */
static bool print_manual(const char *word, int *out_exit)
{
    static const struct manual manual = {
        .program = "caseview-api",
        .help = "answer List Active Cases over HTTP from the view in PostgreSQL",
        .scope = SCOPE_API,
        .tables = tables,
        .text = manual_api,
        .exit_codes = manual_api_exit_codes,
        .environment = manual_api_environment,
        .files = manual_api_files,
        .examples = manual_api_examples,
        .see_also = manual_api_see_also,
    };
    return manual_asked(&manual, word, NULL, out_exit);
}

static int run(int argc, char **argv)
{
    int exit_code;
    if (argc == 2 && print_manual(argv[1], &exit_code))
        return exit_code;
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("caseview-api " CASEVIEW_VERSION);
        return CV_EXIT_OK;
    }
    struct api api = {.config = NULL};
    struct err err = ERR_INIT;
    if (config_load(tables, SCOPE_API, argc - 1, argv + 1, environ, &api.config, &err) != CV_OK) {
        fprintf(stderr, "caseview-api: %s\n", err.text);
        return CV_EXIT_USAGE;
    }
    if (config_wants_help(api.config)) {
        config_help(stdout, tables, SCOPE_API, "caseview-api [options]");
        config_free(api.config);
        return CV_EXIT_OK;
    }
    if (config_operand(api.config, 0) != NULL) {
        fprintf(stderr, "caseview-api: unexpected word: %s\n", config_shown(config_operand(api.config, 0)));
        config_free(api.config);
        return CV_EXIT_USAGE;
    }
    log_init_options("caseview-api", config_text(api.config, "log-level"), config_text(api.config, "log-format"));
    schedule_as_batch();
    stop_init(STOP_HANGUP_RELOADS);
    fetch_global_init();
    request_id_init();
    int code = CV_EXIT_USAGE;
    if (fetch_use_ca_file(config_text(api.config, "ca-file"), &err) != CV_OK)
        log_error("ca-file: %s", err.text);
    else
        code = run_server(&api);
    config_free(api.config);
    return code;
}

int main(int argc, char **argv)
{
    process_start();
    return output_finish("caseview-api", run(argc, argv));
}
