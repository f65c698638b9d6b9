/*
 * partitions.h: the partitions that the group has assigned to this worker, each found in constant time, and what may
 * happen to one of them: it is claimed again, put off, held or halted. Every change pauses fetching where it must. One
 * thread.
 */
#ifndef CASEVIEW_WORKERS_PARTITIONS_H
#define CASEVIEW_WORKERS_PARTITIONS_H

#include "workers/partition.h"
#include "workers/source/consumer.h"

struct partitions {
    struct partition **all; /* in no order */
    size_t count, room;
    struct partition **by_part[TOPIC_COUNT]; /* NULL: not assigned */
    int32_t parts[TOPIC_COUNT];              /* length of by_part */
    const char *topic_names[TOPIC_COUNT];
    struct consumer *consumer; /* borrowed; set once it is open */
    const char *option;        /* borrowed; for commands in log lines, see generation_watch.h */
    bool changed;              /* the set or a claim changed: the directory feed has to start again */
};

void partitions_init(struct partitions *partitions, const char *const topic_names[TOPIC_COUNT]);
void partitions_done(struct partitions *partitions);

/* NULL: not assigned. Pointers stay valid until the partition is removed. */
static inline struct partition *partitions_find(const struct partitions *partitions, enum topic topic, int32_t part)
{
    return part >= 0 && part < partitions->parts[topic] ? partitions->by_part[topic][part] : NULL;
}

/* NULL: it is there already. */
struct partition *partitions_add(struct partitions *partitions, enum topic topic, int32_t part);
void partitions_remove(struct partitions *partitions, struct partition *partition);

/*
 * Has its records delivered from its position on. A partition of which nothing was ever read has no position yet: it
 * begins where its log does, also if retention removes more meanwhile. CV_OK or CV_RETRY.
 */
enum cv_status partitions_position(struct partitions *partitions, struct partition *partition,
                                   struct err *err) CV_MUST_CHECK;
/* Gives the claim up: paused until it is claimed again, which is tried at once. */
void partitions_release(struct partitions *partitions, struct partition *partition);
void partitions_release_all(struct partitions *partitions);
/* Cannot be read or claimed now: the same, but tried again after a growing delay. Logs why, now and then. */
void partitions_postpone(struct partitions *partitions, struct partition *partition, const struct err *err);
/* A record of it cannot be decoded yet: paused where it is, tried again after a growing delay. */
void partitions_hold(struct partitions *partitions, struct partition *partition, const struct record *record,
                     const struct err *err);
/*
 * Stops it with a reason, which the cursor will say once all before is committed (claims_write_halts()). detail: what
 * was seen, NULL: what the table of reasons says.
 */
void partitions_halt(struct partitions *partitions, struct partition *partition, enum halt_reason reason,
                     const char *detail);
/* The same because of this record: the log line has its trace. */
void partitions_halt_at(struct partitions *partitions, struct partition *partition, const struct record *record,
                        enum halt_reason reason, const char *detail);

/* The numbers of the topic's partitions; out has room for partitions->count. */
size_t partitions_of_topic(const struct partitions *partitions, enum topic topic, int32_t *out);

#endif
