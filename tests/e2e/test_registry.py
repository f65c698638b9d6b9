"""Schemas from a real registry: schema evolution, ids, and an unavailable registry."""

import contextlib
import copy
import json

import pytest

from support import avro_codec, events, naive_fold, programs
from support.kafka import Record, fresh_topics
from support.stack import Stack
from support.waiting import stays_true, wait_for

UNKNOWN_IS_BELIEVED_S = 3  # an id that the registry did not know is asked for again after that
UNASSIGNED_ID = 2_000_000_000


@pytest.fixture(scope="module")
def stack(postgres, schemas, kafka, apicurio, tmp_path_factory):
    """One worker for all tests: each test has organizations of its own."""
    folder = tmp_path_factory.mktemp("evolution")
    # A group of its own: workers of other tests use the default name.
    group = ["--group-id", "evolution"]
    stack = Stack(postgres, kafka, schemas, folder, fresh_topics(), registry=apicurio, options=group)
    with contextlib.closing(stack):
        stack.migrate().create_topics()
        stack.start_worker()
        yield stack


@pytest.fixture
def make_registry_stack(make_kafka_stack, apicurio):
    return lambda **options: make_kafka_stack(registry=apicurio, **options)


def case_schema(stack):
    return copy.deepcopy(stack.schemas.by_role["case"].json)


def record_in(schema, name):
    """The definition of that record anywhere in the schema."""
    if isinstance(schema, list):
        return next(filter(None, (record_in(s, name) for s in schema)), None)
    if not isinstance(schema, dict):
        return None
    if schema.get("type") == "record" and schema["name"] == name:
        return schema
    return record_in([f["type"] for f in schema["fields"]] if "fields" in schema else schema.get("type"), name)


def field_in(schema, record, name):
    return next(f for f in record_in(schema, record)["fields"] if f["name"] == name)


def without(schema, record, *names):
    found = record_in(schema, record)
    found["fields"] = [f for f in found["fields"] if f["name"] not in names]
    return schema


def another(schema, mark):
    """The same schema with another comment, which the registry takes for another schema."""
    return {**schema, "doc": f"{schema.get('doc', '')} {mark}"}


def frame(stack, schema, value, references=()):
    """Registers the schema as the topic's next version, and returns the value in its framing."""
    schema_id = stack.registry.register(f"{stack.topics.case}-value", json.dumps(schema), references)
    return avro_codec.Schema(schema).registry_framed(schema_id, value)


def expected_row(stack, event, organization):
    """The case's row when the same event comes in the reader's own schema."""
    role, value = event
    record = Record(stack.topics.case, 0, 0, 0, events.key_of(role, value), stack.schemas.encode(role, value), ())
    view = naive_fold.fold({"case": [record], "agent": [], "directory": []}, naive_fold.Decoder(stack.schemas))
    return view.active_cases[organization, value["caseId"]]


def send_bytes(stack, case_id, data, partition=None):
    """The place of the sent record in the topic."""
    ((partition, offset),) = stack.send_raw("case", [(case_id.encode(), data, ())], partition)
    return stack.topics.case, partition, offset


# --- evolution


def same(value):
    return value


def add_fields(schema):
    planet = {"type": "enum", "name": "Planet", "symbols": ["Earth", "Mars"]}
    schema["fields"].insert(2, {"name": "planet", "type": planet, "default": "Earth"})
    record_in(schema, "Ref")["fields"].insert(0, {"name": "tags", "type": {"type": "map", "values": "string"}, "default": {}})
    record_in(schema, "CaseSnapshot")["fields"].append({"name": "weather", "type": ["null", "string"], "default": None})
    return schema


def with_added(value):
    value["planet"] = "Mars"
    case = value["payload"]["CaseQueued"]["case"]
    case["weather"] = "rain"
    for name in ("unit", "serviceCategory", "serviceType"):
        case[name]["tags"] = {"a": "b"}
    return value


