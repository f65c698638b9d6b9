/*
 * CPU time of decoding one case event on one core, as the worker does it: a typical change of about 300 bytes, and a
 * snapshot of all fields, each in single-object encoding.
 */
#include <jansson.h>
#include <stdio.h>

#include "caseview/clock.h"
#include "deploy/dev/encode.h"
#include "workers/source/decode.h"

#define FOLDER       CASEVIEW_SOURCE_DIR "/schemas/avro"
#define DECODED      2000000
#define BATCH        1000 /* events between two resets of the arena */
#define ID(n)        "\"10a36a3c-ffd8-42db-9eb0-5b0f6a1c2d0" n "\""
#define REF(n, name) "{\"id\":" ID(n) ",\"name\":\"" name "\"}"
#define EVENT(payload)                                                                                      \
    "{\"topic\":\"case\",\"value\":{\"eventId\":" ID("0") ",\"organizationId\":" ID("1") ",\"caseId\":" ID( \
        "2") ","                                                                                            \
             "\"sequence\":17,\"occurredAt\":1712834018008222,\"payload\":" payload "}}"
#define STATUS "\"status\":\"Active\",\"statusDate\":1712834018008222,"
#define USER   "{\"userId\":" ID("6") ",\"displayName\":\"John Doe\",\"initials\":\"JD\",\"picture\":null}"

static const char change[] = EVENT("{\"CaseServiceStarted\":{" STATUS "\"lockedBy\":" USER
                                   ",\"workstation\":" REF("8", "Desk 12") ",\"caseTimestamp\":1712834033404068}}");
static const char snapshot[] = EVENT(
    "{\"CaseQueued\":{\"case\":{\"ticket\":{\"prefix\":\"A\",\"number\":119},"
    "\"serviceCategory\":" REF("3", "Inquiry") ",\"serviceType\":" REF(
        "4",
        "Special Inquiry") "," STATUS
                           "\"referenceDate\":1709216427330563,\"dateOpened\":1709216427330563,\"lockedBy\":" USER
                           ",\"channel\":\"FaceToFace\",\"rank\":3.7090777e37,\"unit\":" REF(
                               "7",
                               "Jerusalem") ",\"inbox\":{\"id\":" ID("9") ",\"name\":\"Reception\",\"colorCode\":\"#"
                                                                          "03a9f4\"},\"caseTimestamp\":"
                                                                          "1712834033404068,\"customer\":{"
                                                                          "\"dataTableId\":" ID("a") ",\"recordId\""
                                                                                                     ":" ID("b") ",\"di"
                                                                                                                 "splay"
                                                                                                                 "Name"
                                                                                                                 "\":"
                                                                                                                 "\"Bru"
                                                                                                                 "ce "
                                                                                                                 "Sprin"
                                                                                                                 "gstee"
                                                                                                                 "n\"},"
                                                                                                                 "\"pri"
                                                                                                                 "ntedT"
                                                                                                                 "icket"
                                                                                                                 "\":"
                                                                                                                 "true,"
                                                                                                                 "\"con"
                                                                                                                 "tactP"
                                                                                                                 "honeN"
                                                                                                                 "umber"
                                                                                                                 "\":"
                                                                                                                 "\"+"
                                                                                                                 "12221"
                                                                                                                 "23456"
                                                                                                                 "7\","
                                                                                                                 "\"ent"
                                                                                                                 "ryMod"
                                                                                                                 "e\":"
                                                                                                                 "\"Wal"
                                                                                                                 "kIn\""
                                                                                                                 "}}}");

static double ns_each(struct encoder *encoder, struct schemas *schemas, struct arena *arena, const char *text,
                      size_t *out_len)
{
    struct err err = ERR_INIT;
    struct buf key, value;
    buf_init(&key, 1 << 10);
    buf_init(&value, 1 << 16);
    struct record record = {0};
    bool null;
    json_t *json = json_loads(text, 0, NULL);
    double ns = -1;
    if (encoder_encode(encoder, json, &record.topic, &key, &value, &null, &err) == CV_OK) {
        record.key = (struct str){key.data, key.len};
        record.value = (struct str){value.data, value.len};
        int64_t start = clock_cpu_us();
        enum decode_outcome outcome = DECODE_EVENT;
        for (unsigned i = 0; i < DECODED && outcome == DECODE_EVENT; i++) {
            struct decode_result result;
            if (i % BATCH == 0)
                arena_reset(arena);
            outcome = decode_record(schemas, &record, arena, &result, &err);
        }
        if (outcome == DECODE_EVENT)
            ns = (double)(clock_cpu_us() - start) * 1e3 / DECODED;
    }
    if (ns < 0)
        fprintf(stderr, "bench_decode: %s\n", err.text);
    *out_len = value.len;
    json_decref(json);
    buf_done(&key);
    buf_done(&value);
    return ns;
}

int main(void)
{
    struct err err = ERR_INIT;
    struct encoder *encoder = NULL;
    struct schemas *schemas = NULL;
    struct encoder_options options = {.schema_dir = FOLDER};
    if (encoder_open(&options, &encoder, &err) != CV_OK || schemas_open(FOLDER, NULL, &schemas, &err) != CV_OK) {
        fprintf(stderr, "bench_decode: %s\n", err.text);
        return 1;
    }
    struct arena *arena = arena_new(1 << 20, 64 << 20);
    size_t change_len, snapshot_len;
    double change_ns = ns_each(encoder, schemas, arena, change, &change_len);
    double snapshot_ns = ns_each(encoder, schemas, arena, snapshot, &snapshot_len);
    printf("bench_decode: %.0f ns CPU an event of %zu bytes, %.2f M events/s a core; %.0f ns a snapshot of %zu bytes\n",
           change_ns, change_len, 1e3 / change_ns, snapshot_ns, snapshot_len);
    arena_free(arena);
    schemas_close(schemas);
    encoder_close(encoder);
    return change_ns > 0 && snapshot_ns > 0 ? 0 : 1;
}
