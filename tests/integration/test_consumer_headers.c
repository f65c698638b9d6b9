/* Headers of records that the consumer delivers: as JSON, bounded, and as a part of the record's size. */
#include <jansson.h>

#include "tests/integration/consumer_fixture.h"
#include "workers/source/consumer_headers.h"

/* Sends one record with this key (NULL: none), these headers and a value of one byte. */
static void send_one(struct fixture *f, rd_kafka_t *rk, const char *key, rd_kafka_headers_t *headers)
{
    assert_int_equal(rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(f->topics[TOPIC_CASES]), RD_KAFKA_V_PARTITION(0),
                                       RD_KAFKA_V_KEY(key, key ? strlen(key) : 0),
                                       RD_KAFKA_V_VALUE((void *)(uintptr_t) "v", 1), RD_KAFKA_V_HEADERS(headers),
                                       RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END),
                     0);
}

/* A member that is about to read the records of send_one(). */
static struct member *open_reader(struct fixture *f)
{
    struct member *m = member_open(f, NULL, NULL);

    UNTIL(assigned(m) == 3, m);
    position(m, TOPIC_CASES, 0, 0);
    return m;
}

/* One record of send_one(), read back; its headers' JSON goes to `json`, its record to out_event. */
static struct member *read_headers(struct fixture *f, const char *key, rd_kafka_headers_t *headers, struct buf *json,
                                   struct consumer_event *out_event)
{
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;

    send_one(f, f->rk, key, headers);
    assert_int_equal(rd_kafka_flush(f->rk, WAIT_MS), 0);
    struct member *m = open_reader(f);
    do
        assert_true(clock_mono_ms() < deadline_ms);
    while (consumer_poll(m->consumer, out_event, 1) == 0 || out_event->type != CONSUMER_RECORD);
    buf_init(json, CONSUMER_HEADERS_JSON_MAX);
    assert_true(consumer_headers_json(&out_event->record, json));
    assert_false(json->overflow);
    return m;
}

static void test_headers_as_json(void **state)
{
    static const struct {
        const char *name, *value;
        ssize_t size;
    } given[] = {{"a\"b", "x\xc3\xa9", 3}, {"raw", "\xff\x00\x41\x42", 4}, {"none", NULL, 0}};
    struct fixture *f = fixture_open(1);
    struct consumer_event event;
    struct buf json;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(ARRAY_LEN(given));
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(given); i++)
        assert_int_equal(rd_kafka_header_add(headers, given[i].name, -1, given[i].value, given[i].size), 0);

    struct member *m = read_headers(f, NULL, headers, &json, &event);
    assert_string_equal(json.data,
                        "[{\"name\":\"a\\\"b\",\"value\":\"x\xc3\xa9\"},{\"name\":\"raw\",\"base64\":\"/wBBQg==\"},"
                        "{\"name\":\"none\",\"value\":null}]");
    assert_int_equal(consumer_headers_size(&event.record), 3 + 3 + 3 + 4 + 4 + 3);
    assert_null(event.record.key.ptr);
    assert_true(event.record.timestamp_ms > 1600000000000);
    buf_done(&json);
    member_close(m);
    fixture_close(f);
}

static void add_header(rd_kafka_headers_t *headers, const char *name, char byte, size_t size)
{
    char *value = malloc(size + 1);

    assert_non_null(value);
    memset(value, byte, size);
    assert_int_equal(rd_kafka_header_add(headers, name, -1, value, (ssize_t)size), 0);
    free(value);
}

/* Parses as JSON; the element at the end, and in *out_count how many there are. */
static json_t *last_element(const struct buf *json, size_t *out_count, json_t **out_root)
{
    *out_root = json_loadb(json->data, json->len, 0, NULL);
    assert_true(json_is_array(*out_root));
    *out_count = json_array_size(*out_root);
    return json_array_get(*out_root, *out_count - 1);
}

static void test_headers_too_large_are_left_out_and_counted(void **state)
{
    enum { LARGE = 20000000 };
    struct fixture *f = fixture_open(1);
    struct consumer_event event;
    struct buf json;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(3);
    (void)state;
    add_header(headers, "first", 'x', 3);
    add_header(headers, "large", '\x01', LARGE);
    add_header(headers, "last", 'y', 1);

    struct member *m = read_headers(f, "key", headers, &json, &event);
    assert_string_equal(json.data,
                        "[{\"name\":\"first\",\"value\":\"xxx\"},{\"truncated\":{\"headers\":2,\"bytes\":20000010}}]");
    assert_int_equal(consumer_headers_size(&event.record), 6 + 3 + 6 + LARGE + 5 + 1);
    assert_true(consumer_record_is_too_large(&event.record));
    buf_done(&json);
    member_close(m);
    fixture_close(f);
}

