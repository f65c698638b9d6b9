"""`caseview verify`: every damage is reported, and undamaged rows are not."""

import contextlib
import json
import threading

import pytest

from support import programs
from support.events import agent_event, case_event, customer, directory_event, guid, key_of, queued, ref, user
from support.random_history import SEEDS, History
from support.waiting import all_the_time, wait_for

SCHEMA_ID = {"case": 7001, "agent": 7002, "directory": 7003}


def verify(stack, *args, **options):
    registry = ["--schema-registry", stack.registry.url] if stack.registry else []
    return programs.caseview(
        "verify", "--database", stack.database.conninfo, *stack.kafka(), *stack.names(), "--schema-dir",
        stack.schemas.folder, "--log-format", "text", *registry, *args, **options,
    )  # fmt: skip


def found(stack, *args, check=0):
    return json.loads(verify(stack, "--json", *args, check=check, deadline_s=60).stdout)


def fields(report):
    return {d["field"] for d in report["differences"]}


class World:
    """One listed case, one waiting, one over, an agent, and the directory behind them."""

    def __init__(self, stack):
        self.stack = stack
        self.organization, self.case, self.waiting, self.over = guid(), guid(), guid(), guid()
        self.agent, self.unit, self.workspace, self.record, self.application = (guid() for _ in range(5))
        stack.start_worker()
        stack.send(
            queued(self.organization, self.case, 1, lockedBy=user(self.agent, "John"), unit=ref(self.unit),
                   customer=customer(record=self.record), rank=2.5),
            case_event(self.organization, self.case, 3, {"CasePositionChanged": {"rank": 4.0}}),
            queued(self.organization, self.waiting, 1, status="Waiting", lockedBy=None),
            queued(self.organization, self.over, 1),
            case_event(self.organization, self.over, 2, {"CaseClosed": {}}),
            agent_event(self.organization, self.agent, 1, {"AgentCurrentUnitSelected": {"unitId": self.unit}}),
            agent_event(self.organization, self.agent, 2,
                        {"AgentWorkspacesSelected": {"unitId": self.unit, "workspaceIds": [self.workspace]}}),
            directory_event(self.organization, self.unit, 3, {"UnitUpserted": {"name": "Haifa"}}),
            directory_event(self.organization, self.workspace, 1, {"WorkspaceUpserted": {"unitId": self.unit, "name": "W"}}),
            directory_event(self.organization, self.application, 1, {"ApplicationUpserted": {
                "clientId": "client", "name": "App", "roles": ["Agent Impersonator"], "enabled": True}}),
        )  # fmt: skip
        stack.check()


