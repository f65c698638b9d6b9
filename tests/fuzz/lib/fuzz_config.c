/*
 * Any bytes as options: lines of the input are taken as a file, as environment and as command line. They are refused
 * with one line of text, or read; never a crash.
 */
#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "caseview/config.h"

#define WORDS_MAX 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct option_def *const tables[] = {caseview_options, NULL};

static void load(int argc, char **argv, char **environment)
{
    struct err err = ERR_INIT;
    struct config *config;
    if (config_load(tables, SCOPE_WORKER, argc, argv, environment, &config, &err) != CV_OK) {
        assert(err.text[0] != '\0' && strchr(err.text, '\n') == NULL);
        return;
    }
    if (!config_wants_help(config)) {
        assert(config_int(config, "gap-alarm-s") >= 1 && config_int(config, "gap-alarm-s") <= 86400);
        assert(config_text(config, "case-topic") != NULL);
    }
    config_free(config);
}

static int split(char *text, char **out_words)
{
    int count = 0;
    for (char *rest = text, *word; count < WORDS_MAX && (word = strsep(&rest, "\n")) != NULL;)
        out_words[count++] = word;
    out_words[count] = NULL;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *words[WORDS_MAX + 1];
    char *none[] = {NULL};
    char *text = cv_strndup((const char *)data, size);
    load(split(text, words), words, none);
    free(text);
    text = cv_strndup((const char *)data, size);
    split(text, words);
    load(0, none, words);
    free(text);

    char path[] = "/tmp/fuzz_config_XXXXXX";
    int fd = mkstemp(path);
    assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    close(fd);
    char option[] = "--config";
    char *file[] = {option, path, NULL};
    load(2, file, none);
    unlink(path);
    return 0;
}
