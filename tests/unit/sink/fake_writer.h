/*
 * fake_writer.h: a writer whose outcomes the test chooses, in the place of writer_send(), writer_poll() … by the
 * linker's
 * --wrap option (tests/CMakeLists.txt). Nothing is connected.
 */
#ifndef CASEVIEW_TESTS_FAKE_WRITER_H
#define CASEVIEW_TESTS_FAKE_WRITER_H

#include "workers/sink/writer.h"

static struct {
    bool busy;
    enum writer_outcome next; /* of the next poll */
    const char *text;         /* of its error */
    const struct batch *sent; /* the last one */
    int64_t fence_us;
    int sends, disconnects;
} fake_writer;

void __wrap_writer_send(struct writer *writer, const struct batch *batch, struct names *names,
                        const struct operator_steps *steps);
void __wrap_writer_send(struct writer *writer CV_UNUSED, const struct batch *batch, struct names *names,
                        const struct operator_steps *steps)
{
    assert(!fake_writer.busy && names != NULL && steps == NULL && batch->closed);
    fake_writer.busy = true;
    fake_writer.sent = batch;
    fake_writer.sends++;
}

enum writer_outcome __wrap_writer_poll(struct writer *writer, struct err *err);
enum writer_outcome __wrap_writer_poll(struct writer *writer CV_UNUSED, struct err *err)
{
    if (!fake_writer.busy)
        return WRITER_IDLE;
    if (fake_writer.text != NULL)
        err_set(err, "%s", fake_writer.text);
    fake_writer.busy = fake_writer.next == WRITER_BUSY;
    return fake_writer.next;
}

int64_t __wrap_writer_fence_us(const struct writer *writer);
int64_t __wrap_writer_fence_us(const struct writer *writer CV_UNUSED)
{
    return fake_writer.fence_us;
}

bool __wrap_writer_is_busy(const struct writer *writer);
bool __wrap_writer_is_busy(const struct writer *writer CV_UNUSED)
{
    return fake_writer.busy;
}

void __wrap_writer_disconnect(struct writer *writer);
void __wrap_writer_disconnect(struct writer *writer CV_UNUSED)
{
    fake_writer.busy = false;
    fake_writer.disconnects++;
}

#endif
