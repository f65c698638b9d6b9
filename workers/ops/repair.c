#include "workers/ops/commands.h"

#include <stdio.h>
#include <unistd.h>

#include "caseview/json.h"
#include "sql_worker.h"
#include "workers/ops/history_check.h"
#include "workers/ops/history_text.h"
#include "workers/ops/operation.h"
#include "workers/sink/operator_write.h"

#define TRIES_MAX 20 /* another try each time a worker wrote the key meanwhile */
#define TEXT_MAX  (4u << 20)

static const struct db_statement strays_statement = {"repair_strays", sql_repair_strays};
static const struct db_statement audit_statement = {"repair_audit", sql_repair_audit};

struct repair {
    struct history_reader *reader;
    struct operator_write *write;
    struct history_key key;
    struct history_fold fold;
    struct history_check check;
    bool checked;       /* check is initialised */
    bool is_done;       /* written, or nothing had to be written */
    size_t event_count; /* valid ones in the log */
    bool written;
};

/* ---- the log ---- */

static int by_sequence(const void *a, const void *b)
{
    const struct history_entry *x = *(const struct history_entry *const *)a,
                               *y = *(const struct history_entry *const *)b;
    int64_t i = event_sequence(&x->event), j = event_sequence(&y->event);
    if (i != j)
        return i < j ? -1 : 1;
    return (x > y) - (x < y); /* of two events with the same number the first in the log counts */
}

/*
 * Includes events at or after the cursor: a row that already contains them keeps them, and the worker folds them later
 * as duplicates.
 */
static bool is_good(const struct repair *repair, const struct history_entry *entry)
{
    return entry->usable && entry->left_out == NULL &&
           history_reader_next_offset(repair->reader, repair->key.topic, entry->part) >= 0;
}

/*
 * Folds all valid events in the order of their sequence numbers. In this order there are never more missing ranges than
 * at the end, so "many missing" is only set if it must be.
 */
static const struct history_entry **sorted_events(const struct repair *repair, size_t *out_count)
{
    const struct history_key *key = &repair->key;
    const struct history_entry **events = cv_alloc((key->count + 1) * sizeof(const struct history_entry *));
    size_t count = 0;
    for (size_t i = 0; i < key->count; i++) {
        const struct history_entry *entry = &key->entries[i];
        const struct uuid *organization = key->topic == TOPIC_CASES ? &entry->event.c.organization_id
                                                                    : &entry->event.a.organization_id;
        if (is_good(repair, entry) && uuid_eq(organization, &key->organization_id))
            events[count++] = entry;
    }
    if (count > 0)
        qsort(events, count, sizeof(const struct history_entry *), by_sequence);
    *out_count = count;
    return events;
}

/* True: the stored state equals the events folded in the order of their sequence numbers. */
static bool state_is_right(const struct repair *repair, const struct history_entry *const *events, size_t count)
{
    struct buf own CV_CLEANUP(buf_done);
    buf_init(&own, TEXT_MAX);
    if (repair->key.topic == TOPIC_CASES) {
        struct case_state state;
        case_init(&state, &repair->key.organization_id);
        for (size_t i = 0; i < count; i++)
            (void)case_apply(&state, &events[i]->event.c);
        case_store(&state, &own);
    } else {
        struct agent_state state;
        agent_init(&state, repair->key.arena);
        for (size_t i = 0; i < count; i++)
            (void)agent_apply(&state, &events[i]->event.a);
        agent_store(&state, &own);
    }
    return str_eq(repair->check.state, (struct str){own.data, own.len});
}

/* Reads rows and cursors of one snapshot, and the log up to these cursors. */
static enum cv_status read_and_check(struct repair *repair, struct err *err)
{
    if (repair->checked)
        history_check_done(&repair->check);
    repair->checked = false;
    enum cv_status status = history_key_read(&repair->key, repair->reader, err);
    if (status == CV_OK)
        status = history_fold_key(&repair->key, &repair->fold, err);
    if (status != CV_OK)
        return status;
    history_check_init(&repair->check, repair->reader, &repair->key, &repair->fold);
    repair->checked = true;
    status = history_check_row(&repair->check, err);
    return status == CV_OK ? history_reader_end(repair->reader, err) : status;
}

