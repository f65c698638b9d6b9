"""Writers' schemas as workers meet them: both framings, other versions, fields and types that the reader does not know."""

import copy
import json
import pathlib
import signal

import pytest

from support import avro_codec, events
from support.one_case import Case, check_whole_log, rank
from support.waiting import wait_for


@pytest.fixture(scope="module")
def stack(one_worker):
    return one_worker


def reordered(schema):
    """The same record with fields and union branches in another order."""
    schema = copy.deepcopy(schema)
    schema["fields"].reverse()
    payload = next(f for f in schema["fields"] if f["name"] == "payload")
    # The definition of a name must come before its use: only the tail may move.
    payload["type"][2:] = payload["type"][:1:-1]
    return schema


def send_by(stack, schema, schema_id, role, value):
    stack.registry.register(json.dumps(schema), schema_id)
    data = avro_codec.Schema(schema).registry_framed(schema_id, value)
    where = stack.send_raw(role, [(events.key_of(role, value), data, ())])
    stack.wait_caught_up()
    return where


def test_registry_framing_with_the_known_schema(stack, org):
    role, value = events.queued(org, events.guid(), channel="Video")
    send_by(stack, stack.schemas.by_role["case"].json, 7, role, value)
    assert '"channel":"Video"' in stack.body(value["caseId"])
    assert all(auth for _, path, auth in stack.registry.requests if path.endswith("/7")), "user and password are used"
    assert "secret" not in stack.workers[0].log(), "and never logged"


def test_second_version_in_the_schema_folder(stack, org):
    role, value = events.queued(org, events.guid(), channel="Phone")
    schema = stack.schemas.add((pathlib.Path(stack.schemas.folder) / "case-event-2.avsc").read_text())
    assert schema.fingerprint != stack.schemas.by_role["case"].fingerprint
    stack.send_raw(role, [(events.key_of(role, value), schema.single_object({**value, "weather": "rain"}), ())])
    stack.wait_caught_up()
    assert '"channel":"Phone"' in stack.body(value["caseId"])


def test_a_schema_added_to_the_folder_counts_from_sighup_on(stack, org):
    folder, worker = pathlib.Path(stack.schemas.folder), stack.workers[0]
    (folder / "broken.avsc").write_text("{")
    worker.signal(signal.SIGHUP)
    worker.wait_log(r"schema-dir: .*broken\.avsc.*the schemas read before remain in use")
    (folder / "broken.avsc").unlink()
    newest = avro_codec.with_field(stack.schemas.by_role["case"].json, {"name": "mood", "type": "string"})
    (folder / "case-event-3.avsc").write_text(json.dumps(newest))
    schema = stack.schemas.add(json.dumps(newest))
    worker.signal(signal.SIGHUP)
    worker.wait_log("schema-dir: 1 new schemas")
    role, value = events.queued(org, events.guid(), channel="Chat")
    stack.send_raw(role, [(events.key_of(role, value), schema.single_object({**value, "mood": "good"}), ())])
    stack.wait_caught_up()
    assert '"channel":"Chat"' in stack.body(value["caseId"])


def with_type(schema, name):
    """Adds a payload type that the reader does not know."""
    schema = copy.deepcopy(schema)
    payload = next(f for f in schema["fields"] if f["name"] == "payload")
    payload["type"].append({"type": "record", "name": name, "fields": [{"name": "x", "type": "bytes"}]})
    return schema


