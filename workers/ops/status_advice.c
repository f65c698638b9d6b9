#include "workers/ops/status_advice.h"

#include <inttypes.h>

#include "workers/ops/operation.h"
#include "workers/sink/halt_reason.h"

static void put_partition_command(const struct config *config, const struct status_partition *partition,
                                  struct buf *out, const char *command)
{
    operation_put_command(config, out, command);
    buf_printf(out, " --topic %.*s --partition %d", (int)partition->topic.len, partition->topic.ptr, partition->part);
}

static void advise_halted(const struct config *config, const struct status_partition *partition, struct buf *out)
{
    enum halt_reason reason;
    if (halt_reason_parse(partition->reason, &reason)) {
        buf_printf(out, "%s; then ", halt_reason_advice(reason));
        if (halt_reason_from_start(reason)) {
            put_partition_command(config, partition, out, "cursor set");
            buf_puts(out, " --offset 0 --force; ");
        }
    }
    put_partition_command(config, partition, out, "resume");
}

static void advise_stopped(const struct config *config, const struct status_partition *partition, bool halted,
                           struct buf *out)
{
    buf_str(out, partition->state);
    if (partition->reason.len > 0)
        buf_printf(out, " (%.*s)", (int)partition->reason.len, partition->reason.ptr);
    buf_puts(out, ": ");
    if (halted)
        advise_halted(config, partition, out);
    else
        put_partition_command(config, partition, out, "resume");
}

static void advise_late(const struct status_partition *partition, struct buf *out)
{
    buf_printf(out, "lags by %" PRId64 " records", partition->lag);
    if (partition->lag_seconds >= 0)
        buf_printf(out, ", %.0f s", partition->lag_seconds);
    if (partition->owner.len > 0)
        buf_printf(out, ": check that its worker %.*s is running, or add workers", (int)partition->owner.len,
                   partition->owner.ptr);
    else
        buf_puts(out, ": check that a worker is running, or add workers");
}

bool status_advise_kafka(const struct status_data *data, struct buf *out)
{
    if (data->kafka_problem[0] == '\0')
        return false;
    buf_printf(out, "end offsets unavailable: %s", data->kafka_problem);
    return true;
}

bool status_advise_rebuild(const struct status_data *data, struct buf *out)
{
    if (data->prepared || !str_eq(data->generation_state, STR("waiting")))
        return false;
    buf_printf(
        out, "generation %d is not prepared: caseview rebuild status; when it has caught up, caseview rebuild prepare",
        data->gen);
    return true;
}

bool status_advise_partition(const struct config *config, const struct status_partition *partition, struct buf *out)
{
    bool halted = str_eq(partition->state, STR("halted")), paused = str_eq(partition->state, STR("paused"));
    bool late = status_is_late(partition);
    if (!halted && !paused && partition->has_cursor && !late && partition->parked == 0)
        return false;
    buf_printf(out, "%.*s/%d ", (int)partition->topic.len, partition->topic.ptr, partition->part);
    if (!partition->has_cursor) {
        buf_puts(out, "was never claimed: start a worker of this generation; if one runs, its log says why it waits");
        return true;
    }
    if (halted || paused)
        advise_stopped(config, partition, halted, out);
    else if (late)
        advise_late(partition, out);
    if (partition->parked > 0) {
        buf_printf(out, "%s%" PRId64 " parked: ", halted || paused || late ? "; " : "", partition->parked);
        put_partition_command(config, partition, out, "parked list");
    }
    return true;
}

bool status_advise_degraded(const struct config *config, const struct status_data *data, struct buf *out)
{
    if (data->degraded == 0 || data->degraded_option.len == 0)
        return false;
    buf_printf(out, "%" PRId64 " degraded, the oldest: ", data->degraded);
    operation_put_command(config, out, "explain");
    buf_printf(out, " %.*s", (int)data->degraded_option.len, data->degraded_option.ptr);
    return true;
}

bool status_advise_incomplete(const struct config *config, const struct status_data *data, struct buf *out)
{
    if (data->incomplete == 0 || data->incomplete_option.len == 0)
        return false;
    buf_printf(out, "%" PRId64 " incomplete, one of them: ", data->incomplete);
    operation_put_command(config, out, "explain");
    buf_printf(out, " %.*s", (int)data->incomplete_option.len, data->incomplete_option.ptr);
    return true;
}
