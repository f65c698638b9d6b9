#include "workers/source/kafka_options.h"

#define TOPIC_NAME_MAX 249

const char *const topic_options[TOPIC_COUNT] = {
    [TOPIC_CASES] = "case-topic",
    [TOPIC_AGENTS] = "agent-topic",
    [TOPIC_DIRECTORY] = "directory-topic",
};

enum cv_status consumer_topic_check(const char *name, struct err *err)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = strspn(name, allowed);

    if (name[length] == '\0' && length > 0 && length <= TOPIC_NAME_MAX && strcmp(name, ".") != 0 &&
        strcmp(name, "..") != 0)
        return CV_OK;
    err_set(err,
            "\"%.64s\" is not a valid name of a Kafka topic (1 to %d characters of a-z, A-Z, 0-9, \".\", \"_\" and "
            "\"-\", but not \".\" or \"..\")",
            name, TOPIC_NAME_MAX);
    return CV_FATAL;
}

enum cv_status consumer_topics_check(const char *const topics[TOPIC_COUNT], struct err *err)
{
    for (enum topic t = 0; t < TOPIC_COUNT; t++) {
        if (consumer_topic_check(topics[t], err) != CV_OK) {
            err_prefix(err, "--%s", topic_options[t]);
            return CV_FATAL;
        }
        for (enum topic other = 0; other < t; other++) {
            if (strcmp(topics[t], topics[other]) != 0)
                continue;
            err_set(err, "--%s and --%s name the same topic, %s: each needs its own", topic_options[other],
                    topic_options[t], topics[t]);
            return CV_FATAL;
        }
    }
    return CV_OK;
}
