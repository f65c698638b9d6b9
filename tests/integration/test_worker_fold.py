"""The worker's fold of valid events: order, duplicates, gaps, unknown types, names, gates (contract, sections 3, 4)."""

import copy
import json
import pathlib
import shutil
import signal

import pytest

from support import avro_codec, events
from support.stack import mock_stack
from support.waiting import stays_true, wait_for


def with_field(schema, field):
    return {**schema, "fields": [*schema["fields"], field]}


@pytest.fixture(scope="module")
def stack(postgres, schemas, tmp_path_factory):
    """One worker for all tests of this file: each uses its own ids. The last test folds the whole log again."""
    registry = avro_codec.Registry(user="reader:secret")
    folder = tmp_path_factory.mktemp("fold")
    # The folder has several versions of a schema.
    schema_folder = shutil.copytree(schemas.folder, folder / "schemas")
    newer = with_field(schemas.by_role["case"].json, {"name": "weather", "type": "string"})
    (schema_folder / "case-event-2.avsc").write_text(json.dumps(newer))
    schemas = avro_codec.Schemas(str(schema_folder))
    with mock_stack(postgres, schemas, folder, registry=registry, options=["--gap-alarm-s", 1]) as stack:
        stack.start_worker()
        yield stack
    registry.stop()


@pytest.fixture
def org():
    return events.guid()


class Case:
    """Sends events of one case and reads its row."""

    def __init__(self, stack, organization):
        self.stack, self.organization, self.id = stack, organization, events.guid()

    def send(self, *numbered):
        """(sequence, payload) each; a payload {} is a snapshot."""
        self.stack.send(*(self.event(*item) for item in numbered))
        self.stack.wait_caught_up()
        return self

    def event(self, sequence, payload):
        if not payload:
            return events.queued(self.organization, self.id, sequence)
        return events.case_event(self.organization, self.id, sequence, payload)

    @property
    def row(self):
        rows = self.stack.database.query("SELECT degraded, body FROM caseview.active_case WHERE case_id = %s", (self.id,))
        return (rows[0][0], json.loads(rows[0][1])) if rows else None

    @property
    def degraded(self):
        return self.row[0]

    @property
    def body(self):
        return self.row[1]


def rank(value):
    return {"CasePositionChanged": {"rank": value}}


def status(value):
    return {"CaseStatusChanged": {"status": value}}


def phone(value):
    return {"CaseUpdated": {"contactPhoneNumber": {"value": value}}}


def test_duplicates_are_counted_and_change_nothing(stack, org):
    case = Case(stack, org).send((1, {}), (2, rank(2.0)), (3, rank(3.0)))
    before = stack.metric("caseview_duplicates_total")
    body = stack.body(case.id)
    case.send((2, rank(20.0)), (1, {}), (3, rank(30.0)), (2, rank(200.0)))
    assert stack.body(case.id) == body
    wait_for(lambda: stack.metric("caseview_duplicates_total") == before + 4, 5, "four duplicates are counted")


def test_stale_directory_version_changes_nothing(stack, org):
    case = Case(stack, org).send((1, {}))
    unit = case.body["unitId"]

    def name(version, text):
        return events.directory_event(org, unit, version, {"UnitUpserted": {"name": text}})

    stack.send(name(5, "five"), name(4, "four"), name(5, "other five"))
    stack.wait_caught_up()
    stack.wait_body(case.id, lambda body: '"unitName":"five"' in body)
    stays_true(lambda: case.body["unitName"] == "five", 0.3, "stale versions are without effect")


def counts(stack):
    report = stack.status()
    return report["degraded"], report["incomplete"]


def test_gap_is_degraded_until_the_late_event_arrives(stack, org):
    degraded, incomplete = counts(stack)
    alarms = stack.workers[0].log().count("missing")
    case = Case(stack, org).send((1, {}), (2, rank(2.0)), (4, phone("4")), (5, rank(5.0)))
    assert case.degraded and case.body["rank"] == 5 and case.body["contactPhoneNumber"] == "4"
    assert counts(stack) == (degraded + 1, incomplete)
    wait_for(lambda: stack.metric("caseview_degraded") == degraded + 1, 5, "the metric counts it")
    wait_for(lambda: stack.metric("caseview_gap_alarms") >= 1, 10, "the alarm is raised after gap-alarm-s")
    wait_for(lambda: stack.workers[0].log().count("missing") > alarms, 5, "and logged")
    case.send((3, {"CaseUpdated": {"contactPhoneNumber": {"value": "3"}, "contactEmail": {"value": "three"}}}))
    assert not case.degraded
    assert (case.body["contactPhoneNumber"], case.body["contactEmail"]) == ("4", "three")
    assert counts(stack) == (degraded, incomplete)
    wait_for(lambda: stack.metric("caseview_degraded") == degraded, 5, "the metric forgets it")
    wait_for(lambda: stack.metric("caseview_gap_alarms") == 0, 10, "the alarm ends")


