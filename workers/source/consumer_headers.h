/*
 * consumer_headers.h: the headers of a record that consumer_poll() or a scan delivered, bounded. On the thread that
 * polls, while the record is borrowed.
 */
#ifndef CASEVIEW_SOURCE_CONSUMER_HEADERS_H
#define CASEVIEW_SOURCE_CONSUMER_HEADERS_H

#include "caseview/buf.h"
#include "caseview/trace.h"
#include "workers/fold/record.h"

/*
 * Bytes of names, each with its end, and values; 0: no headers. librdkafka parses the headers at the first call of any
 * function here, into a copy that lives as long as the record; nothing else is copied.
 */
size_t consumer_headers_size(const struct record *record);
/*
 * Key, value and headers together are more than RECORD_MAX_BYTES: the record is too-large (contract, section 3). The
 * headers are parsed only if their place in memory does not show that they are small.
 */
bool consumer_record_is_too_large(const struct record *record);

/* consumer_headers_json() appends at most this many bytes. */
#define CONSUMER_HEADERS_JSON_MAX (6u * RECORD_MAX_BYTES + 128)
/*
 * Appends the headers as a JSON array of {"name", "value"}, in order. Bytes that jsonb cannot hold as text (they are
 * not UTF-8, or have U+0000) are written under "name_base64" and "base64" instead. false: no headers, nothing is
 * appended.
 *
 * A header counts as the bytes of its name and value and CONSUMER_HEADER_COST. The first header with which the sum
 * exceeds RECORD_MAX_BYTES is left out with all after it, and the last element is then
 * {"truncated":{"headers":N,"bytes":M}}: how many were left out, and the bytes of their names and values.
 */
#define CONSUMER_HEADER_COST 32
bool consumer_headers_json(const struct record *record, struct buf *out);

/* The record's trace, from its last header `traceparent`; not set when it has none that is valid. */
struct trace consumer_headers_trace(const struct record *record);

#endif