/* ---- writing ---- */

static void name_partition(struct repair *repair, int32_t part)
{
    enum topic topic = repair->key.topic;
    /* A damaged row may name a partition that does not exist. */
    if (history_reader_next_offset(repair->reader, topic, part) >= 0)
        operator_write_partition(repair->write, topic, part, str_of(repair->reader->topics[topic]));
}

static void fill_write(struct repair *repair, const struct history_entry *const *events, size_t count)
{
    const struct history_check *check = &repair->check;
    operator_write_begin(repair->write);
    for (size_t i = 0; i < count; i++) {
        const struct record record = {
            .topic = repair->key.topic,
            .partition = events[i]->part,
            .offset = events[i]->offset,
            .timestamp_ms = events[i]->timestamp_ms,
        };
        name_partition(repair, events[i]->part);
        operator_write_event(repair->write, &record, &events[i]->event);
    }
    if (check->row_found)
        name_partition(repair, check->part);
    const struct folder_key key = {
        .topic = repair->key.topic,
        .organization_id = repair->key.organization_id,
        .id = repair->key.id,
    };
    operator_write_repair(repair->write, &key, check->row_found ? check->rev : 0, !check->start_gone);
}

static enum cv_status delete_strays(struct repair *repair, struct err *err)
{
    struct db_args args;
    if (repair->key.topic != TOPIC_CASES)
        return CV_OK;
    db_args_init(&args, repair->key.arena);
    db_arg_uuid(&args, &repair->key.id);
    db_arg_uuid(&args, &repair->key.organization_id);
    return db_exec(operator_write_db(repair->write), &strays_statement, &args, OPERATION_QUERY_TIMEOUT_MS, NULL, err);
}

static enum cv_status write_audit(struct repair *repair, size_t events, struct err *err)
{
    struct buf detail CV_CLEANUP(buf_done);
    struct json_writer json;
    struct db_args args;
    char host[128] = "", client[160];
    buf_init(&detail, TEXT_MAX);
    json_begin(&json, &detail);
    json_open_object(&json, NULL);
    json_put_uuid(&json, repair->key.topic == TOPIC_CASES ? "case" : "user", &repair->key.id);
    json_put_uuid(&json, "organization", &repair->key.organization_id);
    json_put_int(&json, "events", (int64_t)events);
    json_put_bool(&json, "replaced", !repair->check.start_gone);
    json_open_array(&json, "fields");
    for (size_t i = 0; i < repair->check.difference_count; i++)
        json_put_text(&json, NULL, repair->check.differences[i].field);
    json_close(&json);
    json_close(&json);
    if (gethostname(host, sizeof host - 1) != 0)
        snprintf(host, sizeof host, "unknown");
    snprintf(client, sizeof client, "%s:%d", host, (int)getpid());
    db_args_init(&args, repair->key.arena);
    db_arg_text(&args, str_of(client));
    db_arg_int4(&args, repair->reader->gen);
    db_arg_text(&args, str_of(repair->reader->topics[repair->key.topic]));
    db_arg_text(&args, (struct str){detail.data, detail.len});
    enum cv_status status = db_exec(operator_write_db(repair->write), &audit_statement, &args,
                                    OPERATION_QUERY_TIMEOUT_MS, NULL, err);
    if (status != CV_OK)
        err_prefix(err, "the row is repaired, but ctl.audit has no record of it");
    return status;
}

/* A case without a row needs none when its row was deleted tombstone-days after its end. */
static bool was_swept(const struct repair *repair)
{
    return repair->key.topic == TOPIC_CASES && !repair->check.row_found && repair->fold.known && repair->fold.c.over &&
           repair->check.difference_count == 0;
}