def test_incomplete_until_the_snapshot_arrives(stack, org):
    degraded, incomplete = counts(stack)
    case = Case(stack, org).send((2, {"CaseServiceStarted": {"status": "Active", "lockedBy": events.user()}}), (3, rank(7.0)))
    assert case.row is None
    assert counts(stack) == (degraded, incomplete + 1)
    wait_for(lambda: stack.metric("caseview_incomplete") == incomplete + 1, 5, "the metric counts it")
    assert not [row for row in stack.parked().values() if row[1] == org]
    case.send((1, {}))
    assert case.body["rank"] == 7 and not case.degraded
    assert counts(stack) == (degraded, incomplete)


def test_gaps_below_a_snapshot_do_not_matter(stack, org):
    case = Case(stack, org).send((3, rank(9.0)), (10, {}), (11, rank(11.0)))
    assert not case.degraded and case.body["rank"] == 11
    case.send((13, rank(13.0)))
    assert case.degraded
    case.send((20, {}))
    assert not case.degraded and case.body["rank"] == 1.5


def test_many_gaps_stay_degraded_until_a_newer_snapshot(stack, org):
    case = Case(stack, org).send((1, {}), *((2 * i + 1, rank(float(i))) for i in range(1, 50)))
    assert case.degraded and case.body["rank"] == 49
    case.send(*((2 * i, rank(1000.0)) for i in range(1, 50)))
    assert case.body["rank"] == 49, "late ones lose"
    case.send((100, {}))
    assert not case.degraded


def test_late_event_takes_its_place_in_every_group(stack, org):
    late, early = Case(stack, org), Case(stack, org)
    started = {"CaseServiceStarted": {"status": "Active", "lockedBy": events.user(name="A"), "workstation": events.ref()}}
    moved = {
        "CaseMoved": {
            "status": "Active", "inbox": events.inbox(name="I"), "unit": events.ref(name="U"), "rank": 3.0,
            "lockedBy": events.user(name="B"),
        }
    }  # fmt: skip
    history = [(2, started), (3, {"CaseUserAssigned": {"assignedTo": events.user(name="C")}}), (4, moved),
               (5, {"CaseUserUnassigned": {}}), (6, phone(None)), (7, {"CaseTicketPrinted": {}}),
               (8, {"CaseOnlineMeetingSet": {"onlineMeeting": '{"a":1}'}})]  # fmt: skip
    snapshot = events.snapshot(contactPhoneNumber="1")
    for case, order in ((early, history), (late, history[::-1])):
        first = events.case_event(org, case.id, 1, {"CaseQueued": {"case": snapshot}})
        stack.send(*([first] if order is history else []), *(case.event(*item) for item in order))
        stack.send(*([] if order is history else [first]))
    stack.wait_caught_up()
    bodies = [copy.deepcopy(case.body) for case in (early, late)]
    for body in bodies:
        body.pop("caseId")
        assert (body["lockedBy"]["displayName"], body["assignedTo"], body["workstationId"]) == ("B", None, None)
        assert (body["contactPhoneNumber"], body["printedTicket"], body["onlineMeeting"]) == (None, True, {"a": 1})
    different = {k for k in bodies[0] if bodies[0][k] != bodies[1][k]}
    assert different <= {"caseTimestamp", "statusDate"}, "the same events in another order"


@pytest.mark.parametrize(
    "ending",
    [{"CaseClosed": {}}, {"QueueAbandoned": {"status": "Abandoned"}}, {"AppointmentCancelled": {"status": "Active"}}],
    ids=lambda ending: next(iter(ending)),
)
def test_over_is_never_listed_again(stack, org, ending):
    case = Case(stack, org).send((1, {}))
    assert case.row
    case.send((3, ending))
    assert case.row is None
    case.send((2, rank(2.0)), (4, {}), (5, status("Active")))
    assert case.row is None, "later and late events"
    first = Case(stack, org).send((5, ending), (9, {}))
    assert first.row is None, "over came before anything else was known"


