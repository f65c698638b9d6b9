"""What writers and schema registries of the field send, and no code of ours would make: foreign schemas, odd timestamps,
records without a key. test_worker_bad_input.py has what is parked for a reason of the contract, test_worker_schemas.py the
evolution of our own schemas, tests/unit/source/test_writer_schemas.c the limits of each form.
"""

import itertools
import json
import time
import uuid

import pytest

from support import avro_codec, events, programs
from support.stack import mock_stack
from support.waiting import wait_for

SCHEMA_IDS = itertools.count(9000)
TIMES = {"statusDate", "referenceDate", "dateOpened", "dateClosed", "caseTimestamp", "occurredAt"}
GUIDS = {"eventId", "organizationId", "caseId", "userId", "id"}
UUID = '{"type": "string", "logicalType": "uuid"}'


@pytest.fixture(scope="module")
def stack(postgres, schemas, tmp_path_factory):
    """One worker for all tests of this file: each uses its own ids."""
    registry = avro_codec.Registry()
    with mock_stack(postgres, schemas, tmp_path_factory.mktemp("writers"), registry=registry) as stack:
        stack.start_worker()
        yield stack
    registry.stop()


def mapped(value, names, change):
    """The value with the members of these names changed, at any depth."""
    if isinstance(value, list):
        return [mapped(item, names, change) for item in value]
    if not isinstance(value, dict):
        return value
    return {k: change(v) if k in names and v is not None else mapped(v, names, change) for k, v in value.items()}


def union_at_the_top(text, value):
    heartbeat = {"type": "record", "name": "Heartbeat", "namespace": "other", "fields": [{"name": "at", "type": "long"}]}
    return json.dumps(["null", heartbeat, json.loads(text)]), {"CaseEvent": value}


