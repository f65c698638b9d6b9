#include "workers/sink/write_step.h"

#include <assert.h>

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

void *write_step_alloc(struct write_steps *steps, size_t size)
{
    void *memory = arena_alloc(steps->arena, size);
    assert(memory != NULL); /* a slice is far below ARENA_MAX */
    return memory;
}
