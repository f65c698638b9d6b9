#include "workers/open_batch.h"

bool open_batch_has(const struct pipeline *pipeline, const struct partition *partition)
{
    return partition->batch_number == pipeline_closed(pipeline);
}

struct batch_cursor *open_batch_cursor(struct pipeline *pipeline, struct partition *partition)
{
    struct batch *batch = pipeline_open(pipeline);
    if (!open_batch_has(pipeline, partition)) {
        partition->batch_number = pipeline_closed(pipeline);
        partition->batch_cursor = batch_add_cursor(batch, &(struct batch_cursor){
                                                              .topic = partition->topic,
                                                              .part = partition->part,
                                                              .topic_name = partition->topic_name,
                                                              .claim = partition->cursor.claim,
                                                              .old_offset = partition->position,
                                                              .new_offset = partition->position,
                                                          });
    }
    return &batch->cursors[partition->batch_cursor];
}