def times_in_milliseconds(text, value):
    return text.replace("timestamp-micros", "timestamp-millis"), mapped(value, TIMES, lambda us: us // 1000)


def local_times(text, value):
    return text.replace("timestamp-micros", "local-timestamp-micros"), value


def guids_of_16_bytes(text, value):
    fixed = '{"type": "fixed", "name": "Guid", "size": 16, "logicalType": "uuid"}'
    text = text.replace(UUID, fixed, 1).replace(UUID, '"caseview.Guid"')
    return text, mapped(value, GUIDS, lambda guid: uuid.UUID(guid).bytes)


def guids_as_bytes(text, value):
    return text.replace(UUID, '"bytes"'), mapped(value, GUIDS, lambda guid: guid.upper().encode())


def names_that_the_specification_forbids(text, value):
    schema = json.loads(text)
    odd = {"type": "record", "name": "Trace-Context", "namespace": "acme-corp.2024", "fields": [{"name": "a.b-c", "type": "string"}]}
    schema["fields"].append({"name": "x-trace", "type": ["null", odd], "default": None})
    return json.dumps(schema), {**value, "x-trace": {"a.b-c": "1"}}


def properties_that_mean_nothing(text, value):
    """connect.name, avro.java.string and friends; in a logical type, too."""
    schema = json.loads(text)
    schema.update({"connect.name": "caseview.CaseEvent", "connect.version": 1, "doc": None, "aliases": []})
    text = json.dumps(schema).replace('"type": "string"', '"avro.java.string": "String", "type": "string"')
    return text, value


@pytest.mark.parametrize(
    "change",
    [
        union_at_the_top,  # several types in one topic: Confluent's serializer with a union of schema references
        times_in_milliseconds,  # Java's Instant and .NET's DateTime by default
        local_times,  # Java's LocalDateTime
        guids_of_16_bytes,  # Avro 1.12 of Java and C#: uuid as fixed(16)
        guids_as_bytes,  # generators that know no logical type
        names_that_the_specification_forbids,  # registries with validation switched off, libraries before 1.11
        properties_that_mean_nothing,  # Kafka Connect, Java's String type
    ],
    ids=lambda change: change.__name__,
)
def test_a_foreign_schema_of_the_same_event_is_folded_alike(stack, change):
    organization = events.guid()
    role, value = events.queued(organization, events.guid(), statusDate=1712834018008000, caseTimestamp=1712834018009000,
                                referenceDate=1712700000000000, dateOpened=1712700000000000)  # fmt: skip
    value["occurredAt"] = 1712834018008000
    other = {**value, "caseId": events.guid()}
    text, sent = change(json.dumps(stack.schemas.by_role[role].json), value)
    schema_id = next(SCHEMA_IDS)
    stack.registry.register(text, schema_id)
    data = avro_codec.Schema(text).registry_framed(schema_id, sent)
    stack.send_raw(role, [(events.key_of(role, value), data, ())])
    stack.send((role, other))
    stack.wait_caught_up()
    assert stack.body(value["caseId"]) == stack.body(other["caseId"]).replace(other["caseId"], value["caseId"])


# The same topic: what is not for us. A heartbeat or a tombstone, as several types in one topic have them.
@pytest.mark.parametrize("sent", [None, {"Heartbeat": {"at": 1}}], ids=["null", "heartbeat"])
def test_another_type_in_the_topic_is_counted_and_nothing_is_parked(stack, sent):
    before, parked = stack.metric("caseview_unknown_types_total"), len(stack.parked())
    role, value = events.queued(events.guid(), events.guid())
    text, _ = union_at_the_top(json.dumps(stack.schemas.by_role[role].json), value)
    schema_id = next(SCHEMA_IDS)
    stack.registry.register(text, schema_id)
    data = avro_codec.Schema(text).registry_framed(schema_id, sent)
    stack.send_raw(role, [(events.key_of(role, value), data, ())])
    stack.wait_caught_up()
    assert stack.metric("caseview_unknown_types_total") == before + 1
    assert len(stack.parked()) == parked


# Clocks that were never set, seconds and microseconds where Kafka takes milliseconds, and the greatest number of all.
TIMESTAMPS = {"1970": 1, "seconds": 1712834018, "microseconds": 1712834018008000, "greatest": 2**63 - 1}


def send_at(stack, timestamp, role, value, data=None, key=True):
    topic, partition, name, data, _ = stack.record(role, events.key_of(role, value), data or stack.encode(role, value), ())
    producer = stack.broker.producer()
    producer.produce(topic, data, name if key else None, partition, timestamp=timestamp)
    assert producer.flush(20) == 0
    stack.wait_caught_up()


def test_timestamps_that_are_no_times_make_no_latency(stack):
    before, began = stack.metric("caseview_undated_total"), time.time()
    sums = stack.metric("caseview_visible_seconds_sum")
    for timestamp in TIMESTAMPS.values():
        role, value = events.queued(events.guid(), events.guid())
        send_at(stack, timestamp, role, value)
        assert stack.body(value["caseId"])
    assert stack.metric("caseview_undated_total") == before + len(TIMESTAMPS)
    assert stack.metric("caseview_visible_seconds_sum") - sums <= time.time() - began
    assert stack.metric("caseview_lag_seconds") < 60


# A producer that was configured without a key, or a tool that copies topics.
def test_a_parked_record_without_key_and_time_can_be_listed_and_shown(stack):
    role, value = events.queued(events.guid(), events.guid())
    for timestamp in (TIMESTAMPS["1970"], TIMESTAMPS["microseconds"]):
        send_at(stack, timestamp, role, value, key=False)
    arguments = ["--database", stack.database.conninfo, *stack.names(), "--schema-dir", stack.schemas.folder]
    done = programs.caseview("parked", "list", *arguments, "--reason", "missing-key", "--json", check=0)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["key_text"] for row in rows] == [None, None]
    for row in rows:
        place = ["--topic", row["topic"], "--partition", row["partition"], "--offset", row["offset"]]
        for form in ([], ["--json"]):
            shown = programs.caseview("parked", "show", *arguments, *place, *form, check=0).stdout
            assert "missing-key" in shown


# A proxy's login page, a captive portal, a gateway's "everything is fine": 200 with a page instead of a schema.
def test_a_registry_that_answers_with_a_page_parks_nothing(stack):
    role, value = events.queued(events.guid(), events.guid())
    schema = avro_codec.Schema({**stack.schemas.by_role[role].json, "doc": "behind a portal"})
    schema_id, parked = next(SCHEMA_IDS), len(stack.parked())
    stack.registry.register(schema.text, schema_id)
    stack.registry.behave("page")
    stack.send_raw(role, [(events.key_of(role, value), schema.registry_framed(schema_id, value), ())])
    asked = lambda: any(path.endswith(f"/{schema_id}") for _, path, _ in stack.registry.requests)  # noqa: E731
    wait_for(asked, 20, "the registry is asked")
    stack.workers[0].wait_log("schema registry: .*; records whose schema it holds wait")
    stack.registry.behave("ok")
    stack.wait_caught_up()
    assert stack.body(value["caseId"]) and len(stack.parked()) == parked
