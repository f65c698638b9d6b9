#include "workers/report_partitions.h"

#include "caseview/log.h"

#define LINE_MAX 1500

void report_partitions(const char *const topic_names[TOPIC_COUNT], const char *what,
                       const struct consumer_partition_id *partitions, size_t count)
{
    struct buf line CV_CLEANUP(buf_done);
    buf_init(&line, LINE_MAX);
    for (enum topic topic = 0; topic < TOPIC_COUNT; topic++) {
        bool first = true;
        for (size_t i = 0; i < count; i++) {
            if (partitions[i].topic != topic)
                continue;
            if (first)
                buf_printf(&line, " %s/%d", topic_names[topic], partitions[i].partition);
            else
                buf_printf(&line, ",%d", partitions[i].partition);
            first = false;
        }
    }
    /* What does not fit a log line is left out. */
    log_info("group: %s%.*s%s", what, (int)line.len, line.data != NULL ? line.data : "", line.overflow ? " …" : "");
}
