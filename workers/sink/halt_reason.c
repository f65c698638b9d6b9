#include "workers/sink/halt_reason.h"

static const struct {
    const char *name, *detail, *advice;
    bool from_start;
} reasons[HALT_REASON_COUNT] = {
    [HALT_RECREATED] =
        {
            "recreated",
            "the log no longer contains the last record that was folded: the topic was deleted and created again",
            "check that the new topic contains all events",
            true,
        },
    [HALT_RETENTION_GAP] =
        {
            "retention-gap",
            "retention removed records before they were read",
            "raise the topic's retention",
            true,
        },
    [HALT_BEYOND_END] =
        {
            "beyond-end",
            "the log ends before the cursor: the brokers have lost records",
            "let the producers send the lost events again",
            true,
        },
    [HALT_DIRECTORY_REPARTITIONED] =
        {
            "directory-repartitioned",
            "the directory topic's partition count changed since it was first read",
            "publish the whole directory to a new topic with the old partition count and set directory-topic to it",
            false,
        },
    [HALT_POISON_FLOOD] =
        {
            "poison-flood",
            "more than 1,000 records, and more than half of all, were parked within a minute",
            "give the workers the missing schema, or stop the producer that sends these records",
            false,
        },
    [HALT_REFUSED_BY_DATABASE] =
        {
            "refused-by-database",
            "the database refuses to store a record, even as a parked one",
            "fix what the worker's log line says about the database",
            false,
        },
};

const char *halt_reason_name(enum halt_reason reason)
{
    assert(reason < HALT_REASON_COUNT);
    return reasons[reason].name;
}

bool halt_reason_parse(struct str name, enum halt_reason *out_reason)
{
    for (enum halt_reason reason = 0; reason < HALT_REASON_COUNT; reason++) {
        if (!str_eq(name, str_of(reasons[reason].name)))
            continue;
        *out_reason = reason;
        return true;
    }
    return false;
}

const char *halt_reason_detail(enum halt_reason reason)
{
    assert(reason < HALT_REASON_COUNT);
    return reasons[reason].detail;
}

const char *halt_reason_advice(enum halt_reason reason)
{
    assert(reason < HALT_REASON_COUNT);
    return reasons[reason].advice;
}

bool halt_reason_from_start(enum halt_reason reason)
{
    assert(reason < HALT_REASON_COUNT);
    return reasons[reason].from_start;
}
