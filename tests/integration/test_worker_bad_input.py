"""A record that can never be folded is parked with its reason; all other records are folded (contract, section 4)."""

import os
import struct

import pytest

from support import avro_codec, events
from support.stack import mock_stack
from support.waiting import stays_true, wait_for

YEAR_10000 = 253402300800000000
YEAR_0 = -62135596800000001
LARGE = (1 << 20) + 1


class Maker:
    """Makes (key, value, headers) of records that have one fault each."""

    def __init__(self, schemas):
        self.schemas = schemas
        self.organization = events.guid()

    def case(self, change=None, key=None, headers=(), **fields):
        """A valid CaseQueued with faulty fields of the snapshot, or with any fault that change(event) makes."""
        role, event = events.queued(self.organization, events.guid(), **fields)
        key = events.key_of(role, event) if key is None else key
        if change:
            change(event)
        return key, self.schemas.encode(role, event), headers

    def update(self, payload):
        role, event = events.case_event(self.organization, events.guid(), 2, payload)
        return events.key_of(role, event), self.schemas.encode(role, event), ()

    def agent(self, payload=None, change=None, key=None):
        payload = payload or {"AgentCurrentUnitSelected": {"unitId": events.guid()}}
        role, event = events.agent_event(self.organization, events.guid(), 1, payload)
        key = events.key_of(role, event) if key is None else key
        if change:
            change(event)
        return key, self.schemas.encode(role, event), ()

    def directory(self, payload=None, change=None, key=None):
        role, event = events.directory_event(
            self.organization, events.guid(), 1, payload or {"UnitUpserted": {"name": "x"}}
        )
        key = events.key_of(role, event) if key is None else key
        if change:
            change(event)
        return key, self.schemas.encode(role, event), ()

    def framed(self, data, role="case"):
        return events.guid().encode(), data, ()

    def without_key(self, made):
        return None, made[1], made[2]

    def without_value(self, made):
        return made[0], None, made[2]


def change(**fields):
    return lambda event: event.update(fields)


def in_case(**fields):
    return lambda event: event["payload"]["CaseQueued"]["case"].update(fields)


def truncated(made, by=3):
    return made[0], made[1][:-by], made[2]


def with_more(made):
    return made[0], made[1] + b"\0", made[2]


def bad_branch(m):
    """The branch number of the payload's union does not exist."""
    key, value, headers = m.agent({"AgentCurrentUnitCleared": {}})
    assert value[-1:] == b"\x02"
    return key, value[:-1] + b"\x7e", headers


def bad_json(text):
    return lambda m: m.case(onlineMeeting=text)


GUIDS = ["", "nonsense", "{10a36a3c-ffd8-42db-9eb0-5b0f6a1c2d3e}", "10a36a3cffd842db9eb05b0f6a1c2d3e",
         "10a36a3c-ffd8-42db-9eb0-5b0f6a1c2d3g", "10a36a3c-ffd8-42db-9eb0-5b0f6a1c2d3e ",
         "10a36a3-cffd8-42db-9eb0-5b0f6a1c2d3e"]  # fmt: skip