DAMAGES = [
    ("UPDATE gen_1.case_state SET part = 9 WHERE flags & 1 <> 0", {"case_state.part", "active_case.part"}),
    ("UPDATE gen_1.case_state SET rev = 0 WHERE flags & 1 <> 0", {"case_state.rev"}),
    ("UPDATE gen_1.case_state SET flags = 0 WHERE flags & 1 <> 0", {"case_state.flags"}),
    ("UPDATE gen_1.case_state SET degraded_at = NULL WHERE degraded_at IS NOT NULL", {"case_state.degraded_at"}),
    ("UPDATE gen_1.case_state SET over_at = NULL WHERE over_at IS NOT NULL", {"case_state.over_at"}),
    ("UPDATE gen_1.case_state SET state = 'x' WHERE flags & 1 <> 0", {"case_state.state"}),
    ("UPDATE gen_1.case_state SET state = set_byte(state, 20, get_byte(state, 20) + 1) WHERE flags & 1 <> 0", None),
    ("UPDATE gen_1.case_state t SET state = o.state, over_at = now(), degraded_at = NULL, flags = 8 FROM gen_1.case_state o"
     " WHERE t.flags & 1 <> 0 AND o.flags = 8", {"case_state.state over"}),
    ("DELETE FROM gen_1.case_state WHERE flags & 1 <> 0", {"case_state"}),
    ("DELETE FROM gen_1.case_state WHERE flags = 8", {"case_state"}),
    ("INSERT INTO gen_1.case_state SELECT gen_random_uuid(), rev, part, flags, NULL, over_at, state FROM gen_1.case_state"
     " WHERE flags = 8", {"case_state"}),
    ("UPDATE gen_1.active_case SET organization_id = gen_random_uuid()", {"active_case.organization_id"}),
    ("UPDATE gen_1.active_case SET case_id = gen_random_uuid()", {"active_case"}),
    ("UPDATE gen_1.active_case SET user_id = gen_random_uuid()", {"active_case.user_id"}),
    ("UPDATE gen_1.active_case SET unit_id = gen_random_uuid()", {"active_case.unit_id"}),
    ("UPDATE gen_1.active_case SET status_date = status_date + interval '1 us'", {"active_case.status_date"}),
    ("UPDATE gen_1.active_case SET case_timestamp = 'infinity'", {"active_case.case_timestamp"}),
    ("UPDATE gen_1.active_case SET degraded = NOT degraded", {"active_case.degraded"}),
    ("UPDATE gen_1.active_case SET part = part + 1", {"active_case.part"}),
    ("UPDATE gen_1.active_case SET customer_ref = NULL", {"active_case.customer_ref"}),
    ("UPDATE gen_1.active_case SET refs = ''", {"active_case.refs"}),
    ("UPDATE gen_1.active_case SET body = replace(body, 'Haifa', 'Akko')", {"active_case.body"}),
    ("DELETE FROM gen_1.active_case", {"active_case"}),
    ("UPDATE gen_1.agent SET rev = 0", {"agent.rev"}),
    ("UPDATE gen_1.agent SET part = 9", {"agent.part"}),
    ("UPDATE gen_1.agent SET current_unit_id = NULL", {"agent.current_unit_id is there"}),
    ("UPDATE gen_1.agent SET current_unit_id = gen_random_uuid()", {"agent.current_unit_id"}),
    ("UPDATE gen_1.agent SET has_workspaces = false", {"agent.has_workspaces"}),
    ("UPDATE gen_1.agent SET degraded = true", {"agent.degraded"}),
    ("UPDATE gen_1.agent SET degraded_at = now()", {"agent.degraded_at"}),
    ("UPDATE gen_1.agent SET refs = ''", {"agent.refs"}),
    ("UPDATE gen_1.agent SET state = 'x'", {"agent.state"}),
    ("UPDATE gen_1.agent SET user_id = gen_random_uuid()", {"agent"}),
    ("DELETE FROM gen_1.agent", {"agent"}),
    ("UPDATE gen_1.directory SET name = 'Akko' WHERE kind = 1", {"directory.name", "active_case.body"}),
    ("UPDATE gen_1.directory SET detail = 'x' WHERE kind = 9", {"directory.detail"}),
    ("UPDATE gen_1.directory SET picture = 'x' WHERE kind = 9", {"directory.picture"}),
    ("UPDATE gen_1.directory SET roles = '{}' WHERE kind = 9", {"directory.roles"}),
    ("UPDATE gen_1.directory SET enabled = false WHERE kind = 9", {"directory.enabled"}),
    ("UPDATE gen_1.directory SET parent_id = NULL WHERE kind = 6", {"directory.parent_id"}),
    ("UPDATE gen_1.directory SET version = version + 1 WHERE kind = 1", {"directory.version"}),
    ("UPDATE gen_1.directory SET version = version - 1 WHERE kind = 1", {"directory.version"}),
    ("UPDATE gen_1.directory SET change_no = change_no + 1000000 WHERE kind = 6", {"directory.change_no"}),
    ("UPDATE gen_1.directory SET status = 2 WHERE kind = 6", {"directory.status", "agent.has_workspaces"}),
    ("UPDATE gen_1.directory SET status = 0 WHERE kind = 6", {"directory.status"}),
    ("UPDATE gen_1.directory SET organization_id = gen_random_uuid() WHERE kind = 9", {"directory.organization_id"}),
    ("UPDATE gen_1.directory SET entity_id = gen_random_uuid() WHERE kind = 6", {"directory"}),
    ("DELETE FROM gen_1.directory WHERE kind = 9", {"directory"}),
    ("UPDATE ctl.cursor SET next_offset = next_offset + 100 WHERE topic ~ '^case' AND part = 0", {"next_offset"}),
]  # fmt: skip


