#include "caseview/log.h"

#include "caseview/buf.h"
#include "caseview/clock.h"
#include "caseview/json.h"
#include "caseview/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define MESSAGE_MAX 8192 /* bytes; a longer message is cut and ends in "…" */

static const char *const level_names[] = {"error", "warn", "info", "debug"};

/* Set once, before threads start. */
static struct {
    const char *program;
    enum log_level level;
    enum log_format format;
} settings = {"caseview", LOG_LEVEL_INFO, LOG_FORMAT_TEXT};

void log_init(const char *program, enum log_level level, enum log_format format)
{
    settings.program = program;
    settings.level = level;
    settings.format = format;
}

void log_init_options(const char *program, const char *level, const char *format)
{
    enum log_level named = LOG_LEVEL_INFO;
    for (size_t i = 0; i < ARRAY_LEN(level_names); i++)
        if (strcmp(level_names[i], level) == 0)
            named = (enum log_level)i;
    bool json = format != NULL ? strcmp(format, "json") == 0 : !isatty(STDERR_FILENO);
    log_init(program, named, json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
}

bool log_enabled(enum log_level level)
{
    return level <= settings.level;
}

/* Appends a message as one line of UTF-8, which log collectors expect: libraries use other encodings, several lines. */
static void put_message(struct buf *out, const char *text, size_t len, bool escape)
{
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
        len--;
    for (size_t i = 0; i < len;) {
        const unsigned char *p = (const unsigned char *)text + i;
        size_t n = utf8_length(text + i, len - i);
        if (n == 0)
            buf_puts(out, "\xef\xbf\xbd");
        else if (escape && *p == '\n')
            buf_puts(out, "\\n");
        else if (escape && (*p < 0x20 || *p == 0x7f))
            buf_printf(out, "\\x%02x", *p);
        else
            buf_append(out, p, n);
        i += n ? n : 1;
    }
}

static void put_json(struct buf *line, enum log_level level, const struct trace *trace, const char *message, size_t len)
{
    struct buf clean CV_CLEANUP(buf_done);
    buf_init(&clean, 4 * MESSAGE_MAX);
    put_message(&clean, message, len, false);

    struct json_writer json;
    char time[CLOCK_ISO_MAX];
    size_t time_len = clock_iso(clock_wall_us(), time);
    json_begin(&json, line);
    json_open_object(&json, NULL);
    json_put_str(&json, "time", (struct str){time, time_len});
    json_put_text(&json, "level", level_names[level]);
    json_put_text(&json, "program", settings.program);
    json_put_str(&json, "message", (struct str){clean.data != NULL ? clean.data : "", clean.len});
    if (trace_is_set(trace)) {
        json_put_str(&json, "trace_id", trace_id(trace));
        json_put_str(&json, "span_id", trace_span_id(trace));
    }
    json_close(&json);
}

static void put_text(struct buf *line, enum log_level level, const struct trace *trace, const char *message, size_t len)
{
    char time[CLOCK_ISO_MAX];
    size_t time_len = clock_iso(clock_wall_us(), time);
    buf_append(line, time, time_len);
    buf_printf(line, " %-5s %s: ", level_names[level], settings.program);
    put_message(line, message, len, true);
    if (trace_is_set(trace)) {
        buf_puts(line, " trace_id=");
        buf_str(line, trace_id(trace));
        buf_puts(line, " span_id=");
        buf_str(line, trace_span_id(trace));
    }
}

CV_PRINTF(3, 0)
static void log_line(enum log_level level, const struct trace *trace, const char *fmt, va_list args)
{
    if (!log_enabled(level))
        return;
    int saved = errno;
    char message[MESSAGE_MAX];
    int n = vsnprintf(message, sizeof message, fmt, args);
    if (n < 0)
        return; /* a wrong format, which the compiler refuses */
    size_t len = (size_t)n;
    if (len >= sizeof message) {
        static const char ellipsis[] = "\xe2\x80\xa6";
        len = sizeof message - 1;
        memcpy(message + len - 3, ellipsis, 3);
    }
    struct buf line CV_CLEANUP(buf_done);
    buf_init(&line, 8 * MESSAGE_MAX);
    if (settings.format == LOG_FORMAT_JSON)
        put_json(&line, level, trace, message, len);
    else
        put_text(&line, level, trace, message, len);
    buf_byte(&line, '\n');
    ssize_t ignored = write(STDERR_FILENO, line.data, line.len); /* an error of standard error cannot be reported */
    (void)ignored;
    errno = saved;
}

void log_error(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_line(LOG_LEVEL_ERROR, NULL, fmt, args);
    va_end(args);
}

void log_warn(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_line(LOG_LEVEL_WARN, NULL, fmt, args);
    va_end(args);
}

void log_info(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_line(LOG_LEVEL_INFO, NULL, fmt, args);
    va_end(args);
}

void log_debug(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_line(LOG_LEVEL_DEBUG, NULL, fmt, args);
    va_end(args);
}

void log_traced(enum log_level level, const struct trace *trace, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    log_line(level, trace, fmt, args);
    va_end(args);
}
