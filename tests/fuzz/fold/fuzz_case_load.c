/*
 * Any bytes as a stored case or agent: refused, or loaded into a usable state that is stored as the same bytes.
 */
#include "workers/fold/agent.h"
#include "workers/fold/render.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_case(struct str blob)
{
    static const struct entity_names *const names[NAME_SLOT_COUNT];
    struct case_state state;
    if (!case_load(blob, &state))
        return;
    struct buf out;
    buf_init(&out, 64u << 20);
    case_store(&state, &out);
    assert(out.len == blob.len && memcmp(out.data, blob.ptr, blob.len) == 0);
    buf_reset(&out);
    render_case(&state.organization_id, &state, names, &out);
    assert(!out.overflow);
    buf_done(&out);
}

static void check_agent(struct str blob)
{
    struct arena *arena = arena_new(64 << 10, 64u << 20);
    struct agent_state state;
    if (agent_load(blob, arena, &state)) {
        struct buf out;
        struct uuid unit_id;
        size_t count;
        buf_init(&out, 64u << 20);
        agent_store(&state, &out);
        assert(out.len == blob.len && memcmp(out.data, blob.ptr, blob.len) == 0);
        (void)agent_current_unit(&state, &unit_id);
        (void)agent_current_workspaces(&state, &count);
        buf_done(&out);
    }
    arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str blob = {(const char *)data, size};
    check_case(blob);
    check_agent(blob);
    return 0;
}