@pytest.mark.parametrize("value", ["active", "Active ", "", "Waiting"])
def test_only_exactly_active_is_listed(stack, org, value):
    case = Case(stack, org).send((1, {}))
    started = {"CaseServiceStarted": {"status": value, "lockedBy": events.user()}}
    case.send((2, started))
    assert case.row is None
    case.send((3, {"CaseServiceStarted": {"status": "Active", "lockedBy": events.user()}}))
    assert case.row


def test_unlocking_takes_the_case_off_the_list(stack, org):
    case = Case(stack, org).send((1, {}))
    case.send((2, status("Waiting")))
    assert case.row is None
    case.send((3, status("Active")))
    assert case.row is None, "Active, but not locked by a user"
    case.send((4, {"CaseMoved": {"status": "Active", "inbox": events.inbox(), "unit": events.ref(), "rank": 1.0,
                                 "lockedBy": events.user(name="N")}}))  # fmt: skip
    assert case.body["lockedBy"]["displayName"] == "N"


# --- schemas


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
    newest = with_field(stack.schemas.by_role["case"].json, {"name": "mood", "type": "string"})
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


# --- names


ENTITIES = {
    "unit": ("UnitUpserted", {}, lambda b: b["unitId"], lambda b: [b["unitName"]], ["Jerusalem"]),
    "service-category": (
        "ServiceCategoryUpserted", {}, lambda b: b["serviceCategoryId"], lambda b: [b["serviceCategoryName"]], ["Inquiry"],
    ),
    "service-type": (
        "ServiceTypeUpserted", {"serviceCategoryId": events.guid()}, lambda b: b["serviceTypeId"],
        lambda b: [b["serviceTypeName"]], ["Special Inquiry"],
    ),
    "inbox": (
        "InboxUpserted", {"unitId": events.guid()}, lambda b: b["inboxId"],
        lambda b: [b["inboxName"], b["inboxColorCode"]], ["Reception", "#03a9f4"],
    ),
    "workstation": (
        "WorkstationUpserted", {"unitId": events.guid()}, lambda b: b["workstationId"], lambda b: [b["workstationName"]],
        ["Desk 1"],
    ),
    "user": (
        "UserUpserted", {"initials": None}, lambda b: b["lockedBy"]["userId"],
        lambda b: [b["lockedBy"][k] for k in ("displayName", "initials", "picture")], ["John Doe", None, None],
    ),
    "customer": (
        "CustomerUpserted", {}, lambda b: b["customer"]["recordId"], lambda b: [b["customer"]["displayName"]], ["B. S."],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENTITIES)
def test_names_come_from_the_directory_while_it_knows(stack, org, kind):
    upsert, fields, id_of, texts_of, own = ENTITIES[kind]
    case = Case(stack, org)
    stack.send(events.queued(org, case.id, workstation=events.ref(name="Desk 1"), customer=events.customer(name="B. S.")))
    stack.wait_caught_up()
    entity, table = id_of(case.body), case.body["customer"]["dataTableId"]

    def payload(name):
        texts = {"name": name, "displayName": name, "colorCode": None, "picture": "p", "dataTableId": table}
        return {upsert: {**texts, **fields}}

    def shows(texts):
        wait_for(lambda: texts_of(case.body) == texts, 1, f"{kind} is shown as {texts}")

    def named(name):
        return {"inbox": [name, None], "user": [name, None, "p"]}.get(kind, [name])

    shows(own)
    stack.send(events.directory_event(org, entity, 1, payload("First")))
    shows(named("First"))
    stack.send(events.directory_event(events.guid(), entity, 9, payload("Other organization's")))
    stack.send(events.directory_event(org, entity, 2, payload('Second "2"')))
    shows(named('Second "2"'))
    stack.send(events.directory_event(org, entity, 3, {"EntityRemoved": {"kind": kind}}))
    shows(own)
    stack.send(events.directory_event(org, entity, 4, payload("Third")))
    shows(named("Third"))
    stack.send_items([("directory", events.directory_key(kind, org, entity), None)])
    shows(own)
    stack.send(events.directory_event(org, entity, 1, payload("Known again")))
    shows(named("Known again"))


def test_names_known_before_the_case_arrived(stack, org):
    unit, user = events.guid(), events.guid()
    stack.send(
        events.directory_event(org, unit, 1, {"UnitUpserted": {"name": "Before"}}),
        events.directory_event(org, user, 1, {"UserUpserted": {"displayName": "Known", "initials": "K", "picture": None}}),
    )
    stack.wait_caught_up()
    case = Case(stack, org)
    both = {"lockedBy": events.user(user, "x"), "assignedTo": events.user(user, "y")}
    stack.send(events.queued(org, case.id, unit=events.ref(unit, "old"), **both))
    stack.wait_caught_up()
    known = {"userId": user, "displayName": "Known", "initials": "K", "picture": None}
    wait_for(lambda: case.body["unitName"] == "Before", 1, "the unit's name")
    assert case.body["lockedBy"] == case.body["assignedTo"] == known


def test_customer_of_another_table_keeps_its_own_name(stack, org):
    case = Case(stack, org)
    stack.send(events.queued(org, case.id, customer=events.customer(name="own")))
    stack.wait_caught_up()
    record = case.body["customer"]["recordId"]
    other = {"CustomerUpserted": {"dataTableId": events.guid(), "displayName": "other"}}
    stack.send(events.directory_event(org, record, 1, other))
    stack.wait_caught_up()
    stays_true(lambda: case.body["customer"]["displayName"] == "own", 0.5, "the name of another table's record")
    mine = {"CustomerUpserted": {"dataTableId": case.body["customer"]["dataTableId"].upper(), "displayName": "mine"}}
    stack.send(events.directory_event(org, record, 2, mine))
    wait_for(lambda: case.body["customer"]["displayName"] == "mine", 1, "the right table's name")


def test_name_follows_a_case_that_moves(stack, org):
    case, inbox = Case(stack, org), events.guid()
    upsert = {"InboxUpserted": {"unitId": events.guid(), "name": "New place", "colorCode": "#fff"}}
    stack.send(events.directory_event(org, inbox, 1, upsert))
    case.send((1, {}))
    moved = {"status": "Active", "inbox": events.inbox(inbox), "unit": events.ref(), "rank": 2.0, "lockedBy": events.user()}
    case.send((2, {"CaseMoved": moved}))
    wait_for(lambda: (case.body["inboxName"], case.body["inboxColorCode"]) == ("New place", "#fff"), 1, "the new inbox")


# --- gates


class Agent:
    def __init__(self, stack, organization):
        self.stack, self.organization, self.id, self.sequence = stack, organization, events.guid(), 0

    def send(self, **payloads):
        for kind, fields in payloads.items():
            self.sequence += 1
            self.stack.send(events.agent_event(self.organization, self.id, self.sequence, {f"Agent{kind}": fields}))

    @property
    def row(self):
        return self.stack.agents().get((self.organization, self.id))

    def becomes(self, unit, workspaces, degraded=False):
        self.stack.wait_caught_up()
        wait_for(lambda: self.row == (unit, workspaces, degraded), 2, f"the agent is {unit, workspaces, degraded}: {self.row}")


def test_unit_and_workspaces_of_an_agent(stack, org):
    agent, one, two = Agent(stack, org), events.guid(), events.guid()
    agent.send(CurrentUnitSelected={"unitId": one})
    agent.becomes(one, False)
    agent.send(WorkspacesSelected={"unitId": one, "workspaceIds": [events.guid()]})
    agent.becomes(one, True)
    agent.send(CurrentUnitSelected={"unitId": two})
    agent.becomes(two, False)
    agent.send(CurrentUnitSelected={"unitId": one.upper()})
    agent.becomes(one, True)
    agent.send(WorkspacesSelected={"unitId": one, "workspaceIds": []})
    agent.becomes(one, False)
    agent.send(WorkspacesSelected={"unitId": one, "workspaceIds": [events.guid(), events.guid()]})
    agent.send(UnitAccessRevoked={"unitId": one})
    agent.becomes(None, False)
    agent.send(CurrentUnitSelected={"unitId": one})
    agent.becomes(one, False)
    agent.send(CurrentUnitCleared={})
    agent.becomes(None, False)


def test_agent_events_late_and_missing(stack, org):
    agent, unit = Agent(stack, org), events.guid()
    agent.sequence = 1
    degraded, _ = counts(stack)
    agent.send(CurrentUnitSelected={"unitId": unit}, WorkspacesSelected={"unitId": unit, "workspaceIds": [events.guid()]})
    agent.becomes(unit, True, True)
    assert counts(stack)[0] == degraded + 1, "number 1 is missing too"
    agent.sequence = 0
    agent.send(UnitAccessRevoked={"unitId": unit})
    agent.becomes(unit, True, False)
    assert counts(stack)[0] == degraded


def test_same_user_of_two_organizations_is_two_agents(stack, org):
    agent, other, unit = Agent(stack, org), Agent(stack, events.guid()), events.guid()
    other.id = agent.id
    agent.send(CurrentUnitSelected={"unitId": unit})
    other.send(CurrentUnitCleared={})
    agent.becomes(unit, False)
    other.becomes(None, False)


def test_removed_unit_and_workspace_do_not_count_until_upserted(stack, org):
    agent, unit, spaces = Agent(stack, org), events.guid(), [events.guid(), events.guid()]
    agent.send(CurrentUnitSelected={"unitId": unit}, WorkspacesSelected={"unitId": unit, "workspaceIds": spaces})
    agent.becomes(unit, True)

    def directory(entity, version, payload):
        stack.send(events.directory_event(org, entity, version, payload))

    directory(unit, 1, {"EntityRemoved": {"kind": "unit"}})
    agent.becomes(None, False)
    directory(unit, 2, {"UnitUpserted": {"name": "back"}})
    agent.becomes(unit, True)
    for space in spaces:
        directory(space, 4, {"EntityRemoved": {"kind": "workspace"}})
    agent.becomes(unit, False)
    directory(spaces[1], 3, {"WorkspaceUpserted": {"unitId": unit, "name": "stale"}})
    directory(spaces[1], 5, {"WorkspaceUpserted": {"unitId": unit, "name": "back"}})
    agent.becomes(unit, True)
    directory(unit, 3, {"EntityRemoved": {"kind": "unit"}})
    agent.becomes(None, False)
    stack.send_items([("directory", events.directory_key("unit", org, unit), None)])
    agent.becomes(unit, True)


def test_removed_before_the_agent_arrived(stack, org):
    unit, agent = events.guid(), Agent(stack, org)
    stack.send(events.directory_event(org, unit, 1, {"EntityRemoved": {"kind": "unit"}}))
    stack.wait_caught_up()
    agent.send(CurrentUnitSelected={"unitId": unit})
    agent.becomes(None, False)


def test_applications(stack, org):
    application = events.guid()

    def send(version, payload):
        stack.send(events.directory_event(org, application, version, payload))
        stack.wait_caught_up()
        return stack.applications().get((org, application))

    upsert = {"clientId": "Client é", "name": "n", "roles": ["Agent Impersonator", "x"], "enabled": True}
    assert send(1, {"ApplicationUpserted": upsert}) == ("Client é", ["Agent Impersonator", "x"], True)
    assert send(2, {"ApplicationUpserted": {**upsert, "roles": [], "enabled": False}}) == ("Client é", [], False)
    assert send(3, {"EntityRemoved": {"kind": "application"}}) is None
    assert send(4, {"ApplicationUpserted": upsert}) == ("Client é", ["Agent Impersonator", "x"], True)
    stack.send_items([("directory", events.directory_key("application", org, application), None)])
    stack.wait_caught_up()
    assert (org, application) not in stack.applications()


def test_an_application_that_changes_hands_several_times_in_one_batch(stack, org):
    """Each former owner's row is blanked once, and the last owner has the application."""
    application, other, worker = events.guid(), events.guid(), stack.workers[0]
    upsert = {"ApplicationUpserted": {"clientId": "c", "name": "n", "roles": [], "enabled": True}}

    def upserted(organization, version):
        return events.directory_key("application", organization, application), events.directory_event(
            organization, application, version, upsert
        )[1]

    def forgotten(organization):
        return events.directory_key("application", organization, application), None

    stack.send_items([("directory", *upserted(org, 1))], partition=0)
    stack.wait_caught_up()
    worker.freeze()
    hands = [forgotten(org), upserted(other, 1), forgotten(other), upserted(org, 2), forgotten(org), upserted(other, 2)]
    stack.send_items([("directory", *item) for item in hands], partition=0)
    worker.thaw()
    stack.wait_caught_up()
    assert (other, application) in stack.applications() and (org, application) not in stack.applications()
    assert worker.metric("caseview_recoveries_total") == 0


def test_guids_of_either_letter_case_come_out_lower(stack, org):
    _, value = events.queued(org.upper(), events.guid().upper(), unit=events.ref(events.guid().upper()))
    stack.send_items([("case", value["caseId"].encode(), value)])
    stack.wait_caught_up()
    body = stack.body(value["caseId"].lower())
    assert f'"caseId":"{value["caseId"].lower()}"' in body
    assert (org, value["caseId"].lower()) in stack.active_cases()


def test_the_whole_log_folded_again(stack):
    """Last in this file: everything that the tests above sent."""
    view = stack.check()
    assert len(view.active_cases) > 10 and len(view.agents) > 3
    report = stack.status()
    assert (report["degraded"], report["incomplete"], report["parked"]) == (view.degraded, view.incomplete, len(view.parked))
