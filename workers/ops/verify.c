#include "workers/ops/verify.h"

#include <stdlib.h>

#include "workers/ops/verify_rows.h"

#define NAMES_MAX_BYTES (256u << 20)
#define PAGE_MAX        (1u << 30)
#define LOOK_AGAIN_MS   15000

static enum cv_status verify(struct verify_rows *rows, struct err *err)
{
    enum cv_status status = history_reader_snapshot(rows->reader, err);
    if (status == CV_OK)
        status = verify_history_read(rows->history, rows->reader, err);
    if (status == CV_OK)
        status = verify_rows_compare(rows, err);
    if (status == CV_OK)
        status = verify_rows_recheck(rows, LOOK_AGAIN_MS, err);
    if (status == CV_OK)
        status = history_reader_end_snapshot(rows->reader, err);
    return status;
}

int verify_main(const struct config *config)
{
    struct err err = ERR_INIT;
    struct verify_report report;
    struct verify_history history;
    struct verify_rows rows = {.history = &history, .report = &report};
    report_init(&report, config_flag(config, "json"));
    report.sample = config_int(config, "sample");
    verify_history_init(&history, report.sample, &report);
    rows.names = names_new(NAMES_MAX_BYTES);
    rows.arena = arena_new(1u << 16, PAGE_MAX);
    enum cv_status status = history_reader_open(config, "verify", &rows.reader, &err);
    if (status == CV_OK)
        status = verify(&rows, &err);
    int exit_code;
    if (status == CV_OK) {
        report_print(&report);
        exit_code = report.differences == 0 ? CV_EXIT_OK : CV_EXIT_NO;
    } else {
        exit_code = history_reader_failed("verify", status, &err);
    }
    history_reader_close(rows.reader);
    names_free(rows.names);
    arena_free(rows.arena);
    free(rows.suspects);
    verify_history_done(&history);
    report_done(&report);
    return exit_code;
}
