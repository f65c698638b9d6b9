"""A record that can never be folded is parked with its reason; all other records are folded (contract, section 4)."""

import pytest

from support import avro_codec, events
from support.bad_input import KINDS, Maker
from support.stack import mock_stack
from support.waiting import stays_true, wait_for

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
