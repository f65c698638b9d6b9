"""`caseview parked`: lists, shows, exports and skips parked events, and folds those that can be decoded now."""

import base64
import json
import random
import subprocess
import threading

import pytest

from support import events, programs
from support.random_history import History
from support.waiting import wait_for

SCHEMA_ID = {"case": 7001, "agent": 7002, "directory": 7003}
NAMES = "SELECT count(*) FROM caseview.active_case WHERE body LIKE %s"
AUDIT = "SELECT command, topic, part, reason, detail FROM ctl.audit ORDER BY id"


def argv(stack, word, *args):
    registry = ["--schema-registry", stack.registry.url] if stack.registry else []
    return [
        word, "--database", stack.database.conninfo, *stack.names(), "--schema-dir", stack.schemas.folder, "--log-format",
        "text", *registry, *args,
    ]  # fmt: skip


def parked(stack, word, *args, check=0, **options):
    return programs.caseview("parked", *argv(stack, word, *args), check=check, deadline_s=60, **options)


def lines(done):
    return [json.loads(line) for line in done.stdout.splitlines()]


def in_registry_framing(stack, role, value):
    """A valid event whose schema is unknown until register()."""
    key, single = events.key_of(role, value), stack.encode(role, value)
    return key, b"\0" + SCHEMA_ID[role].to_bytes(4, "big") + single[10:], ()


def register(stack):
    for role, number in SCHEMA_ID.items():
        stack.registry.register(stack.schemas.by_role[role].text, number)


def send_unknown(stack, *sent, partition=None):
    return [stack.send_raw(role, [in_registry_framing(stack, role, value)], partition)[0] for role, value in sent]


def wait_parked(stack, count):
    wait_for(lambda: len(stack.parked()) == count, 30, f"{count} events are parked")


def at(stack, role, where):
    return ("--topic", stack.topics.name(role), "--partition", where[0], "--offset", where[1])


@pytest.fixture
def unknown(make_stack, registry):
    """unknown(…): a stack whose registry has no schema yet."""
    return lambda **options: make_stack(registry=registry, **options)


# --- seeing