def remove_fields(schema):
    without(schema, "CaseEvent", "actor")
    without(schema, "UserRef", "picture", "initials")
    return without(schema, "CaseSnapshot", "onlineMeeting", "contactEmail", "workstation")


def promote(schema):
    field_in(schema, "CaseEvent", "sequence")["type"] = "int"
    field_in(schema, "CaseSnapshot", "rank")["type"] = "int"
    field_in(schema, "CaseSnapshot", "channel")["type"] = "bytes"
    field_in(schema, "Ref", "name")["type"] = ["null", "bytes"]
    return schema


def narrow(schema):
    """A nullable field of the reader is not nullable for this writer."""
    field_in(schema, "Ref", "name").update(type="string", default="")
    locked = field_in(schema, "CaseSnapshot", "lockedBy")
    locked.update(type="UserRef")
    del locked["default"]
    return schema


def rename(schema):
    """Renamed records, fields and a branch, with the old names as aliases in the writer's schema."""
    field_in(schema, "CaseSnapshot", "rank").update(name="priority", aliases=["rank"])
    field_in(schema, "CaseEvent", "sequence").update(name="number", aliases=["sequence"])
    record_in(schema, "CaseQueued").update(name="CaseEntered", aliases=["CaseQueued"])
    text = json.dumps(schema).replace('"Ref"', '"Place"')
    return json.loads(text.replace('"name": "Place"', '"name": "Place", "aliases": ["caseview.Ref"]'))


def with_renamed(value):
    case = value["payload"]["CaseQueued"]["case"]
    case["priority"] = case.pop("rank")
    value["number"] = value.pop("sequence")
    value["payload"] = {"CaseEntered": value["payload"]["CaseQueued"]}
    return value


def rename_root(schema):
    return {**schema, "name": "CaseChanged", "aliases": ["CaseEvent"]}


@pytest.mark.parametrize(
    ("change", "write"),
    [
        (same, same), (add_fields, with_added), (remove_fields, same), (promote, same), (narrow, same),
        (rename, with_renamed), (rename_root, same),
    ],
    ids=lambda f: f.__name__,
)  # fmt: skip
def test_writer_that_differs_gives_the_same_row(stack, change, write):
    organization, case_id = events.guid(), events.guid()
    fields = {"rank": 12, "channel": "Video"}
    if change is remove_fields:
        fields["lockedBy"] = events.user(name="No Picture")
    event = events.queued(organization, case_id, 1, **fields)
    expected = expected_row(stack, event, organization)
    schema = another(change(case_schema(stack)), change.__name__)
    send_bytes(stack, case_id, frame(stack, schema, write(copy.deepcopy(event[1]))))
    wait_for(lambda: (organization, case_id) in stack.active_cases(), 20, "the case is listed")
    assert stack.active_cases()[organization, case_id] == expected


def test_new_event_type_counts_as_seen(stack):
    """A branch that this version does not know: counted, without effect, and its sequence is not missing."""
    organization, case_id, before = events.guid(), events.guid(), stack.metric("caseview_unknown_types_total")
    schema = case_schema(stack)
    fields = [{"name": "planets", "type": {"type": "array", "items": "string"}}]
    field_in(schema, "CaseEvent", "payload")["type"].insert(0, {"type": "record", "name": "CaseTeleported", "fields": fields})
    payloads = [
        {"CaseQueued": {"case": events.snapshot(rank=1.0)}},
        {"CaseTeleported": {"planets": ["a", "b"]}},
        {"CasePositionChanged": {"rank": 3.0}},
    ]
    for number, payload in enumerate(payloads, 1):
        _, value = events.case_event(organization, case_id, number, payload)
        send_bytes(stack, case_id, frame(stack, schema, value))
    stack.wait_body(case_id, lambda body: body and json.loads(body)["rank"] == 3)
    wait_for(lambda: stack.metric("caseview_unknown_types_total") == before + 1, 10, "it is counted")
    assert stack.active_cases()[organization, case_id][4] is False, "not degraded"
    assert case_id not in {row[4] for row in stack.parked().values()}


