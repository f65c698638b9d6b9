#include "workers/sink/operator_steps.h"

#include <stdio.h>

#include "sql_worker.h"

static const struct db_statement settings_statement = {"operator_settings", sql_operator_settings};
static const struct db_statement claim_statement = {"operator_claim", sql_operator_claim};
static const struct db_statement forget_statement = {"progress_forget", sql_progress_forget};
static const struct db_statement unpark_statement = {"unpark", sql_unpark};
static const struct db_statement unpark_refused_statement = {"unpark_refused", sql_unpark_refused};

void operator_step_settings(struct write_steps *steps)
{
    char timeout[16];
    struct db_args args;
    snprintf(timeout, sizeof timeout, "%dms", steps->command->lock_timeout_ms);
    db_args_init(&args, steps->arena);
    db_arg_text(&args, str_of(timeout));
    write_step_send(steps, &settings_statement, &args, STEP_OTHER);
    write_step_end(steps);
}

void operator_step_claim(struct write_steps *steps)
{
    const struct batch *batch = steps->batch;
    const struct batch_cursor *c = batch->cursors;
    size_t n = batch->cursor_count;
    if (batch->case_count + batch->agent_count + batch->entity_count + batch->version_count > 0) {
        bool *exact = write_step_alloc(steps, (n + 1) * sizeof *exact);
        for (size_t i = 0; i < n; i++)
            exact[i] = c[i].topic == TOPIC_DIRECTORY;
        struct db_args args;
        db_args_init(&args, steps->arena);
        db_arg_int4(&args, steps->gen);
        db_arg_int8(&args, steps->command->clock);
        db_arg_text_array(&args, &c->topic_name, sizeof *c, n);
        db_arg_int4_array(&args, &c->part, sizeof *c, n);
        db_arg_uuid_array(&args, &c->claim, sizeof *c, n);
        db_arg_int8_array(&args, &c->old_offset, sizeof *c, n);
        db_arg_bool_array(&args, exact, sizeof *exact, n);
        write_step_send(steps, &claim_statement, &args, STEP_CLAIM);
    }
    write_step_end(steps);
}

void operator_step_forget(struct write_steps *steps)
{
    size_t n;
    const struct write_step_part *parts = write_step_parts(steps, false, &n);
    if (n > 0) {
        struct db_args args;
        db_args_init(&args, steps->arena);
        db_arg_bool_array(&args, &parts->agents, sizeof *parts, n);
        db_arg_int4_array(&args, &parts->part, sizeof *parts, n);
        db_arg_int8(&args, steps->command->clock);
        write_step_send(steps, &forget_statement, &args, STEP_OTHER);
    }
    write_step_end(steps);
}

static bool is_still_parked(const struct batch *batch, const struct batch_unpark *unpark)
{
    for (size_t i = 0; i < batch->parked_count; i++) {
        const struct batch_parked *parked = &batch->parked[i];
        if (parked->offset == unpark->offset && parked->part == unpark->part &&
            str_eq(parked->topic_name, unpark->topic_name))
            return true;
    }
    return false;
}

static void send_still_parked(struct write_steps *steps)
{
    const struct batch_parked *p = steps->batch->parked;
    size_t n = steps->batch->parked_count;
    struct db_args args;
    if (n == 0)
        return;
    db_args_init(&args, steps->arena);
    db_arg_text_array(&args, &p->topic_name, sizeof *p, n);
    db_arg_int4_array(&args, &p->part, sizeof *p, n);
    db_arg_int8_array(&args, &p->offset, sizeof *p, n);
    db_arg_uuid_null_array(&args, &p->organization_id, &p->has_organization, sizeof *p, n);
    db_arg_text_array(&args, &p->reason_name, sizeof *p, n);
    db_arg_text_array(&args, &p->text, sizeof *p, n);
    write_step_send(steps, &unpark_refused_statement, &args, STEP_UNPARK);
}

void operator_step_unparks(struct write_steps *steps)
{
    const struct operator_steps *command = steps->command;
    struct batch_unpark *folded = write_step_alloc(steps, (command->unpark_count + 1) * sizeof *folded);
    size_t n = 0;
    for (size_t i = 0; i < command->unpark_count; i++)
        if (!is_still_parked(steps->batch, &command->unparks[i]))
            folded[n++] = command->unparks[i];
    if (n > 0) {
        struct db_args args;
        db_args_init(&args, steps->arena);
        db_arg_text_array(&args, &folded->topic_name, sizeof *folded, n);
        db_arg_int4_array(&args, &folded->part, sizeof *folded, n);
        db_arg_int8_array(&args, &folded->offset, sizeof *folded, n);
        write_step_send(steps, &unpark_statement, &args, STEP_UNPARK);
    }
    send_still_parked(steps);
    write_step_end(steps);
}