# role, reason, how to make it
KINDS = {
    "empty value": ("case", "not-avro", lambda m: m.framed(b"")),
    "text": ("case", "not-avro", lambda m: m.framed(b"hello")),
    "json": ("agent", "not-avro", lambda m: m.framed(b'{"a":1}')),
    "short single-object header": ("case", "not-avro", lambda m: m.framed(b"\xc3\x01\x00")),
    "short registry header": ("case", "not-avro", lambda m: m.framed(b"\x00\x00\x01")),
    "other marker": ("case", "not-avro", lambda m: m.framed(b"\xc3\x02" + bytes(40))),
    "body cut": ("case", "not-avro", lambda m: truncated(m.case())),
    "body empty": ("agent", "not-avro", lambda m: truncated(m.agent(), len(m.agent()[1]) - 10)),
    "bytes left over": ("directory", "not-avro", lambda m: with_more(m.directory())),
    "no such branch": ("agent", "not-avro", bad_branch),
    "endless number": ("case", "not-avro", lambda m: m.framed(m.case()[1][:10] + b"\xff" * 20)),
    "length beyond the end": ("case", "not-avro", lambda m: m.framed(m.case()[1][:10] + b"\xfe\xff\xff\x0f")),
    "negative length": ("case", "not-avro", lambda m: m.framed(m.case()[1][:10] + b"\x01")),
    "unknown fingerprint": ("case", "unknown-schema", lambda m: m.framed(b"\xc3\x01" + bytes(range(8)) + b"xy")),
    "unknown registry id": ("agent", "unknown-schema", lambda m: m.framed(b"\x00\x00\x01\x02\x03xy")),
    "agent event among cases": ("case", "wrong-type", lambda m: m.agent()),
    "case event among agents": ("agent", "wrong-type", lambda m: m.case()),
    "agent event in the directory": ("directory", "wrong-type", lambda m: (m.directory()[0], m.agent()[1], ())),
    "organization no guid": ("case", "bad-guid", lambda m: m.case(change(organizationId="o"))),
    "event id no guid": ("agent", "bad-guid", lambda m: m.agent(change=change(eventId="e"))),
    "actor's user no guid": ("case", "bad-guid", lambda m: m.case(change(actor={"kind": "x", "userId": "me"}))),
    "unit no guid": ("case", "bad-guid", lambda m: m.case(unit=events.ref("unit-1"))),
    "workspace no guid": (
        "agent", "bad-guid",
        lambda m: m.agent({"AgentWorkspacesSelected": {"unitId": events.guid(), "workspaceIds": [events.guid(), "w"]}}),
    ),
    "entity's parent no guid": (
        "directory", "bad-guid", lambda m: m.directory({"InboxUpserted": {"unitId": "u", "name": "n", "colorCode": None}})
    ),
    "invalid utf-8": ("case", "bad-text", lambda m: m.case(lockedBy=events.user(name="J\udcff"))),
    "overlong utf-8": ("case", "bad-text", lambda m: m.case(contactEmail="\udcc0\udcaf")),
    "surrogate in utf-8": ("case", "bad-text", lambda m: m.case(channel="\udced\udca0\udc80")),
    "beyond U+10FFFF": (
        "directory", "bad-text", lambda m: m.directory({"UnitUpserted": {"name": "\udcf4\udc90\udc80\udc80"}})
    ),
    "NUL in a text": ("case", "bad-text", lambda m: m.case(entryMode="Walk\0In")),
    "NUL in a role": (
        "directory", "bad-text",
        lambda m: m.directory({"ApplicationUpserted": {"clientId": "c", "name": "n", "roles": ["a\0"], "enabled": True}}),
    ),
    "escaped NUL in a meeting": ("case", "bad-text", lambda m: m.case(onlineMeeting='{"a":"\\u0000"}')),
    "escaped NUL in a meeting's key": ("case", "bad-text", lambda m: m.case(onlineMeeting='{"\\u0000":1}')),
    "lone surrogate in a meeting": ("case", "bad-text", lambda m: m.case(onlineMeeting='{"a":"\\ud800x"}')),
    "lone low surrogate in a meeting": ("case", "bad-text", lambda m: m.case(onlineMeeting='{"a":["\\udc00"]}')),
    "rank NaN": ("case", "bad-rank", lambda m: m.case(rank=struct.pack("<I", 0x7FC00000))),
    "rank infinite": ("case", "bad-rank", lambda m: m.case(rank=struct.pack("<I", 0xFF800000))),
    "rank of a change NaN": (
        "case", "bad-rank", lambda m: m.update({"CasePositionChanged": {"rank": struct.pack("<I", 0x7F800001)}})
    ),
    "meeting of a change no object": (
        "case", "bad-json", lambda m: m.update({"CaseOnlineMeetingSet": {"onlineMeeting": "[]"}})
    ),
    "statusDate in year 10000": ("case", "bad-time", lambda m: m.case(statusDate=YEAR_10000)),
    "dateClosed in year 0": ("case", "bad-time", lambda m: m.case(dateClosed=YEAR_0)),
    "occurredAt far away": ("agent", "bad-time", lambda m: m.agent(change=change(occurredAt=-(2**63)))),
    "caseTimestamp of a change": ("case", "bad-time", lambda m: m.update({"CaseTicketPrinted": {"caseTimestamp": 2**63 - 1}})),
    "sequence 0": ("case", "bad-sequence", lambda m: m.case(change(sequence=0))),
    "sequence negative": ("agent", "bad-sequence", lambda m: m.agent(change=change(sequence=-(2**63)))),
    "version 0": ("directory", "bad-sequence", lambda m: m.directory(change=change(version=0))),
    "no key, case": ("case", "missing-key", lambda m: m.without_key(m.case())),
    "no key, agent": ("agent", "missing-key", lambda m: m.without_key(m.agent())),
    "no key, directory": ("directory", "missing-key", lambda m: m.without_key(m.directory())),
    "no key, no value": ("directory", "missing-key", lambda m: (None, None, ())),
    "key of another case": ("case", "key-mismatch", lambda m: m.case(key=events.guid().encode())),
    "key of another agent": ("agent", "key-mismatch", lambda m: m.agent(key=events.guid().encode())),
    "key of another kind": (
        "directory", "key-mismatch", lambda m: m.directory(key=events.directory_key("inbox", m.organization, events.guid())),
    ),
    "key of another organization": ("directory", "key-mismatch", lambda m: other_organization(m)),
    "removed kind differs": ("directory", "key-mismatch", lambda m: removed_kind_differs(m)),
    "key no guid": ("case", "bad-guid|key-mismatch", lambda m: m.case(key=b"case-1")),
    "key no utf-8": ("case", "bad-guid|key-mismatch|bad-text", lambda m: m.case(key=b"\xff\xfe")),
    "key of no kind": ("directory", "bad-guid|key-mismatch", lambda m: m.directory(key=b"planet:a:b")),
    "no value, case": ("case", "no-value", lambda m: m.without_value(m.case())),
    "no value, agent": ("agent", "no-value", lambda m: m.without_value(m.agent())),
    "value too large": ("case", "too-large", lambda m: m.case(contactEmail="x" * LARGE)),
    "key and value too large": ("case", "too-large", lambda m: m.case(key=b"k" * (LARGE - 400))),
    "name too long": ("case", "too-large", lambda m: m.case(lockedBy=events.user(name="é" * 512 + "x"))),
    "email too long": ("case", "too-large", lambda m: m.case(contactEmail="x" * 2049)),
    "email of a change too long": (
        "case", "too-large",
        lambda m: m.update({"CaseUpdated": {"channel": None, "customer": None, "contactPhoneNumber": None,
                                            "contactEmail": {"value": "x" * 2049}, "caseTimestamp": 0}}),
    ),
    "meeting too long": ("case", "too-large", lambda m: m.case(onlineMeeting='{"a":"' + "x" * (64 << 10) + '"}')),
    "role too long": (
        "directory", "too-large",
        lambda m: m.directory({"ApplicationUpserted": {"clientId": "c", "name": "n", "roles": ["a" * 1025], "enabled": True}}),
    ),
    "roles too many": (
        "directory", "too-large",
        lambda m: m.directory({"ApplicationUpserted": {"clientId": "c", "name": "n", "roles": ["a"] * 1001, "enabled": True}}),
    ),
    "workspaces too many": (
        "agent", "too-large",
        lambda m: m.agent({"AgentWorkspacesSelected": {"unitId": events.guid(), "workspaceIds": [events.guid()] * 1001}}),
    ),
    "key too large": ("case", "too-large", lambda m: m.case(key=b"k" * LARGE)),
    "headers too large": ("agent", "too-large", lambda m: (*m.agent()[:2], [("h", b"x" * LARGE)])),
    "headers too many": ("case", "too-large", lambda m: (*m.case()[:2], [(f"h{i}", os.urandom(2000)) for i in range(600)])),
}  # fmt: skip
NO_OBJECTS = ["", "null", "[]", '"x"', "{", "}{", '{"a":1}}', '{"a":01}', "{'a':1}", '{"a":1,}', '{"a":NaN}', '{"a":"\n"}',
              '{"a":1} x', '{"a" 1}', "\ufeff{}", '{"a":"\\x"}', "{}{}"]  # fmt: skip
