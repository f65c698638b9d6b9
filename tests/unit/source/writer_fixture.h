/*
 * writer_fixture.h: records of writers that have a schema of their own, which is in a folder; for a file of tests whose
 * group runs with setup and teardown.
 */
#ifndef CASEVIEW_TESTS_WRITER_FIXTURE_H
#define CASEVIEW_TESTS_WRITER_FIXTURE_H

#include "tests/unit/source/decode_fixture.h"

static struct fixture fixture;
static char folder[] = "/tmp/caseview-schemas-XXXXXX";

/* Begins a record of this schema, which is the only one in the folder. */
static inline struct buf *write_with(const char *schema)
{
    return fixture_write_with(&fixture, folder, schema);
}

static inline int setup(void **state CV_UNUSED)
{
    return mkdtemp(folder) ? 0 : -1;
}

static inline int teardown(void **state CV_UNUSED)
{
    char path[sizeof folder + 16];
    snprintf(path, sizeof path, "%s/writer.avsc", folder);
    fixture_close(&fixture);
    unlink(path);
    return rmdir(folder);
}

/* The first five fields of a case or agent event, whose sequence is 7. */
static inline void put_head(struct buf *out)
{
    put_text(out, EVENT_ID);
    put_text(out, ORG_ID);
    put_text(out, ID);
    put_long(out, 7);
    put_long(out, SOME_DAY);
}

#endif