def test_each_damaged_column_is_found(stack):
    world = World(stack)
    for worker in list(stack.workers):
        stack.stop_worker(worker)
    report = found(stack)
    assert report["agrees"] and report["differences"] == []
    assert report["compared"] == {"cases": 3, "listed": 1, "agents": 1, "entities": 3}
    assert report["records"] == 10 and not any(report["unknown"].values())
    tables = "gen_1.case_state", "gen_1.active_case", "gen_1.agent", "gen_1.directory", "ctl.cursor"
    for table in tables:
        stack.database.query(f"CREATE TABLE public.{table.split('.')[1]} AS SELECT * FROM {table}")
    for damage, expected in DAMAGES:
        stack.database.query(damage)
        report = found(stack, check=1)
        assert not report["agrees"] and report["difference_count"] == len(report["differences"]) > 0, damage
        if expected:
            assert expected <= fields(report), f"{damage}: {report['differences']}"
        for table in tables[:4]:
            stack.database.query(f"TRUNCATE {table}")
            stack.database.query(f"INSERT INTO {table} SELECT * FROM public.{table.split('.')[1]}")
        stack.database.query("UPDATE ctl.cursor c SET next_offset = o.next_offset FROM public.cursor o"
                             " WHERE (o.topic, o.part) = (c.topic, c.part)")  # fmt: skip
    assert found(stack)["agrees"]
    assert world.case not in verify(stack, check=0).stdout


def test_a_difference_names_the_case_the_field_and_both_values(stack):
    world = World(stack)
    stack.database.query("UPDATE gen_1.active_case SET degraded = false")
    out = verify(stack, check=1).stdout
    assert f"case {world.case}: active_case.degraded: the row says false, the log says true" in out
    assert "1 differences: see `caseview explain`, fix cases and agents with `caseview repair`" in out


def test_parked_and_skipped_events_are_left_out(stack):
    world = World(stack)
    stack.send_raw("case", [(world.case.encode(), b"nonsense", ()), (world.waiting.encode(), b"other nonsense", ())])
    stack.send(queued(guid(), world.case, 9))
    stack.wait_caught_up()
    assert len(stack.parked()) == 3
    stack.database.query(
        "WITH gone AS (DELETE FROM gen_1.parked WHERE key = %s RETURNING *) INSERT INTO ctl.skipped"
        " SELECT 1, gone.*, now(), 'not needed' FROM gone", (world.waiting.encode(),),
    )  # fmt: skip
    report = found(stack)
    assert report["left_out"] == 3 and report["agrees"]
    # An event that was neither folded nor parked is a difference.
    stack.database.query("DELETE FROM gen_1.parked")
    assert fields(found(stack, check=1)) == {"parked"}


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_reported_under_load_and_after_a_random_history(make_stack, seed):
    stack = make_stack(partitions={"cases": 4, "agents": 2, "directory": 2})
    stack.start_worker()
    stack.start_worker(ready=False)
    items = History(seed, organizations=2, cases=400, versions=20).items
    verified, sent = threading.Event(), threading.Event()

    def send():
        for at in range(0, len(items), 40):
            if at > len(items) // 2:
                verified.wait(60)  # however slow the machine is, some of the load comes during the second round
            stack.send_items(items[at : at + 40])
        sent.set()

    thread = threading.Thread(target=send)
    thread.start()
    rounds = 0
    while not sent.is_set():
        report = found(stack, check=None)
        assert report["agrees"], report["differences"][:5]
        rounds += 1
        verified.set()
    thread.join()
    stack.check()
    report = found(stack)
    assert report["agrees"] and report["unknown"]["history"] == 0 and report["unknown"]["ahead"] == 0
    assert rounds >= 2 and report["compared"]["listed"] > 50


def test_a_sample_is_a_fixed_subset(stack):
    stack.start_worker()
    organization = guid()
    stack.send(*[queued(organization, guid(), 1) for _ in range(200)])
    stack.wait_caught_up()
    one, other = found(stack, "--sample", "20"), found(stack, "--sample", "20")
    assert one == other and 10 <= one["compared"]["cases"] <= 80
    stack.database.query("UPDATE gen_1.active_case SET body = '{}'")
    assert found(stack, "--sample", "20", check=1)["difference_count"] == one["compared"]["listed"]


def test_a_partition_that_is_read_again_is_no_difference(stack):
    world = World(stack)
    for worker in list(stack.workers):
        stack.stop_worker(worker)
    stack.database.query("UPDATE ctl.cursor SET next_offset = 0")
    report = found(stack)
    assert report["agrees"] and report["unknown"]["ahead"] > 0
    assert world.case


