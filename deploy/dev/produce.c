#include "deploy/dev/produce.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>

#include "caseview/clock.h"
#include "caseview/log.h"
#include "caseview/stop.h"
#include "deploy/dev/producer.h"

#define LINE_MAX_BYTES (16u << 20)
#define LINGER_MS      "5"
#define PROGRESS_MS    2000
#define POLL_EVERY     256

struct produce {
    const char *file_name;
    FILE *file;
    struct producer *producer;
    uint64_t line;
    int64_t started_ms;
    int64_t next_progress_ms;
};

static enum cv_status open_file(struct produce *produce, struct config *config, struct err *err)
{
    const char *name = config_operand(config, 0);
    if (name == NULL || config_operand(config, 1) != NULL) {
        err_set(err, "usage: caseview-dev produce FILE (one file, - is standard input)");
        return CV_FATAL;
    }
    bool standard = strcmp(name, "-") == 0;
    produce->file_name = standard ? "stdin" : name;
    produce->file = standard ? stdin : fopen(name, "re");
    if (produce->file == NULL) {
        err_set(err, "%s: %s", name, strerror(errno));
        return CV_FATAL;
    }
    return CV_OK;
}

static void progress(struct produce *produce)
{
    int64_t now_ms = clock_mono_ms();
    if (now_ms < produce->next_progress_ms)
        return;
    produce->next_progress_ms = now_ms + PROGRESS_MS;
    struct producer_counts counts = producer_counts(produce->producer);
    log_info("%" PRIu64 " events sent, %" PRIu64 " delivered", counts.sent_in_all, counts.delivered);
}

/* Sends one event. The tag of its record is the line number, which an error about its delivery names. */
static enum cv_status send_line(struct produce *produce, const char *line, size_t len, struct err *err)
{
    if (len > LINE_MAX_BYTES) {
        err_set(err, "line is longer than %u bytes", LINE_MAX_BYTES);
        return CV_PARK;
    }
    json_error_t where;
    json_t *json = json_loadb(line, len, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &where);
    if (json == NULL) {
        err_set(err, "not JSON: column %d: %s", where.column, where.text);
        return CV_PARK;
    }
    enum cv_status status = producer_put(produce->producer, json, produce->line, err);
    json_decref(json);
    return status;
}

static bool is_blank(const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!strchr(" \t\r\n", line[i]) || !line[i])
            return false;
    return true;
}

static enum cv_status send_file(struct produce *produce, struct err *err)
{
    CV_CLEANUP(cv_free_ptr) char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    while (!stop_requested() && (len = getline(&line, &capacity, produce->file)) >= 0) {
        produce->line++;
        if (is_blank(line, (size_t)len))
            continue;
        enum cv_status status = send_line(produce, line, (size_t)len, err);
        if (status != CV_OK) {
            err_prefix(err, "%s:%" PRIu64, produce->file_name, produce->line);
            return status;
        }
        if (produce->line % POLL_EVERY == 0) {
            producer_poll(produce->producer, 0);
            progress(produce);
        }
    }
    if (ferror(produce->file)) {
        err_set(err, "%s: %s", produce->file_name, strerror(errno));
        return CV_FATAL;
    }
    return CV_OK;
}

static enum cv_status report(const struct produce *produce)
{
    struct producer_counts counts = producer_counts(produce->producer);
    double seconds = (double)(clock_mono_ms() - produce->started_ms) / 1000;
    printf("%" PRIu64 " events delivered (sent: %" PRIu64 " case, %" PRIu64 " agent, %" PRIu64
           " directory) in %.1f s, %.0f events/s\n",
           counts.delivered, counts.sent[TOPIC_CASES], counts.sent[TOPIC_AGENTS], counts.sent[TOPIC_DIRECTORY], seconds,
           (double)counts.delivered / (seconds > 0.001 ? seconds : 0.001));
    if (counts.failed == 0)
        return CV_OK;
    log_error("%s:%" PRIu64 ": not delivered: %s", produce->file_name, counts.first_failed_tag, counts.first_failure);
    log_error("%" PRIu64 " of %" PRIu64 " events were not delivered", counts.failed, counts.sent_in_all);
    return CV_RETRY;
}

static int exit_code(enum cv_status status)
{
    if (status == CV_OK)
        return CV_EXIT_OK;
    return status == CV_RETRY ? CV_EXIT_UNREACHABLE : CV_EXIT_USAGE;
}

int produce_main(struct config *config)
{
    struct produce produce = {0};
    struct err err = ERR_INIT;
    enum cv_status delivered = CV_OK;
    enum cv_status status = open_file(&produce, config, &err);
    if (status == CV_OK)
        status = producer_open(config, LINGER_MS, &produce.producer, &err);
    if (status == CV_OK) {
        produce.started_ms = clock_mono_ms();
        produce.next_progress_ms = produce.started_ms + PROGRESS_MS;
        status = send_file(&produce, &err);
        producer_drain(produce.producer);
        delivered = report(&produce);
    }
    if (status != CV_OK)
        log_error("%s", err.text);
    producer_close(produce.producer);
    if (produce.file && produce.file != stdin)
        fclose(produce.file);
    return exit_code(status == CV_OK ? delivered : status);
}