def test_other_names_without_aliases(stack):
    """Names that do not match: a nullable field counts as absent, a payload as an unknown type."""
    organization, case_id, before = events.guid(), events.guid(), stack.metric("caseview_unknown_types_total")
    schema = case_schema(stack)
    field_in(schema, "CaseSnapshot", "contactEmail")["name"] = "email"
    record_in(schema, "CasePositionChanged")["name"] = "CaseMovedUp"
    _, first = events.queued(organization, case_id, 1, rank=1.0, email="a@b", contactPhoneNumber="1")
    _, second = events.case_event(organization, case_id, 2, {"CasePositionChanged": {"rank": 2.0}})
    second["payload"] = {"CaseMovedUp": second["payload"]["CasePositionChanged"]}
    for value in (first, second):
        send_bytes(stack, case_id, frame(stack, schema, value))
    wait_for(lambda: stack.metric("caseview_unknown_types_total") == before + 1, 20, "the second is an unknown type")
    case = json.loads(stack.wait_body(case_id))
    assert (case["contactEmail"], case["contactPhoneNumber"], case["rank"]) == (None, "1", 1)
    assert stack.active_cases()[organization, case_id][4] is False, "not degraded"


def as_double(schema):
    field_in(schema, "CaseSnapshot", "rank")["type"] = "double"
    return schema


def as_enum(schema):
    field_in(schema, "CaseSnapshot", "status")["type"] = {"type": "enum", "name": "Status", "symbols": ["Active"]}
    return schema


def without_status(schema):
    return without(schema, "CaseSnapshot", "status")


def renamed_without_alias(schema):
    return {**schema, "name": "CaseChanged"}


@pytest.mark.parametrize("change", [as_double, as_enum, without_status, renamed_without_alias], ids=lambda f: f.__name__)
def test_incompatible_writer_is_parked(stack, change):
    organization, case_id = events.guid(), events.guid()
    _, value = events.queued(organization, case_id, rank=1.0)
    where = send_bytes(stack, case_id, frame(stack, change(case_schema(stack)), value))
    row = wait_for(lambda: stack.parked().get(where), 20, "it is parked")
    assert row[0] == "wrong-type", row
    field = {"as_double": "rank", "as_enum": "status", "without_status": "status", "renamed_without_alias": "CaseChanged"}
    assert field[change.__name__] in row[-1], "the text names what differs"
    _, value = events.queued(organization, case_id, rank=2.0)
    send_bytes(stack, case_id, frame(stack, another(case_schema(stack), "fixed"), value))
    stack.wait_body(case_id)


# --- ids and references


def test_schema_in_pieces(stack):
    """A type in a subject of its own, which the schema references, and which references another one."""
    organization, case_id, mark = events.guid(), events.guid(), events.guid()[:8]
    event = events.queued(organization, case_id, unit=events.ref(name="Far away"))
    whole = case_schema(stack)
    ref = copy.deepcopy(record_in(whole, "Ref"))
    snapshot = json.loads(json.dumps(record_in(whole, "CaseSnapshot")).replace(json.dumps(ref), '"caseview.Ref"'))
    outer = json.loads(json.dumps(whole).replace(json.dumps(record_in(whole, "CaseSnapshot")), '"caseview.CaseSnapshot"'))
    # The other records refer to types that the snapshot defines.
    subjects = {"Ref": f"ref-{mark}", "CaseSnapshot": f"snapshot {mark}/ä"}
    register = stack.registry.register
    register(subjects["Ref"], json.dumps({**ref, "namespace": "caseview"}))
    register(
        subjects["CaseSnapshot"], json.dumps({**snapshot, "namespace": "caseview"}),
        [("caseview.Ref", subjects["Ref"], 1)],
    )  # fmt: skip
    references = [("caseview.CaseSnapshot", subjects["CaseSnapshot"], 1), ("caseview.Ref", subjects["Ref"], 1)]
    schema_id = register(f"{stack.topics.case}-pieces", json.dumps(outer), references)
    send_bytes(stack, case_id, avro_codec.Schema(whole).registry_framed(schema_id, event[1]))
    wait_for(lambda: (organization, case_id) in stack.active_cases(), 20, "the case is listed")
    assert stack.active_cases()[organization, case_id] == expected_row(stack, event, organization)