def test_the_start_of_the_log_may_be_gone(make_kafka_stack):
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    world = World(stack)
    stack.broker.delete_records(stack.topics.name("case"), 0, 2)
    stack.broker.delete_records(stack.topics.name("agent"), 0, 1)
    report = found(stack)
    assert report["agrees"] and report["unknown"]["history"] == 2
    stack.database.query("UPDATE gen_1.active_case SET unit_id = gen_random_uuid()")
    assert fields(found(stack, check=1)) == {"active_case.unit_id"}
    assert world.case in verify(stack, check=1).stdout


def test_a_topic_that_does_not_exist_is_reported(make_kafka_stack):
    stack = make_kafka_stack()
    out = verify(stack, "--generation", "3", check=2)
    assert "caseview migrate" in out.stderr
    given = dict(zip(stack.names()[::2], stack.names()[1::2]))
    given["--agent-topic"] = "nowhere"
    out = programs.caseview(
        "verify", "--database", stack.database.conninfo, *stack.kafka(), "--schema-dir", stack.schemas.folder,
        *[item for pair in given.items() for item in pair], check=2,
    )  # fmt: skip
    assert "kafka topic nowhere does not exist" in out.stderr and "--agent-topic" in out.stderr


def test_a_compacted_directory_may_keep_a_stale_version_only(make_kafka_stack, kafka):
    """Compaction keeps the last record of a key, not the greatest version. Removed versions are no differences."""
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1})
    name = f"{stack.topics.directory}-compact"
    kafka.topic_by_script(
        name, 1, "cleanup.policy=compact", "segment.ms=100", "min.cleanable.dirty.ratio=0.001", "max.compaction.lag.ms=100",
    )  # fmt: skip
    stack.topics = stack.topics.renamed(directory=name, partitions=1)
    stack.start_worker()
    organization, unit = guid(), guid()
    for version in (5, 4):
        stack.send(directory_event(organization, unit, version, {"UnitUpserted": {"name": f"v{version}"}}))
    stack.check()
    assert found(stack)["agrees"]

    def compacted():
        stack.send(directory_event(organization, guid(), 1, {"UnitUpserted": {"name": "rolls the segment"}}))
        records = stack.broker.read_all(stack.topics)["directory"]
        return not any(r.offset == 0 for r in records)

    wait_for(compacted, 90, "the greatest version is compacted away", poll_s=0.5)
    stack.wait_caught_up()
    report = found(stack)
    assert report["agrees"] and report["unknown"]["compacted"] == 1, report


def test_growth_and_transactions_are_no_differences(make_kafka_stack):
    """Keys move to other partitions, and control records take offsets."""
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    world = World(stack)
    name = stack.topics.name("case")
    moved = case_event(world.organization, world.case, 4, {"CasePositionChanged": {"rank": 7.0}})
    for commit in (False, True):
        record = stack.record("case", world.case.encode(), stack.encode("case", moved[1]), (), 0)
        stack.broker.send_in_transaction([record], commit=commit)
    stack.broker.grow_topic(name, 3)
    stack.topics.partitions["case"] = 3
    stack.send(case_event(world.organization, world.case, 5, {"CasePositionChanged": {"rank": 8.0}}), partition=2)
    stack.wait_body(world.case, lambda body: body and '"rank":8' in body, deadline_s=60)
    stack.wait_caught_up()
    report = found(stack)
    assert report["agrees"] and report["unknown"]["history"] == 0, report
    out = programs.caseview(
        "explain", "--database", stack.database.conninfo, *stack.kafka(), *stack.names(), "--schema-dir",
        stack.schemas.folder, "--json", "--case", world.case, check=0,
    ).stdout  # fmt: skip
    events = json.loads(out)["events"]
    assert [(e["partition"], e["sequence"]) for e in events] == [(0, 1), (0, 3), (0, 4), (2, 5)]


@contextlib.contextmanager
def verify_waiting_for_the_broker(stack):
    """Inside the block verify has read cursors and parked records and waits for the log. Afterwards it continues.
    Yields its report."""
    report = {}
    thread = threading.Thread(target=lambda: report.update(found(stack, check=None)))
    activity = "SELECT state, query FROM pg_stat_activity WHERE application_name = 'caseview verify'"

    def waits():
        rows = stack.database.query(activity)
        return rows and rows[0][1] == "ROLLBACK" and rows[0][0] == "idle"

    stack.broker.freeze()
    try:
        thread.start()
        wait_for(waits, 10, "verify has no snapshot while it waits for the log")
        yield report
    finally:
        stack.broker.thaw()
        thread.join()


