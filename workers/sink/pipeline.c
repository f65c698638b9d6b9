#include "workers/sink/pipeline.h"

#include "caseview/clock.h"
#include "caseview/failpoint.h"

struct pipeline {
    struct folder *folder;
    struct writer *writer;
    size_t batch_bytes;
    struct batch *open, *written;
    struct batch_limit limit;
    struct pace pace;
    uint64_t closed, committed;
    int64_t sent_at_us;
};

struct pipeline *pipeline_new(struct folder *folder, struct writer *writer, size_t batch_bytes)
{
    struct pipeline *pipeline = cv_zalloc(sizeof *pipeline);
    pipeline->folder = folder;
    pipeline->writer = writer;
    pipeline->batch_bytes = batch_bytes;
    pipeline->open = batch_new();
    pipeline->written = batch_new();
    batch_limit_init(&pipeline->limit, FAIL_POINT_NUMBER("CASEVIEW_TEST_BATCH_RECORDS", BATCH_LIMIT_NONE));
    return pipeline;
}

void pipeline_free(struct pipeline *pipeline)
{
    if (pipeline == NULL)
        return;
    pipeline_drop(pipeline);
    batch_free(pipeline->open);
    batch_free(pipeline->written);
    free(pipeline);
}

struct batch *pipeline_open(struct pipeline *pipeline)
{
    return pipeline->open;
}

size_t pipeline_room(const struct pipeline *pipeline)
{
    size_t used = batch_items(pipeline->open);
    return pipeline->limit.items > used ? pipeline->limit.items - used : 0;
}

bool pipeline_is_full(const struct pipeline *pipeline)
{
    const struct batch *batch = pipeline->open;
    return batch->bytes >= pipeline->batch_bytes || batch->flooded || pipeline_room(pipeline) == 0;
}

bool pipeline_is_busy(const struct pipeline *pipeline)
{
    return writer_is_busy(pipeline->writer);
}

static void send(struct pipeline *pipeline)
{
    pipeline->sent_at_us = clock_mono_us();
    FAIL_POINT("send.before");
    writer_send(pipeline->writer, pipeline->written, folder_names(pipeline->folder), NULL);
}

void pipeline_submit(struct pipeline *pipeline)
{
    assert(!writer_is_busy(pipeline->writer));
    struct batch *batch = pipeline->open;
    pipeline->open = pipeline->written;
    pipeline->written = batch;
    batch_close(batch);
    pipeline->closed++;
    FAIL_POINT("folded");
    send(pipeline);
}

enum writer_outcome pipeline_poll(struct pipeline *pipeline, struct err *err)
{
    enum writer_outcome outcome = writer_poll(pipeline->writer, err);
    if (outcome == WRITER_COMMITTED) {
        batch_limit_committed(&pipeline->limit, batch_items(pipeline->written));
        pace_add(&pipeline->pace, writer_fence_us(pipeline->writer));
    } else if (outcome == WRITER_AGAIN) {
        send(pipeline);
    }
    return outcome;
}

const struct batch *pipeline_written(const struct pipeline *pipeline)
{
    return pipeline->written;
}

void pipeline_release(struct pipeline *pipeline)
{
    batch_reset(pipeline->written, folder_caches(pipeline->folder));
    pipeline->committed++;
}

void pipeline_drop(struct pipeline *pipeline)
{
    if (writer_is_busy(pipeline->writer))
        writer_disconnect(pipeline->writer);
    batch_reset(pipeline->written, folder_caches(pipeline->folder));
    batch_reset(pipeline->open, folder_caches(pipeline->folder));
    folder_clear(pipeline->folder);
    pipeline->committed = ++pipeline->closed; /* a new number: nothing may be taken for part of the open batch */
}

uint64_t pipeline_closed(const struct pipeline *pipeline)
{
    return pipeline->closed;
}

uint64_t pipeline_committed(const struct pipeline *pipeline)
{
    return pipeline->committed;
}

int64_t pipeline_sent_at_us(const struct pipeline *pipeline)
{
    return pipeline->sent_at_us;
}

int64_t pipeline_gap_us(const struct pipeline *pipeline)
{
    return pace_gap_us(&pipeline->pace);
}

struct batch_limit *pipeline_limit(struct pipeline *pipeline)
{
    return &pipeline->limit;
}