for number, text in enumerate(NO_OBJECTS):
    KINDS[f"meeting {number}"] = ("case", "bad-json", bad_json(text))
for number, text in enumerate(GUIDS):
    KINDS[f"guid {number}"] = ("case", "bad-guid", lambda m, text=text: m.case(inbox=events.inbox(text)))


def other_organization(m):
    key, value, headers = m.directory()
    kind, _, entity = key.decode().split(":")
    return f"{kind}:{events.guid()}:{entity}".encode(), value, headers


def removed_kind_differs(m):
    key, value, headers = m.directory({"EntityRemoved": {"kind": "unit"}})
    return key.replace(b"unit", b"inbox"), value, headers


@pytest.fixture(scope="module")
def bad(postgres, schemas, tmp_path_factory):
    """Every kind of invalid input, twice, between valid events, for one worker. name → [(role, partition, offset)]."""
    registry = avro_codec.Registry()
    with mock_stack(postgres, schemas, tmp_path_factory.mktemp("bad"), registry=registry) as stack:
        maker, sent = Maker(schemas), {}
        stack.start_worker()
        for _ in range(2):
            for number, (name, (role, reason, make)) in enumerate(KINDS.items()):
                # The mock cluster keeps 5 MB of a partition: large records are spread, regardless of their keys.
                place = number % stack.topics.partitions[role] if reason == "too-large" else None
                ((partition, offset),) = stack.send_raw(role, [make(maker)], place)
                sent.setdefault(name, []).append((stack.topics.name(role), partition, offset))
                good = {"case": maker.case, "agent": maker.agent, "directory": maker.directory}[role]
                stack.send_raw(role, [good()], partition)
        stack.wait_caught_up()
        yield stack, sent, maker
    registry.stop()