/* The bytes with the longest escapes: all are kept, six bytes each, within the maximum length. */
static void test_headers_within_the_bound_are_all_there(void **state)
{
    struct fixture *f = fixture_open(1);
    struct consumer_event event;
    struct buf json;
    size_t count;
    json_t *root;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(2);
    (void)state;
    add_header(headers, "n", '\x01', RECORD_MAX_BYTES - 1 - CONSUMER_HEADER_COST);

    struct member *m = read_headers(f, "key", headers, &json, &event);
    assert_true(json.len > 6 * (RECORD_MAX_BYTES - 100) && json.len <= CONSUMER_HEADERS_JSON_MAX);
    json_t *last = last_element(&json, &count, &root);
    assert_int_equal(count, 1);
    assert_int_equal(json_string_length(json_object_get(last, "value")), RECORD_MAX_BYTES - 1 - CONSUMER_HEADER_COST);
    json_decref(root);
    buf_done(&json);
    member_close(m);
    fixture_close(f);
}

static void test_headers_too_many_are_left_out_and_counted(void **state)
{
    enum { COUNT = 100000 };
    struct fixture *f = fixture_open(1);
    struct consumer_event event;
    struct buf json;
    size_t count;
    json_t *root;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(COUNT);
    (void)state;
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(rd_kafka_header_add(headers, "\xff", 1, i % 2 ? "\xff" : NULL, i % 2), 0);

    struct member *m = read_headers(f, "key", headers, &json, &event);
    assert_true(json.len <= CONSUMER_HEADERS_JSON_MAX);
    json_t *truncated = json_object_get(last_element(&json, &count, &root), "truncated");
    assert_in_range(count, RECORD_MAX_BYTES / (CONSUMER_HEADER_COST + 2),
                    RECORD_MAX_BYTES / (CONSUMER_HEADER_COST + 1));
    assert_int_equal(json_integer_value(json_object_get(truncated, "headers")), COUNT - (count - 1));
    assert_non_null(json_object_get(json_array_get(root, 1), "name_base64"));
    json_decref(root);
    buf_done(&json);
    member_close(m);
    fixture_close(f);
}

enum { KEY_BYTES = 3, VALUE_BYTES = 1, NAME_BYTES = 2, FREE = RECORD_MAX_BYTES - KEY_BYTES - VALUE_BYTES - NAME_BYTES };

/* One batch of records whose headers have these sizes; 0: none. */
static void produce_headers(struct fixture *f, const char *codec, const size_t *sizes, size_t count)
{
    char text[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const char *properties[][2] = {{"bootstrap.servers", f->servers},
                                   {"linger.ms", "200"},
                                   {"message.max.bytes", "40000000"},
                                   {"compression.codec", codec}};
    for (size_t i = 0; i < ARRAY_LEN(properties); i++)
        assert_int_equal(rd_kafka_conf_set(conf, properties[i][0], properties[i][1], text, sizeof text),
                         RD_KAFKA_CONF_OK);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof text);
    assert_non_null(rk);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_headers_t *headers = rd_kafka_headers_new(1);
        if (sizes[i] > 0)
            add_header(headers, "n", 'x', sizes[i]);
        send_one(f, rk, "key", headers);
    }
    assert_int_equal(rd_kafka_flush(rk, WAIT_MS), 0);
    rd_kafka_destroy(rk);
}

/*
 * Whether a record is too large is mostly decided by where the next one begins in memory, without its headers. This
 * holds as long as librdkafka leaves a record's headers behind its value, compressed or not.
 */
static void sizes_are_right(const char *codec)
{
    static const size_t sizes[] = {10, FREE, FREE + 1, 0, 2 * RECORD_MAX_BYTES, 7, 0, 5};
    struct fixture *f = fixture_open(1);
    struct consumer_event events[ARRAY_LEN(sizes)];
    size_t seen = 0, shown_by_the_next = 0;
    produce_headers(f, codec, sizes, ARRAY_LEN(sizes));
    struct member *m = open_reader(f);
    int64_t deadline_ms = clock_mono_ms() + WAIT_MS;
    while (seen < ARRAY_LEN(sizes)) {
        assert_true(clock_mono_ms() < deadline_ms);
        size_t count = consumer_poll(m->consumer, events, ARRAY_LEN(events));
        for (size_t i = 0; i < count; i++) {
            const struct record *record = &events[i].record;
            if (events[i].type != CONSUMER_RECORD)
                continue;
            size_t size = sizes[record->offset] > 0 ? sizes[record->offset] + NAME_BYTES : 0;
            assert_int_equal(consumer_record_is_too_large(record), sizes[record->offset] > FREE);
            assert_int_equal(consumer_headers_size(record), size);
            const char *end = record->value.ptr + record->value.len;
            shown_by_the_next += record->behind >= end && record->behind - end < FREE;
            seen++;
        }
    }
    assert_true(shown_by_the_next > 0);
    member_close(m);
    fixture_close(f);
}

static void test_headers_count_into_the_size(void **state)
{
    (void)state;
    sizes_are_right("none");
    sizes_are_right("lz4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_as_json),
        cmocka_unit_test(test_headers_too_large_are_left_out_and_counted),
        cmocka_unit_test(test_headers_within_the_bound_are_all_there),
        cmocka_unit_test(test_headers_too_many_are_left_out_and_counted),
        cmocka_unit_test(test_headers_count_into_the_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