static enum cv_status write_once(struct repair *repair, struct err *err)
{
    size_t count;
    const struct history_entry **events = sorted_events(repair, &count);
    bool stale = false;
    enum cv_status status = CV_OK;
    repair->event_count = count;
    repair->is_done = repair->event_count == 0 || was_swept(repair) ||
                      (repair->check.difference_count == 0 &&
                       (repair->check.start_gone || repair->fold.not_yet > 0 || state_is_right(repair, events, count)));
    if (!repair->is_done) {
        enum operator_outcome outcome;
        fill_write(repair, events, count);
        status = operator_write_commit(repair->write, &outcome, err);
        if (status == CV_OK && outcome == OPERATOR_REFUSED)
            status = CV_FATAL;
        stale = status == CV_OK && outcome == OPERATOR_STALE;
        if (status == CV_OK && !stale) {
            repair->written = true;
            status = delete_strays(repair, err);
        }
        if (status == CV_OK && !stale)
            status = write_audit(repair, count, err);
        repair->is_done = status == CV_OK && !stale;
    }
    free(events);
    return status;
}

static enum cv_status repair_key(struct repair *repair, struct err *err)
{
    for (int tries = 0; tries < TRIES_MAX && !repair->is_done; tries++) {
        enum cv_status status = read_and_check(repair, err);
        if (status == CV_OK)
            status = write_once(repair, err);
        if (status != CV_OK)
            return status;
    }
    if (repair->is_done)
        return CV_OK;
    err_set(err, "workers wrote the same row each of the %d times that it was read and folded: try again later",
            TRIES_MAX);
    return CV_RETRY;
}

/* ---- report ---- */

static void print(const struct repair *repair)
{
    const struct history_check *check = &repair->check;
    const char *what = repair->key.topic == TOPIC_CASES ? "case" : "agent";
    char id[UUID_TEXT_LEN + 1];
    uuid_format(&repair->key.id, id);
    if (repair->event_count == 0) {
        printf("%s has no folded event of %s %s%s\n", repair->reader->topics[repair->key.topic], what, id,
               check->row_found ? "; its row is unchanged" : "");
        return;
    }
    if (check->start_gone)
        printf("the start of the log is gone: its events were folded into the stored state of %s %s\n", what, id);
    if (!repair->written) {
        printf("%s %s: nothing had to be changed\n", what, id);
        return;
    }
    printf("%s %s: repaired from %zu events\n", what, id, repair->event_count);
    for (size_t i = 0; i < check->difference_count; i++) {
        const struct history_difference *d = &check->differences[i];
        printf("  %s: was %.*s, is %.*s\n", d->field, (int)d->row.len, d->row.ptr, (int)d->log.len, d->log.ptr);
    }
    if (check->difference_count == 0)
        printf("  the sequence numbers that were seen\n");
}

int repair_main(const struct config *config)
{
    struct err err = ERR_INIT;
    struct repair repair = {.checked = false};
    enum cv_status status = history_key_init(&repair.key, config, &err);
    if (status == CV_OK)
        status = history_reader_open(config, "repair", &repair.reader, &err);
    if (status == CV_OK)
        status = operator_write_open(config_text(config, "database"), repair.reader->gen, repair.reader->timeout_ms,
                                     &repair.write, &err);
    if (status == CV_OK)
        status = repair_key(&repair, &err);
    if (status == CV_OK)
        print(&repair);
    int exit_code = status != CV_OK          ? operation_failed("repair", status, &err)
                    : repair.event_count > 0 ? CV_EXIT_OK
                                             : CV_EXIT_NO;
    if (repair.checked)
        history_check_done(&repair.check);
    operator_write_close(repair.write);
    history_reader_close(repair.reader);
    history_key_done(&repair.key);
    return exit_code;
}