def test_unknown_types_of_agents_and_entities(stack, org):
    agent, unit, before = events.guid(), events.guid(), stack.metric("caseview_unknown_types_total")
    schema = with_type(stack.schemas.by_role["agent"].json, "AgentYawned")
    _, value = events.agent_event(org, agent, 1, {"AgentYawned": {"x": b"\xff"}})
    send_by(stack, schema, 11, "agent", value)
    stack.send(events.agent_event(org, agent, 2, {"AgentCurrentUnitSelected": {"unitId": unit}}))
    stack.wait_caught_up()
    assert stack.agents()[org, agent] == (unit, False, False), "its number counts as seen"

    case = Case(stack, org).send((1, {}))
    entity = case.body["unitId"]
    stack.send(events.directory_event(org, entity, 1, {"UnitUpserted": {"name": "Named"}}))
    wait_for(lambda: case.body["unitName"] == "Named", 1, "the name")
    _, value = events.directory_event(org, entity, 2, {"UnitPainted": {"x": b""}})
    schema = avro_codec.Schema(with_type(stack.schemas.by_role["directory"].json, "UnitPainted"))
    stack.registry.register(schema.text, 12)
    key = events.directory_key("unit", org, entity)
    stack.send_raw("directory", [(key, schema.registry_framed(12, value), ())])
    stack.wait_caught_up()
    wait_for(lambda: stack.metric("caseview_unknown_types_total") == before + 2, 5, "both are counted")
    assert case.body["unitName"] == "Named"
    stack.send(events.directory_event(org, entity, 3, {"UnitUpserted": {"name": "Later"}}))
    wait_for(lambda: case.body["unitName"] == "Later", 1, "later versions apply")


def test_newer_writers_fields_and_types(stack, org):
    schema = copy.deepcopy(stack.schemas.by_role["case"].json)
    schema["fields"].insert(0, {"name": "mood", "type": {"type": "map", "values": "double"}})
    payload = next(f for f in schema["fields"] if f["name"] == "payload")
    payload["type"].insert(0, {"type": "record", "name": "CaseTeleported", "fields": [
        {"name": "planets", "type": {"type": "array", "items": {"type": "enum", "name": "Planet", "symbols": ["A", "B"]}}},
        {"name": "dust", "type": {"type": "fixed", "name": "Dust", "size": 3}},
    ]})  # fmt: skip
    case = Case(stack, org)

    def send(sequence, value):
        role, event = case.event(sequence, value)
        send_by(stack, schema, 8, role, {**event, "mood": {"x": 0.5}})

    before = stack.metric("caseview_unknown_types_total")
    send(1, {})
    send(2, {"CaseTeleported": {"planets": ["A", "B", "A"], "dust": b"abc"}})
    send(3, rank(3.0))
    assert case.body["rank"] == 3 and not case.degraded, "an unknown type counts as seen"
    wait_for(lambda: stack.metric("caseview_unknown_types_total") == before + 1, 5, "and is counted")


def test_older_writers_fields_and_other_orders(stack, org):
    schema = reordered(stack.schemas.by_role["agent"].json)
    user, unit = events.guid(), events.guid()
    _, value = events.agent_event(org, user, 1, {"AgentWorkspacesSelected": {"unitId": unit, "workspaceIds": [events.guid()]}})
    send_by(stack, schema, 9, "agent", value)
    # No actor, and a number that is only an int.
    schema = copy.deepcopy(schema)
    schema["fields"] = [f for f in schema["fields"] if f["name"] != "actor"]
    next(f for f in schema["fields"] if f["name"] == "sequence")["type"] = "int"
    _, value = events.agent_event(org, user, 2, {"AgentCurrentUnitSelected": {"unitId": unit}})
    send_by(stack, schema, 10, "agent", value)
    assert stack.agents()[org, user] == (unit, True, False)


def test_unknown_registry_id_is_parked(stack, org):
    role, value = events.queued(org, events.guid())
    schema = {**stack.schemas.by_role["case"].json, "doc": "another"}
    data = avro_codec.Schema(schema).registry_framed(4711, value)
    ((partition, offset),) = stack.send_raw(role, [(events.key_of(role, value), data, ())])
    stack.wait_caught_up()
    assert stack.parked()[stack.topics.case, partition, offset][0] == "unknown-schema"
    # The naive fold at the end must see the same as the worker: the id stays unknown.


def test_the_whole_log_folded_again(stack):
    """Last in this file: everything that the tests above sent."""
    check_whole_log(stack)
