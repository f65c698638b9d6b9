#include "workers/fold/record.h"

#define FIRST_MS INT64_C(1293840000000)   /* 2011-01-01 */
#define LAST_MS  INT64_C(253402300799999) /* 9999-12-31 */

static const char *const reason_names[PARK_REASON_COUNT] = {
    [PARK_NONE] = "none",
    [PARK_NOT_AVRO] = "not-avro",
    [PARK_UNKNOWN_SCHEMA] = "unknown-schema",
    [PARK_WRONG_TYPE] = "wrong-type",
    [PARK_BAD_GUID] = "bad-guid",
    [PARK_BAD_TEXT] = "bad-text",
    [PARK_BAD_RANK] = "bad-rank",
    [PARK_BAD_JSON] = "bad-json",
    [PARK_BAD_TIME] = "bad-time",
    [PARK_BAD_SEQUENCE] = "bad-sequence",
    [PARK_MISSING_KEY] = "missing-key",
    [PARK_KEY_MISMATCH] = "key-mismatch",
    [PARK_NO_VALUE] = "no-value",
    [PARK_TOO_LARGE] = "too-large",
    [PARK_REFUSED_BY_DATABASE] = "refused-by-database",
};

const char *park_reason_name(enum park_reason reason)
{
    assert(reason < PARK_REASON_COUNT);
    return reason_names[reason];
}

bool record_has_time(const struct record *record)
{
    return record->timestamp_ms >= FIRST_MS && record->timestamp_ms <= LAST_MS;
}
