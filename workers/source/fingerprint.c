#include "workers/source/fingerprint.h"

#include "workers/source/canonical.h"

/* The fingerprint of nothing, and the polynomial of Rabin's fingerprint (Avro specification). */
#define EMPTY UINT64_C(0xc15d213aa4d7a795)

static uint64_t table_entry(uint64_t byte)
{
    uint64_t entry = byte;
    for (int bit = 0; bit < 8; bit++)
        entry = entry >> 1 ^ (EMPTY & -(entry & 1));
    return entry;
}

/* Schemas are few and read once: eight steps a byte are quicker than a table is worth. */
static uint64_t rabin(const char *data, size_t len)
{
    uint64_t fingerprint = EMPTY;
    for (size_t i = 0; i < len; i++)
        fingerprint = fingerprint >> 8 ^ table_entry((fingerprint ^ (uint8_t)data[i]) & 0xff);
    return fingerprint;
}

enum cv_status fingerprint_canonical(struct str schema_json, struct buf *out, struct err *err)
{
    json_t *json = canonical_parse(schema_json, err);
    if (json == NULL)
        return CV_PARK;
    enum cv_status status = canonical_write(json, NULL, out, err);
    json_decref(json);
    return status;
}

enum cv_status fingerprint_of(struct str schema_json, uint64_t *out_fingerprint, struct err *err)
{
    CV_CLEANUP(buf_done) struct buf form;
    buf_init(&form, SCHEMA_MAX_BYTES);
    enum cv_status status = fingerprint_canonical(schema_json, &form, err);
    if (status == CV_OK)
        *out_fingerprint = rabin(form.data, form.len);
    return status;
}
