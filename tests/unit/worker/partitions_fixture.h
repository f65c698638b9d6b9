/*
 * partitions_fixture.h: a worker's partitions with a consumer that never reaches a broker: it can be told to pause, and
 * its questions to the brokers fail.
 */
#ifndef CASEVIEW_TESTS_PARTITIONS_FIXTURE_H
#define CASEVIEW_TESTS_PARTITIONS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "caseview/clock.h"
#include "workers/partitions.h"

static const char *const topic_names[TOPIC_COUNT] = {"case-events", "agent-events", "directory-events"};
static struct partitions partitions;

static inline void on_before_revoke(void *context CV_UNUSED, const struct consumer_partition_id *revoked CV_UNUSED,
                                    size_t count CV_UNUSED, bool lost CV_UNUSED, int budget_ms CV_UNUSED)
{
}

static inline int open_partitions(void **unused CV_UNUSED)
{
    /* Port 1 of this machine: nothing listens. */
    static const struct config_property properties[] = {{"bootstrap.servers", "127.0.0.1:1"}, {"log_level", "0"}};
    const struct consumer_options options = {
        .properties = properties,
        .property_count = ARRAY_LEN(properties),
        .topics = {topic_names[0], topic_names[1], topic_names[2]},
        .group_id = "unit",
        .client_id = "unit",
        .queue_bytes = 1u << 20,
    };
    struct err err = ERR_INIT;
    partitions_init(&partitions, topic_names);
    assert_int_equal(consumer_open(&options, on_before_revoke, NULL, &partitions.consumer, &err), CV_OK);
    return 0;
}

static inline int close_partitions(void **unused CV_UNUSED)
{
    consumer_close(partitions.consumer);
    partitions_done(&partitions);
    return 0;
}

#endif
