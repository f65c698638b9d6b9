#include "workers/sink/write_step.h"

void write_step_send(struct write_steps *steps, const struct db_statement *statement, const struct db_args *args,
                     enum write_step kind)
{
    if (steps->status != CV_OK)
        return;
    steps->status = db_pipeline_send(steps->db, statement, args, steps->err);
    if (steps->sent < DB_PIPELINE_MAX)
        steps->kinds[steps->sent++] = (uint8_t)kind;
}

void write_step_end(struct write_steps *steps)
{
    steps->step++;
    steps->at = 0;
}

void write_step_advance(struct write_steps *steps, size_t sent, size_t left)
{
    steps->at += sent;
    if (sent == left)
        write_step_end(steps);
}

void *write_step_alloc(struct write_steps *steps, size_t size)
{
    void *memory = arena_alloc(steps->arena, size);
    assert(memory != NULL); /* a slice is far below ARENA_MAX */
    return memory;
}

struct write_step_part *write_step_parts(struct write_steps *steps, bool shown, size_t *out_count)
{
    const struct batch *batch = steps->batch;
    struct write_step_part *parts = write_step_alloc(steps, (batch->cursor_count + 1) * sizeof *parts);
    size_t n = 0;
    for (size_t i = 0; i < batch->cursor_count; i++) {
        const struct batch_cursor *cursor = &batch->cursors[i];
        if (cursor->topic != TOPIC_DIRECTORY && (cursor->shows_progress || !shown))
            parts[n++] = (struct write_step_part){cursor->topic == TOPIC_AGENTS, cursor->part};
    }
    *out_count = n;
    return parts;
}
