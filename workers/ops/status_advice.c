#include "workers/ops/status_advice.h"

#include <inttypes.h>

static const struct {
    const char *reason;
    const char *before; /* to be done before the partition is resumed */
    bool from_start;    /* … and then it is read from its beginning */
} halts[] = {
    {"poison-flood", "give the workers the schema that is missing, or stop the producer", false},
    {"retention-gap", "raise the topic's retention", true},
    {"beyond-end", "let producers send again what the log has lost", true},
    {"recreated", "make sure that the new topic holds what it should", true},
    {"directory-repartitioned",
     "publish the whole directory to a new topic with the old number of partitions, and name "
     "it in directory-topic",
     false},
};

static void put_command(const struct config *config, struct buf *out, const char *command)
{
    int generation = (int)config_int(config, "generation");
    buf_printf(out, "caseview %s", command);
    if (generation != 1)
        buf_printf(out, " --generation %d", generation);
}

static void put_for(const struct config *config, const struct status_partition *partition, struct buf *out,
                    const char *command)
{
    put_command(config, out, command);
    buf_printf(out, " --topic %.*s --partition %d", (int)partition->topic.len, partition->topic.ptr, partition->part);
}

static void advise_halted(const struct config *config, const struct status_partition *partition, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(halts); i++) {
        if (!str_eq(partition->reason, str_of(halts[i].reason)))
            continue;
        buf_printf(out, "%s; then ", halts[i].before);
        if (halts[i].from_start) {
            put_for(config, partition, out, "cursor set");
            buf_puts(out, " --offset 0 --force; ");
        }
        break;
    }
    put_for(config, partition, out, "resume");
}

bool status_advise_partition(const struct config *config, const struct status_partition *partition, struct buf *out)
{
    bool halted = str_eq(partition->state, STR("halted")), paused = str_eq(partition->state, STR("paused"));
    if (!halted && !paused && partition->has_cursor && partition->parked == 0)
        return false;
    buf_printf(out, "%.*s/%d ", (int)partition->topic.len, partition->topic.ptr, partition->part);
    if (!partition->has_cursor) {
        buf_puts(out, "has never been claimed: is a worker of this generation running? its log says what it waits for");
        return true;
    }
    if (halted || paused) {
        buf_str(out, partition->state);
        if (partition->reason.len > 0)
            buf_printf(out, " (%.*s)", (int)partition->reason.len, partition->reason.ptr);
        buf_puts(out, ": ");
    }
    if (halted)
        advise_halted(config, partition, out);
    else if (paused)
        put_for(config, partition, out, "resume");
    if (partition->parked > 0) {
        buf_printf(out, "%s%" PRId64 " parked: ", halted || paused ? "; " : "", partition->parked);
        put_for(config, partition, out, "parked list");
    }
    return true;
}

bool status_advise_degraded(const struct config *config, const struct status_data *data, struct buf *out)
{
    if (data->degraded == 0 || data->degraded_option.len == 0)
        return false;
    buf_printf(out, "%" PRId64 " degraded, for the longest time: ", data->degraded);
    put_command(config, out, "explain ");
    buf_str(out, data->degraded_option);
    return true;
}

bool status_advise_incomplete(const struct config *config, const struct status_data *data, struct buf *out)
{
    if (data->incomplete == 0 || data->incomplete_option.len == 0)
        return false;
    buf_printf(out, "%" PRId64 " incomplete, one of them: ", data->incomplete);
    put_command(config, out, "explain ");
    buf_str(out, data->incomplete_option);
    return true;
}