def test_same_schema_under_two_subjects(stack):
    """Both have one id, although the registry's version numbers differ: ids belong to contents."""
    organization, mark = events.guid(), events.guid()[:8]
    text = json.dumps(another(case_schema(stack), mark))
    ids = {stack.registry.register(f"{name}-{mark}", text) for name in ("one", "other")}
    assert len(ids) == 1
    case_id = events.guid()
    _, value = events.queued(organization, case_id)
    send_bytes(stack, case_id, avro_codec.Schema(text).registry_framed(ids.pop(), value))
    stack.wait_body(case_id)


def test_produce_registers_what_it_writes_by(make_registry_stack, apicurio, tmp_path):
    """caseview-dev produces through the registry; the views equal the naive fold."""
    stack = make_registry_stack()
    stack.start_worker()
    stack.dev("simulate", "--events", 3000, "--seed", 7, deadline_s=60)
    view = stack.check()
    assert len(view.active_cases) > 10 and not view.parked
    assert {f"{stack.topics.name(role)}-value" for role in naive_fold.ROLES} <= apicurio.subjects()
    assert {r.value[:1] for rs in stack.broker.read_all(stack.topics).values() for r in rs if r.value} == {b"\0"}


@pytest.mark.parametrize("odd", ["unassigned", "zero", "beyond 31 bits", "eight bytes"])
def test_unknown_id_is_parked(stack, odd):
    """Includes ids of eight bytes by the registry's own serializers, whose first four bytes are zero."""
    organization, case_id = events.guid(), events.guid()
    _, value = events.queued(organization, case_id)
    schema = stack.schemas.by_role["case"]
    data = schema.registry_framed({"unassigned": UNASSIGNED_ID, "beyond 31 bits": 1 << 31}.get(odd, 0), value)
    if odd == "eight bytes":
        data = data[:5] + (1).to_bytes(4, "big") + data[5:]
    where = send_bytes(stack, case_id, data)
    assert wait_for(lambda: stack.parked().get(where), 20, "it is parked")[0] == "unknown-schema"


# --- a registry that is unavailable


def held(worker):
    """The worker's partitions that wait for a schema."""
    return worker.metric("caseview_partitions", state="held")


@pytest.mark.parametrize("how", ["stopped", "killed", "frozen"])
def test_registry_away(make_registry_stack, apicurio, how):
    """Records with a new schema wait, those with known ones flow, nothing is parked, and work resumes by itself."""
    stack = make_registry_stack(partitions={"cases": 2})
    worker = stack.start_worker()
    organization = events.guid()
    known, fresh = (another(case_schema(stack), f"{how} {mark}") for mark in (events.guid(), events.guid()))

    def send(schema, schema_id, partition, count):
        schema = avro_codec.Schema(schema)
        made = [events.queued(organization, events.guid()) for _ in range(count)]
        items = [(events.key_of(*e), schema.registry_framed(schema_id, e[1]), ()) for e in made]
        stack.send_raw("case", items, partition)

    known_id, fresh_id = (apicurio.register(f"{stack.topics.case}-value", json.dumps(s)) for s in (known, fresh))
    send(known, known_id, 1, 5)
    wait_for(lambda: len(stack.active_cases()) == 5, 20, "the first are listed")
    with contextlib.ExitStack() as away:
        if how == "frozen":
            away.enter_context(apicurio.frozen())
        else:
            apicurio.stop() if how == "stopped" else apicurio.kill()
            away.callback(apicurio.start)
        send(fresh, fresh_id, 0, 10)
        wait_for(lambda: held(worker) == 1, 20, "the worker says that it waits")
        for listed in (15, 25):
            send(known, known_id, 1, 10)
            wait_for(lambda: len(stack.active_cases()) == listed, 20, "what is known goes on")  # noqa: B023
        stays_true(lambda: not stack.parked() and stack.progress()[stack.topics.case, 0][0] == 0, 1, "the other one waits")
        worker.wait_log("registry")
    view = stack.check()
    assert len(view.active_cases) == 35 and not view.parked
    wait_for(lambda: held(worker) == 0, 5, "it says so no longer")


