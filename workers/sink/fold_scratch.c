#include "workers/sink/fold_scratch.h"

#define STORED_MAX  (16u << 20)
#define AGENT_BLOCK (64u << 10)
#define AGENT_MAX   (16u << 20)

void fold_scratch_init(struct fold_scratch *scratch)
{
    buf_init(&scratch->stored, STORED_MAX);
    scratch->agent = arena_new(AGENT_BLOCK, AGENT_MAX);
}

void fold_scratch_done(struct fold_scratch *scratch)
{
    buf_done(&scratch->stored);
    arena_free(scratch->agent);
}