def test_list_show_and_export(unknown):
    stack = unknown(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.start_worker()
    case = events.queued(events.guid(), events.guid())
    first = send_unknown(stack, case, partition=0)[0]
    key, value, _ = in_registry_framing(stack, *case)
    bad = stack.send_raw("case", [(b"\xff\0key", b"no event at all", [("a", b"1"), ("b", b"\xff")])], 1)[0]
    stack.send_raw("agent", [(b"k", None, ())], 0)
    wait_parked(stack, 3)
    rows = lines(parked(stack, "list", "--json"))
    assert [(r["topic"], r["partition"], r["offset"], r["reason"]) for r in rows] == [
        (stack.topics.agent, 0, 0, "no-value"),
        (stack.topics.case, *first, "unknown-schema"),
        (stack.topics.case, *bad, "not-avro"),
    ]
    assert rows[1]["key_text"] == key.decode() and rows[1]["value_bytes"] == len(value)
    text = parked(stack, "list", "--limit", 1).stdout
    assert "3 in all, 1 shown" in text and "no-value" in text and "not-avro" not in text
    assert len(lines(parked(stack, "list", "--json", "--topic", stack.topics.case, "--partition", 1))) == 1
    assert "1 in all" in parked(stack, "list", "--topic", stack.topics.agent).stdout

    show = parked(stack, "show", *at(stack, "case", bad)).stdout
    assert "ff 00 6b 65 79" in show and "no event at al" in show and '"base64": "/w=="' in show
    assert "decoding now: not-avro" in show
    assert "decoding now: unknown-schema" in parked(stack, "show", *at(stack, "case", first)).stdout
    register(stack)
    (shown,) = lines(parked(stack, "show", "--json", *at(stack, "case", first)))
    assert shown["decoding"].startswith("good") and bytes.fromhex(shown["value_hex"]) == value
    assert shown["reason"] == "unknown-schema" and shown["key_text"] == key.decode()

    exported = lines(parked(stack, "export"))
    assert [(r["key"], r["value"]) for r in exported] == [
        (base64.b64encode(b"k").decode(), None),
        (base64.b64encode(key).decode(), base64.b64encode(value).decode()),
        (base64.b64encode(b"\xff\0key").decode(), base64.b64encode(b"no event at all").decode()),
    ]
    assert exported[2]["headers"] == [{"name": "a", "value": "1"}, {"name": "b", "base64": "/w=="}]
    assert all(r["timestamp"] for r in exported)


def test_missing_events_and_wrong_usage(unknown, make_stack):
    stack = unknown()
    for word in ("list", "export", "retry"):
        assert "nothing is parked" in parked(stack, word).stderr
        assert "no parked event matches" in parked(stack, word, "--topic", "x", check=1).stderr
    assert "no parked event matches" in parked(stack, "show", *at(stack, "case", (0, 5)), check=1).stderr
    assert "needs --offset" in parked(stack, "show", "--topic", "x", "--partition", 0, check=2).stderr
    assert "needs --reason" in parked(stack, "skip", "--topic", "x", check=2).stderr
    assert "needs --topic" in parked(stack, "skip", "--reason", "x", check=2).stderr
    assert "list show export retry skip" in parked(stack, "lift", check=2).stderr
    away = ("--database", "host=127.0.0.1 port=1 user=x", "--connect-timeout-s", 1)
    assert programs.caseview("parked", "list", *away, check=3).stderr.count("\n") == 1
    bare = make_stack(migrate=False)
    for word in ("list", "retry"):
        assert "run `caseview migrate`" in parked(bare, word, check=2).stderr
    stack.postgres.query("postgres", "CREATE ROLE outsider LOGIN")
    try:
        conninfo = stack.postgres.conninfo(stack.database.name, "outsider")
        done = programs.caseview("parked", "list", "--database", conninfo, check=2)
        assert "granted caseview_worker" in done.stderr or "run `caseview migrate`" in done.stderr, done.stderr
    finally:
        stack.postgres.query("postgres", "DROP ROLE outsider")


# --- retry


def test_retry_folds_events_that_are_valid_now(unknown):
    """The row of a late event is removed from parked and its case is complete again; invalid events keep their rows."""
    stack = unknown(partitions={"cases": 1, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    organization, case, unit, user = (events.guid() for _ in range(4))
    stack.send(events.queued(organization, case, rank=1.0))
    send_unknown(
        stack,
        events.case_event(organization, case, 2, {"CasePositionChanged": {"rank": 7.0}}),
        events.directory_event(organization, unit, 1, {"UnitUpserted": {"name": "a unit"}}),
        events.agent_event(organization, user, 1, {"AgentCurrentUnitSelected": {"unitId": unit}}),
    )
    stack.send(events.case_event(organization, case, 3, {"CaseTicketPrinted": {}}))
    stack.send_raw("case", [(b"x", b"never good", ())])
    stack.wait_caught_up()
    wait_parked(stack, 4)
    assert '"rank":1' in stack.body(case) and stack.status()["degraded"] == 1
    done = parked(stack, "retry", "--json", check=1)
    assert json.loads(done.stdout) == {"tried": 4, "folded": 0, "left": 4}, "no schema is known yet"
    register(stack)
    done = parked(stack, "retry", "--json", check=1)
    assert json.loads(done.stdout) == {"tried": 4, "folded": 3, "left": 1}
    assert '"rank":7' in stack.body(case) and stack.agents()[organization, user][0] == unit
    status = stack.status()
    assert (status["parked"], status["degraded"]) == (1, 0)
    wait_for(lambda: worker.metric("caseview_degraded") == 0, 10, "the worker's metrics say so")
    wait_for(lambda: worker.metric("caseview_parked_events") == 1, 10, "here, too")
    stack.check()
    audit = [row for row in stack.database.query(AUDIT) if row[0] == "parked retry"]
    assert [(row[4]["tried"], row[4]["folded"]) for row in audit] == [(4, 0), (4, 3)]
    # Afterwards the owners continue.
    stack.send(events.case_event(organization, case, 4, {"CasePositionChanged": {"rank": 9.0}}))
    stack.wait_body(case, lambda body: '"rank":9' in body)
    stack.check()


def test_pages_and_slices(unknown):
    """More than one page of an export and more than one transaction of a retry."""
    stack = unknown(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    organization, count = events.guid(), 700
    sent = [events.queued(organization, events.guid()) for _ in range(count)]
    stack.send_raw("case", [in_registry_framing(stack, *event) for event in sent])
    wait_parked(stack, count)
    exported = lines(parked(stack, "export"))
    assert [r["offset"] for r in exported] == list(range(count))
    assert base64.b64decode(exported[-1]["key"]).decode() == sent[-1][1]["caseId"]
    assert f"{count} in all, 100 shown" in parked(stack, "list").stdout
    register(stack)
    assert json.loads(parked(stack, "retry", "--json").stdout) == {"tried": count, "folded": count, "left": 0}
    view = stack.check()
    assert len(view.active_cases) == count


def test_retry_of_one_event_updates_its_reason(unknown):
    stack = unknown(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    organization = events.guid()
    good, bad = events.queued(organization, events.guid()), events.queued(organization, events.guid(), unit=events.ref("x"))
    where = send_unknown(stack, good, bad)
    wait_parked(stack, 2)
    register(stack)
    assert "1 tried, 0 folded, 1 left" in parked(stack, "retry", *at(stack, "case", where[1]), check=1).stdout
    row = stack.parked()[(stack.topics.case, *where[1])]
    assert row[0] == "bad-guid" and row[1] == organization
    assert "1 tried, 1 folded, 0 left" in parked(stack, "retry", *at(stack, "case", where[0])).stdout
    assert stack.body(good[1]["caseId"])
    stack.check()


def test_retry_meets_another_organizations_case(unknown):
    """The first organization keeps the case: the retried event stays parked, with that reason."""
    stack = unknown(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    owner, late, case = (events.guid() for _ in range(3))
    (where,) = send_unknown(stack, events.queued(late, case))
    stack.send(events.queued(owner, case, sequence=2))
    stack.wait_body(case)
    register(stack)
    parked(stack, "retry", check=1)
    assert stack.parked()[(stack.topics.case, *where)][:2] == ("key-mismatch", late)
    assert list(stack.active_cases()) == [(owner, case)]


def test_retry_of_a_topic_of_another_name(unknown):
    stack = unknown(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    send_unknown(stack, events.queued(events.guid(), events.guid()))
    wait_parked(stack, 1)
    register(stack)
    arguments = argv(stack, "retry")
    arguments[arguments.index(stack.topics.case)] = "renamed"
    done = programs.caseview("parked", *arguments, check=1)
    assert stack.topics.case in done.stderr and "is not case-topic, agent-topic or directory-topic" in done.stderr
    assert len(stack.parked()) == 1


def test_retry_while_the_registry_is_unreachable(unknown):
    stack = unknown(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    send_unknown(stack, events.queued(events.guid(), events.guid()))
    wait_parked(stack, 1)
    stack.registry.stop()
    done = parked(stack, "retry", "--connect-timeout-s", 1, check=3)
    errors = [line for line in done.stderr.splitlines() if " error " in line]
    assert len(errors) == 1 and "parked retry: " in errors[0] and "registry" in errors[0]
    assert len(stack.parked()) == 1


def test_retry_moves_a_case_that_was_listed_elsewhere(unknown):
    """The late event ends the case, unlists it, or lists it for another user: no stale row remains."""
    stack = unknown(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    organization, over, waits, moved = (events.guid() for _ in range(4))
    other = events.user(name="other")
    for case in (over, waits, moved):
        stack.send(events.queued(organization, case))
    send_unknown(
        stack,
        events.case_event(organization, over, 2, {"CaseClosed": {}}),
        events.case_event(organization, waits, 2, {"CaseReturnedToQueue": {"status": "Waiting", "rank": 1.0}}),
        events.case_event(
            organization, moved, 2, {"CaseServiceStarted": {"status": "Active", "lockedBy": other, "workstation": None}}
        ),
    )
    wait_parked(stack, 3)
    register(stack)
    parked(stack, "retry")
    assert stack.body(over) is None and stack.body(waits) is None
    assert stack.active_cases()[organization, moved][0] == other["userId"]
    flags = "SELECT flags, over_at IS NOT NULL FROM gen_1.case_state WHERE case_id = %s"
    assert stack.database.query(flags, (over,)) == [(8, True)]
    stack.check()


def start_retry(stack, *args, environment=()):
    argument = [str(programs.binary("caseview")), "parked", *map(str, argv(stack, "retry", *args))]
    return subprocess.Popen(
        argument, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=programs.clean_environment(environment), start_new_session=True, preexec_fn=programs.end_with_parent,
    )  # fmt: skip


def outcome(process, deadline_s=90):
    out, err = process.communicate(timeout=deadline_s)
    assert not programs.SANITIZER.search(err), err
    return process.returncode, out, err


def send_history(stack, rng, items, unknown_share=0.2):
    """Gives some events of cases and agents a framing that is not known yet; directory events are unchanged."""
    plain = []
    for role, key, value in items:
        if value is not None and role != "directory" and rng.random() < unknown_share:
            stack.send_items(plain)
            plain = []
            stack.send_raw(role, [in_registry_framing(stack, role, value)])
        else:
            plain.append((role, key, value))
    stack.send_items(plain)


@pytest.mark.parametrize("workers", [1, 2])
def test_retry_under_load_equals_the_naive_fold(unknown, workers):
    """Two retries at the same time, while workers fold further events of the same cases and names keep changing."""
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")
    rng = random.Random(seed)
    stack = unknown(partitions={"cases": 3, "agents": 2, "directory": 2})
    for _ in range(workers):
        stack.start_worker(ready=False)
    items = History(seed, organizations=2, cases=350, versions=12).items
    third = len(items) // 3
    send_history(stack, rng, items[:third])
    stack.wait_caught_up()
    before = len(stack.parked())
    assert before > 50
    register(stack)
    rest, sent = items[third:], []

    def send():
        for start in range(0, len(rest), 25):
            stack.send_items(rest[start : start + 25])
        sent.append(True)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    retries = [start_retry(stack), start_retry(stack)]
    results = [outcome(process) for process in retries]
    thread.join(60)
    assert sent, "the load was not sent"
    assert all(code == 0 for code, _, _ in results), results
    view = stack.check()
    assert not view.parked and not stack.parked()
    report = stack.status()
    assert (report["degraded"], report["incomplete"], report["parked"]) == (view.degraded, view.incomplete, 0)


def test_a_unit_renamed_during_retry_leaves_no_stale_name(unknown):
    """Name changes arrive before the fold, between fold and write, and while the owner recovers."""
    stack = unknown(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.start_worker()
    organization, unit = events.guid(), events.guid()
    cases = [events.guid() for _ in range(60)]
    stack.send(*(events.queued(organization, case, unit=events.ref(unit)) for case in cases))
    register_later = [events.case_event(organization, case, 2, {"CaseTicketPrinted": {}}) for case in cases]
    send_unknown(stack, *register_later)
    wait_parked(stack, len(cases))
    register(stack)
    ended, version = threading.Event(), 0

    def rename():
        nonlocal version
        while not ended.wait(0.01):
            version += 1
            stack.send(events.directory_event(organization, unit, version, {"UnitUpserted": {"name": f"name {version}"}}))

    thread = threading.Thread(target=rename, daemon=True)
    thread.start()
    try:
        wait_for(lambda: stack.database.value(NAMES, ('%"unitName":"name %',)) == len(cases), 20, "names come")
        for case in register_later:
            where = [w for w, row in stack.parked().items() if bytes(row[2]).decode() == case[1]["caseId"]][0]
            parked(stack, "retry", "--topic", where[0], "--partition", where[1], "--offset", where[2])
    finally:
        ended.set()
        thread.join(30)
    view = stack.check()
    assert not view.parked
    assert stack.database.value(NAMES, (f'%"unitName":"name {version}"%',)) == len(cases)


def test_directory_events_are_retried_while_the_directory_is_busy(unknown):
    """Directory rows have no revision: a retry is re-folded when the owner's batch came first, and none starves."""
    stack = unknown(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    organization = events.guid()
    units = [events.guid() for _ in range(30)]
    case = events.queued(organization, events.guid(), unit=events.ref(units[0]))
    stack.send(case)

    def named(unit, version):
        return events.directory_event(organization, unit, version, {"UnitUpserted": {"name": f"version {version}"}})

    send_unknown(stack, *(named(unit, 1000 if number % 2 else 1) for number, unit in enumerate(units)))
    wait_parked(stack, len(units))
    register(stack)
    ended, versions = threading.Event(), []

    def rename():
        for version in range(2, 900):
            if ended.wait(0.01):
                return
            stack.send(*(named(unit, version) for unit in units))
            versions.append(version)

    thread = threading.Thread(target=rename, daemon=True)
    thread.start()
    try:
        wait_for(lambda: len(versions) > 5, 20, "the directory is busy")
        for where in list(stack.parked()):
            parked(stack, "retry", "--topic", where[0], "--partition", where[1], "--offset", where[2])
    finally:
        ended.set()
        thread.join(30)
    view = stack.check()
    assert not view.parked
    stack.send(*(named(unit, 1001) for unit in units[:1]))
    stack.wait_body(case[1]["caseId"], lambda body: "version 1001" in body)
    wrong = "SELECT count(*) FROM gen_1.directory WHERE version <> %s AND entity_id = ANY (%s::uuid[])"
    assert stack.database.value(wrong, (1000, units[1::2])) == 0
    assert stack.database.value(wrong, (versions[-1], units[2::2])) == 0


@pytest.mark.parametrize("point", ["outside.folded", "outside.sent", "outside.answered", "retry.slice"])
def test_retry_killed_in_the_middle(unknown, tmp_path, point):
    """Each transaction is atomic; the next retry folds the remaining events."""
    stack = unknown(partitions={"cases": 4, "agents": 1, "directory": 1})
    stack.start_worker()
    organization = events.guid()
    cases = [events.guid() for _ in range(80)]
    stack.send(*(events.queued(organization, case) for case in cases))
    send_unknown(stack, *(events.case_event(organization, case, 2, {"CaseTicketPrinted": {}}) for case in cases))
    wait_parked(stack, len(cases))
    register(stack)
    environment = {"CASEVIEW_TEST_FAIL_POINTS": f"{point}:kill:2", "CASEVIEW_TEST_FAIL_FOLDER": str(tmp_path)}
    code, _, err = outcome(start_retry(stack, environment=environment))
    assert code == -9, err
    left = len(stack.parked())
    assert 0 < left < len(cases)
    printed = '%"printedTicket":true%'
    wait_for(lambda: stack.database.value(NAMES, (printed,)) + len(stack.parked()) == len(cases), 10, "each is whole")
    parked(stack, "retry")
    view = stack.check()
    assert not view.parked and stack.database.value(NAMES, (printed,)) == len(cases)


# --- skip


def test_skip_keeps_the_event_and_records_who_and_why(unknown):
    stack = unknown(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    case = events.queued(events.guid(), events.guid())
    (where,) = send_unknown(stack, case)
    stack.send_raw("case", [(b"x", b"never good", ())] * 3)
    wait_parked(stack, 4)
    done = parked(stack, "skip", *at(stack, "case", where), "--reason", "known to support", "--json")
    assert lines(done)[0]["offset"] == where[1]
    skipped = "SELECT gen, topic, part, \"offset\", value, reason, skip_reason FROM ctl.skipped"
    ((gen, topic, part, offset, value, reason, why),) = stack.database.query(skipped)
    assert (gen, topic, part, offset) == (1, stack.topics.case, *where)
    assert bytes(value) == in_registry_framing(stack, *case)[1]
    assert (reason, why) == ("unknown-schema", "known to support")
    assert stack.status()["parked"] == 3
    parked(stack, "skip", *at(stack, "case", where), "--reason", "again", check=1)
    assert parked(stack, "skip", "--topic", stack.topics.case, "--reason", "junk").stdout.count(") skipped") == 3
    audit = stack.database.query(AUDIT)
    assert [(row[0], row[3], row[4]["events"]) for row in audit] == [
        ("parked skip", "known to support", 1), ("parked skip", "junk", 3),
    ]  # fmt: skip
    register(stack)
    assert "nothing is parked" in parked(stack, "retry").stderr
    assert stack.body(case[1]["caseId"]) is None


def test_a_replay_does_not_park_skipped_events_again(make_stack):
    stack = make_stack(partitions={"cases": 1})
    worker = stack.start_worker()
    stack.send_raw("case", [(b"x", b"given up", ()), (b"y", b"never good", ())])
    wait_parked(stack, 2)
    parked(stack, "skip", *at(stack, "case", (0, 0)), "--reason", "junk")
    stack.stop_worker(worker)
    stack.database.query("UPDATE ctl.cursor SET next_offset = 0, last_record_offset = NULL")
    stack.start_worker()
    stack.wait_caught_up()
    assert [offset for _, _, offset in stack.parked()] == [1]
    assert stack.database.value("SELECT count(*) FROM ctl.skipped") == 1