def test_registry_away_at_the_start(make_registry_stack, apicurio):
    stack = make_registry_stack()
    stack.dev("simulate", "--events", 2000, "--seed", 8, deadline_s=60)
    apicurio.stop()
    try:
        worker = stack.start_worker()
        wait_for(lambda: held(worker) == 8, 20, "all partitions wait")
        stays_true(lambda: not stack.parked() and {p[0] for p in stack.progress().values()} == {0}, 1, "and go on waiting")
    finally:
        apicurio.start()
    view = stack.check()
    assert len(view.active_cases) > 5 and not view.parked


@pytest.mark.parametrize("path", ["", "/apis/ccompat", "/apis/registry/v2", "/apis/ccompat/v7/subjects"])
def test_wrong_path_waits(make_registry_stack, apicurio, path):
    """The registry answers 404 to unknown paths as well, with different texts."""
    stack = make_registry_stack(partitions={"cases": 1})
    wrong = apicurio.url.replace("/apis/ccompat/v7", path)
    worker = stack.start_worker("--schema-registry", wrong)
    schema = case_schema(stack)
    schema_id = apicurio.register(f"{stack.topics.case}-value", json.dumps(schema))
    _, value = events.queued(events.guid(), events.guid())
    send_bytes(stack, value["caseId"], avro_codec.Schema(schema).registry_framed(schema_id, value))
    worker.wait_log(f"the path in schema-registry may be wrong: {wrong}/schemas/ids/{schema_id}")
    waits = lambda: not stack.parked() and stack.progress()[stack.topics.case, 0][0] == 0  # noqa: E731
    stays_true(waits, 1, "it waits")
    stack.stop_worker(worker)
    stack.start_worker()
    assert len(stack.check().active_cases) == 1


def test_schema_that_is_registered_later(make_registry_stack, apicurio):
    """Until then its records are parked; later ones are folded without a restart, and a retry folds the parked ones."""
    stack = make_registry_stack()
    stack.start_worker()
    organization, subject = events.guid(), f"{stack.topics.case}-value"
    schema = another(case_schema(stack), events.guid())
    schema_id = 1 + apicurio.register(subject, json.dumps(another(case_schema(stack), events.guid())))
    early, late = events.queued(organization, events.guid()), events.queued(organization, events.guid())
    frames = [avro_codec.Schema(schema).registry_framed(schema_id, value) for _, value in (early, late)]
    where = send_bytes(stack, early[1]["caseId"], frames[0])
    assert wait_for(lambda: stack.parked().get(where), 20, "it is parked")[0] == "unknown-schema"
    assert apicurio.register(subject, json.dumps(schema)) == schema_id, "the registry counts"

    def folded():
        send_bytes(stack, late[1]["caseId"], frames[1])
        return stack.body(late[1]["caseId"])

    wait_for(folded, UNKNOWN_IS_BELIEVED_S + 10, "what comes afterwards is folded", poll_s=0.5)
    assert stack.body(early[1]["caseId"]) is None
    options = [
        "--database", stack.database.conninfo, *stack.names(), "--schema-registry", apicurio.url, "--connect-timeout-s", 1,
        "--json",
    ]  # fmt: skip
    count = len(stack.parked())
    apicurio.stop()
    try:
        programs.caseview("parked", "retry", *options, check=3)
        assert len(stack.parked()) == count, "while the registry is away nothing changes"
    finally:
        apicurio.start()
    done = programs.caseview("parked", "retry", *options, check=0)
    assert json.loads(done.stdout) == {"tried": count, "folded": count, "left": 0}
    view = stack.check()
    assert {case_id for _, case_id in view.active_cases} == {early[1]["caseId"], late[1]["caseId"]}