def test_no_snapshot_is_open_while_the_log_is_read(stack):
    """A snapshot keeps PostgreSQL from removing dead rows, and every batch updates a cursor's row."""
    World(stack)
    with verify_waiting_for_the_broker(stack) as report:
        pass
    assert report["agrees"]


def test_rows_that_move_on_while_the_log_is_read_are_no_differences(make_stack, registry):
    """A parked record is folded after verify listed it as parked: the rows are newer than the log read so far."""
    stack = make_stack(registry=registry, partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    organization, late, new, unit = guid(), guid(), guid(), guid()
    unread = [
        case_event(organization, late, 2, {"CasePositionChanged": {"rank": 9.0}}), queued(organization, new, 1),
        agent_event(organization, late, 1, {"AgentCurrentUnitSelected": {"unitId": unit}}),
        directory_event(organization, unit, 1, {"UnitUpserted": {"name": "Haifa"}}),
    ]  # fmt: skip
    stack.send(queued(organization, late, 1, unit=ref(unit)))
    for role, value in unread:
        key, single = key_of(role, value), stack.encode(role, value)
        stack.send_raw(role, [(key, b"\0" + SCHEMA_ID[role].to_bytes(4, "big") + single[10:], ())])
    wait_for(lambda: len(stack.parked()) == len(unread), 30, "all of an unknown schema are parked")
    for role, number in SCHEMA_ID.items():
        stack.registry.register(stack.schemas.by_role[role].text, number)
    retry = [
        "retry", "--database", stack.database.conninfo, *stack.names(), "--schema-dir", stack.schemas.folder,
        "--schema-registry", stack.registry.url,
    ]  # fmt: skip
    with verify_waiting_for_the_broker(stack) as report:
        programs.caseview("parked", *retry, check=0)
    assert report["agrees"], report["differences"]
    assert report["compared"]["cases"] == 2 and report["records"] == 5 and not any(report["unknown"].values())
    # The same with a damaged row, which is found although it is not compared with the first history.
    with verify_waiting_for_the_broker(stack) as report:
        stack.database.query("UPDATE gen_1.case_state SET state = set_byte(state, 20, get_byte(state, 20) + 1)")
    assert {d["key"] for d in report["differences"]} == {f"case {late}", f"case {new}"}


def test_a_damaged_row_is_found_under_load(make_stack):
    """Other rows are newer than the log that was read; this one is damaged throughout."""
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.start_worker()
    organization, damaged = guid(), guid()
    busy = [guid() for _ in range(20)]
    stack.send(*[queued(organization, case, 1) for case in (damaged, *busy)])
    stack.wait_caught_up()
    stack.database.query(
        "UPDATE gen_1.case_state SET state = (SELECT state FROM gen_1.case_state WHERE case_id = %s), rev = 7"
        " WHERE case_id = %s", (busy[0], damaged),
    )  # fmt: skip
    stack.database.query("DELETE FROM gen_1.active_case WHERE case_id = %s", (damaged,))
    sequence = iter(range(2, 1000000))

    def produce():
        number = next(sequence)
        stack.send(*[case_event(organization, case, number, {"CasePositionChanged": {"rank": 2.0}}) for case in busy])

    with all_the_time(produce):
        reports = [found(stack, check=1) for _ in range(3)]
    for report in reports:
        assert {d["key"] for d in report["differences"]} == {f"case {damaged}"}, report["differences"]
        assert any(f.startswith("case_state.state") for f in fields(report)) and "active_case" in fields(report)


def test_a_member_of_caseview_worker_may_verify(stack):
    World(stack)
    stack.postgres.query("postgres", "CREATE ROLE asker LOGIN IN ROLE caseview_worker")
    try:
        conninfo = stack.postgres.conninfo(stack.database.name, user="asker")
        common = ["--database", conninfo, *stack.kafka(), *stack.names(), "--schema-dir", stack.schemas.folder]
        assert "no difference" in programs.caseview("verify", *common, check=0).stdout
    finally:
        stack.postgres.query("postgres", "DROP ROLE asker")


def test_a_silent_broker_is_exit_3(stack):

    World(stack)
    stack.broker.freeze()
    try:
        out = verify(stack, "--connect-timeout-s", "1", check=3)
        assert "no broker answered" in out.stderr and len(out.stderr.strip().splitlines()) == 1
    finally:
        stack.broker.thaw()
