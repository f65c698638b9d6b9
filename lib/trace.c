#include "caseview/trace.h"

#define ID_AT       3
#define ID_LEN      32
#define SPAN_AT     (ID_AT + ID_LEN + 1)
#define SPAN_LEN    16
#define FLAGS_AT    (SPAN_AT + SPAN_LEN + 1)
#define FLAGS_LEN   2
#define VERSION_LEN 2

static_assert(FLAGS_AT + FLAGS_LEN == TRACE_TEXT_LEN, "the parts and their hyphens");

static bool is_hex(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!((text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f')))
            return false;
    return true;
}

/* An id of zeros only means that there is none. */
static bool is_id(const char *text, size_t len)
{
    size_t zeros = 0;

    while (zeros < len && text[zeros] == '0')
        zeros++;
    return zeros < len && is_hex(text, len);
}

static struct str trimmed(struct str text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t'))
        text = (struct str){text.ptr + 1, text.len - 1};
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

bool trace_parse(struct str text, struct trace *out_trace)
{
    *out_trace = (struct trace){.text = ""};
    text = trimmed(text);
    if (text.len < TRACE_TEXT_LEN || !is_hex(text.ptr, VERSION_LEN) || memcmp(text.ptr, "ff", VERSION_LEN) == 0)
        return false;
    bool later = memcmp(text.ptr, "00", VERSION_LEN) != 0;
    if (text.len > TRACE_TEXT_LEN && (!later || text.ptr[TRACE_TEXT_LEN] != '-'))
        return false;
    if (text.ptr[ID_AT - 1] != '-' || text.ptr[SPAN_AT - 1] != '-' || text.ptr[FLAGS_AT - 1] != '-' ||
        !is_id(text.ptr + ID_AT, ID_LEN) || !is_id(text.ptr + SPAN_AT, SPAN_LEN) ||
        !is_hex(text.ptr + FLAGS_AT, FLAGS_LEN))
        return false;
    memcpy(out_trace->text, text.ptr, TRACE_TEXT_LEN);
    out_trace->text[TRACE_TEXT_LEN] = '\0';
    if (later) {
        memcpy(out_trace->text + FLAGS_AT, trace_is_sampled(out_trace) ? "01" : "00", FLAGS_LEN);
        memcpy(out_trace->text, "00", VERSION_LEN);
    }
    return true;
}

bool trace_is_sampled(const struct trace *trace)
{
    return trace_is_set(trace) && strchr("13579bdf", trace->text[TRACE_TEXT_LEN - 1]) != NULL;
}

struct str trace_id(const struct trace *trace)
{
    assert(trace_is_set(trace));
    return (struct str){trace->text + ID_AT, ID_LEN};
}

struct str trace_span_id(const struct trace *trace)
{
    assert(trace_is_set(trace));
    return (struct str){trace->text + SPAN_AT, SPAN_LEN};
}