@pytest.mark.parametrize("name", KINDS)
def test_parked_with_its_reason(bad, name):
    stack, sent, _ = bad
    parked = stack.parked()
    for where in sent[name]:
        assert where in parked, f"{where} is not parked"
        assert parked[where][0] in KINDS[name][1].split("|"), parked[where][6]
        assert parked[where][6], "the row says in words what is wrong"


def test_all_other_records_are_folded_and_parked_rows_are_complete(bad):
    stack, sent, _ = bad
    view = stack.check()
    assert len(view.parked) == sum(map(len, sent.values()))
    good_cases = sum(2 for role, _, _ in KINDS.values() if role == "case")
    assert len(view.active_cases) == good_cases
    assert stack.status()["parked"] == len(view.parked)


def test_headers_are_stored_in_order(bad):
    stack, _, maker = bad
    headers = [("trace", b"abc"), ("trace", "\u05e9".encode()), ("bin", b"\xff\0\x01"), ("empty", b"")]
    key, _, _ = maker.case()
    ((partition, offset),) = stack.send_raw("case", [(key, b"junk", headers)])
    stack.wait_caught_up()
    row = stack.parked()[stack.topics.case, partition, offset]
    assert row[4] == [
        {"name": "trace", "value": "abc"}, {"name": "trace", "value": "\u05e9"},
        {"name": "bin", "base64": "/wAB"}, {"name": "empty", "value": ""},
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["rank NaN", "sequence 0", "statusDate in year 10000", "meeting 1", "NUL in a text",
                                  "key of another case", "unit no guid", "no key, case", "no key, directory",
                                  "key no guid", "agent event among cases", "email too long", "value too large",
                                  "key too large", "headers too large", "workspaces too many"])  # fmt: skip
def test_organization_is_named_when_it_can_be_read(bad, name):
    stack, sent, maker = bad
    for where in sent[name]:
        assert stack.parked()[where][1] == maker.organization


def test_parked_is_counted_by_reason(bad):
    stack, sent, _ = bad
    expected = {}
    for (_, _, _), row in stack.parked().items():
        expected[row[0]] = expected.get(row[0], 0) + 1
    for reason, count in expected.items():
        assert stack.metric("caseview_parked_total", reason=reason) == count, reason


def test_another_organizations_case_is_parked(bad):
    stack, _, _ = bad
    case, first, second = events.guid(), events.guid(), events.guid()
    stack.send(events.queued(first, case, 1, channel="Phone"))
    where = stack.send(events.queued(second, case, 2, channel="Chat"))
    stack.send(events.case_event(first, case, 3, {"CasePositionChanged": {"rank": 2.0}}))
    stack.wait_caught_up()
    ((partition, offset),) = where
    row = stack.parked()[stack.topics.case, partition, offset]
    assert (row[0], row[1]) == ("key-mismatch", second)
    assert '"channel":"Phone"' in stack.body(case) and '"rank":2,' in stack.body(case)
    stack.check()


def test_another_organizations_application_is_parked(bad):
    stack, _, _ = bad
    application, first, second = events.guid(), events.guid(), events.guid()

    def upsert(organization, version, client):
        return events.directory_event(
            organization, application, version,
            {"ApplicationUpserted": {"clientId": client, "name": "n", "roles": [], "enabled": True}},
        )  # fmt: skip

    stack.send(upsert(first, 1, "one"))
    stack.wait_caught_up()
    ((partition, offset),) = stack.send(upsert(second, 5, "two"))
    stack.wait_caught_up()
    assert stack.parked()[stack.topics.directory, partition, offset][0] == "key-mismatch"
    assert stack.applications()[first, application][0] == "one"
    # A removed application still has its owner, a forgotten one has none.
    stack.send(events.directory_event(first, application, 2, {"EntityRemoved": {"kind": "application"}}))
    stack.wait_caught_up()
    ((partition, offset),) = stack.send(upsert(second, 6, "two"))
    stack.wait_caught_up()
    assert stack.parked()[stack.topics.directory, partition, offset][0] == "key-mismatch"
    stack.send_items([("directory", events.directory_key("application", first, application), None)])
    stack.wait_caught_up()
    stack.send(upsert(second, 7, "two"))
    stack.wait_caught_up()
    found = {organization: row for (organization, a), row in stack.applications().items() if a == application}
    assert found == {second: ("two", [], True)}


