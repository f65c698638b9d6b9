/*
 * CPU a Case object costs to render, on one core: the page's sample, its texts from the events and from the directory.
 */
#include <stdio.h>

#include "caseview/clock.h"
#include "tests/support/sample_case.h"
#include "workers/fold/render.h"

#define RENDERED 1000000

static double ns_each(const struct case_state *state, const struct entity_names *const names[NAME_SLOT_COUNT],
                      size_t *out_len)
{
    struct uuid id = sample_uuid(2);
    struct buf out;
    buf_init(&out, 1 << 20);
    int64_t start = clock_cpu_us();
    for (unsigned i = 0; i < RENDERED; i++) {
        buf_reset(&out);
        render_case(&id, state, names, &out);
    }
    int64_t us = clock_cpu_us() - start;
    *out_len = out.len;
    buf_done(&out);
    return (double)us * 1e3 / RENDERED;
}

int main(void)
{
    struct case_event queued = sample_event(CASE_QUEUED, 1, 0);
    queued.fields = sample_page_fields();
    struct case_state state;
    case_init(&state, &queued.organization_id);
    if (case_apply(&state, &queued) != FOLD_APPLIED)
        return 1;

    const struct entity_names one = {.name = STR("A name from the directory"),
                                     .detail = STR("#03a9f4"),
                                     .picture = STR("https://pictures.example/public/profiles/1"),
                                     .data_table_id = queued.fields.customer.data_table_id};
    const struct entity_names *none[NAME_SLOT_COUNT] = {NULL};
    const struct entity_names *all[NAME_SLOT_COUNT];
    for (unsigned slot = 0; slot < NAME_SLOT_COUNT; slot++)
        all[slot] = &one;

    size_t len;
    double directory_ns = ns_each(&state, all, &len);
    double own_ns = ns_each(&state, none, &len);
    printf("bench_render: %.0f ns CPU a case (%zu bytes), %.0f ns with names of the directory, %.2f M cases/s a core\n",
           own_ns, len, directory_ns, 1e3 / own_ns);
    return 0;
}