def test_registry_id_without_registry_is_unknown(make_stack, schemas):
    stack = make_stack()
    stack.start_worker()
    where = stack.send_raw("case", [(events.guid().encode(), b"\0\0\0\0\x01abc", ())])
    stack.wait_caught_up()
    assert [row[0] for row in stack.parked().values()] == ["unknown-schema"] and len(where) == 1


def poison(n):
    return [(events.guid().encode(), b"poison", ()) for _ in range(n)]


def good_cases(n):
    organization = events.guid()
    return [events.queued(organization, events.guid()) for _ in range(n)]


def test_poison_flood_halts_its_partition_alone(make_stack):
    stack = make_stack(partitions={"cases": 3})
    stack.start_worker()
    stack.send(*good_cases(20), partition=0)
    stack.send_raw("case", poison(700), 0)
    wait_for(lambda: len(stack.parked()) == 700, 30, "the first part is parked")
    # More valid than invalid records: partition 1 does not halt, however many are parked.
    stack.send(*good_cases(1300), partition=1)
    stack.send_raw("case", poison(1100), 1)
    stack.send_raw("case", poison(900), 0)
    stack.send(*good_cases(5), partition=0)
    stack.send(*good_cases(30), partition=2)
    _, _, offset = stack.wait_halt("case", 0, "poison-flood")
    assert offset == 20, "the first parked record of the minute"
    stack.check()
    topic = stack.topics.case
    assert not [w for w in stack.parked() if w[:2] == (topic, 0)], "the rows parked from there on are taken back"
    assert stack.progress()[topic, 0][0] == 20
    assert len([w for w in stack.parked() if w[:2] == (topic, 1)]) == 1100
    assert stack.workers[0].is_running()
    report = stack.status()
    assert not report["healthy"]
    assert [p["state"] for p in report["partitions"] if (p["topic"], p["partition"]) == (topic, 0)] == ["halted"]


def test_many_parked_records_below_the_flood_limit_do_not_halt(make_stack):
    stack = make_stack(partitions={"cases": 1})
    stack.start_worker()
    stack.send_raw("case", poison(1000))
    stack.send(*good_cases(3))
    view = stack.check()
    assert len(view.parked) == 1000
    stays_true(lambda: stack.halt("case", 0)[0] == "live", 0.5, "1,000 are no flood")


def test_a_parked_event_of_a_recreated_topic_moves_to_skipped(make_stack):
    """Another record has its offset now: both are kept, and a replay of the same record changes nothing."""
    stack = make_stack(partitions={"cases": 1})
    where = (stack.topics.case, 0, 0)
    stack.database.query(
        "INSERT INTO gen_1.parked (topic, part, \"offset\", key, value, record_timestamp, reason, text)"
        " VALUES (%s, %s, %s, 'old', 'of the old topic', now(), 'not-avro', 'old')", where,
    )  # fmt: skip
    stack.start_worker()
    stack.send_raw("case", [(b"new", b"poison", ())], 0)
    stack.wait_caught_up()
    assert [bytes(row[3]) for row in stack.parked().values()] == [b"poison"]
    kept = 'SELECT topic, part, "offset", value, skip_reason FROM ctl.skipped'
    ((*place, value, reason),) = stack.database.query(kept)
    assert (tuple(place), bytes(value)) == (where, b"of the old topic") and "recreated" in reason
    # The same record again, as after a crash.
    parked_at = stack.database.value("SELECT parked_at FROM gen_1.parked")
    (worker,) = stack.workers
    stack.stop_worker(worker)
    stack.database.query("UPDATE ctl.cursor SET next_offset = 0, last_record_offset = NULL")
    stack.start_worker()
    stack.wait_caught_up()
    assert stack.database.value("SELECT parked_at FROM gen_1.parked") == parked_at
    assert len(stack.database.query(kept)) == 1
