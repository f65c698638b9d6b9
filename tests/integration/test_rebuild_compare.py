"""`caseview rebuild compare`: every difference between two generations is reported, and lag alone is none."""

import json
import threading

import pytest

from support import programs, rebuild
from support.events import agent_event, case_event, customer, directory_event, guid, queued, ref, unit_event, user
from support.random_history import SEEDS, History
from support.waiting import wait_for

CURSORS = """
SELECT topic, part, next_offset, dir_no >= (SELECT no FROM ctl.dir_clock WHERE gen = %s)
FROM ctl.cursor WHERE gen = %s"""


def compare(stack, *args, conninfo=None, **options):
    return programs.caseview(
        "rebuild", "compare", *args, "--database", conninfo or stack.database.conninfo, *stack.names(), "--log-format", "text",
        **{"deadline_s": 90, **options},
    )  # fmt: skip


class Report:
    """What `rebuild compare --json` printed."""

    def __init__(self, stack, *args, check=None, **options):
        done = compare(stack, "--json", *args, check=check, **options)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert lines, done.stderr
        assert [set(line) for line in lines if "summary" in line] == [{"summary"}]
        self.exit_code = done.returncode
        self.summary = lines[-1]["summary"]
        self.rows = [line for line in lines if "view" in line]
        self.users = [(line["organization"], line["user"]) for line in lines if "user" in line]
        counted = sum(v[kind] for v in self.summary["views"].values() for kind in KINDS)
        assert counted == self.summary["differences"]
        assert self.exit_code == (1 if counted else 0) and self.summary["equal"] == (counted == 0)

    def counts(self, view):
        return {k: n for k, n in self.summary["views"][view].items() if n}


KINDS = "only-live", "only-other", "different", "undecided"


def wait_read(stack, gen, deadline_s=60):
    """Until the generation has read the whole log, and its rows show the whole directory."""
    ends = {where: end for where, (_, end) in stack.broker.ends(stack.topics).items()}

    def is_read():
        rows = {(t, p): (offset, named) for t, p, offset, named in stack.database.query(CURSORS, (gen, gen))}
        return all(
            where in rows and rows[where][0] >= end and (rows[where][1] or where[0] == stack.topics.directory)
            for where, end in ends.items()
        )

    wait_for(is_read, deadline_s, f"generation {gen} is read", poll_s=0.1)


class World:
    """Two organizations with cases and agents, an application and a parked record, in two generations."""

    def __init__(self, stack):
        self.stack = stack
        self.organization, self.other = guid(), guid()
        self.case, self.second, self.foreign, self.waiting = (guid() for _ in range(4))
        self.agent, self.colleague, self.stranger, self.unit, self.workspace, self.application = (guid() for _ in range(6))
        stack.start_worker()
        stack.send(
            queued(self.organization, self.case, 1, lockedBy=user(self.agent, "John"), unit=ref(self.unit),
                   customer=customer(), rank=2.5),
            case_event(self.organization, self.case, 2, {"CasePositionChanged": {"rank": 4.0}}),
            queued(self.organization, self.second, 1, lockedBy=user(self.colleague, "Ann"), unit=ref(self.unit)),
            queued(self.organization, self.waiting, 1, status="Waiting", lockedBy=None),
            queued(self.other, self.foreign, 1, lockedBy=user(self.stranger, "Eve")),
            agent_event(self.organization, self.agent, 1, {"AgentCurrentUnitSelected": {"unitId": self.unit}}),
            agent_event(self.organization, self.agent, 2,
                        {"AgentWorkspacesSelected": {"unitId": self.unit, "workspaceIds": [self.workspace]}}),
            unit_event(self.organization, self.unit, 3, "Haifa"),
            directory_event(self.organization, self.application, 1, {"ApplicationUpserted": {
                "clientId": "client", "name": "App", "roles": ["Agent Impersonator"], "enabled": True}}),
        )  # fmt: skip
        ((self.parked_partition, self.parked_offset),) = stack.send_raw(
            "case", [(self.waiting.encode(), b"nonsense", ())]
        )
        stack.wait_caught_up()
        rebuild.until_ready(stack)
        wait_read(stack, 2)
        wait_read(stack, 1)

    def stop_workers(self):
        for worker in list(self.stack.workers):
            self.stack.stop_worker(worker)

    @property
    def parked_key(self):
        return f"{self.stack.topics.case}/{self.parked_partition}/{self.parked_offset}"


def test_a_rebuilt_generation_is_equal(stack):
    World(stack)
    report = Report(stack)
    assert report.summary == {
        "live": 1, "other": 2, "equal": True, "differences": 0, "users": 0, "carry_over": [],
        "views": {view: {"live": n, "other": n, **dict.fromkeys(KINDS, 0)}
                  for view, n in (("active_case", 3), ("agent", 1), ("application", 1), ("parked", 1))},
    }  # fmt: skip
    assert report.rows == report.users == []
    stack.database.query("INSERT INTO ctl.rebuild_step (gen, step, seen, changed) VALUES (2, 'carry-over cases', 9, 4),"
                         " (2, 'a later step', 1, 1)")  # fmt: skip
    assert Report(stack).summary["carry_over"] == [{"step": "carry-over cases", "seen": 9, "changed": 4}]
    text = compare(stack, check=0).stdout
    assert "\ncarry-over cases: 9 rows read, 4 written\n" in text
    assert "generation 2 compared with generation 1 (live)" in text and "no difference" in text
    assert "active_case           3          3          0          0          0          0\n" in text


# SQL, then what is found: view, key of World, kind, columns, a part of the reason, users of World.
DAMAGES = [
    ("DELETE FROM gen_2.active_case WHERE case_id = '{case}'",
     "active_case", "case", "only-live", [], "unknown: caseview explain --case {case}", ["agent"]),
    ("DELETE FROM gen_1.active_case WHERE case_id = '{case}'",
     "active_case", "case", "only-other", [], "unknown: caseview explain --case {case}", ["agent"]),
    ("DELETE FROM gen_2.active_case WHERE case_id = '{case}'; DELETE FROM gen_2.case_state WHERE case_id = '{case}'",
     "active_case", "case", "only-live", [], "unknown: caseview explain --case {case}", ["agent"]),
    ("UPDATE gen_2.active_case SET body = replace(body, 'Haifa', 'Akko') WHERE case_id = '{case}'",
     "active_case", "case", "different", ["body"], "names differ: unitName", ["agent"]),
    ("UPDATE gen_2.active_case SET body = replace(replace(body, 'Haifa', 'Akko'), 'WalkIn', 'Online') WHERE case_id = '{case}'",
     "active_case", "case", "different", ["body"], "body differs in unitName, entryMode; unknown", ["agent"]),
    ("UPDATE gen_2.active_case SET body = 'x' WHERE case_id = '{case}'",
     "active_case", "case", "different", ["body"], "unknown: caseview explain --case {case}", ["agent"]),
    ("UPDATE gen_1.active_case SET user_id = '{colleague}' WHERE case_id = '{case}'",
     "active_case", "case", "different", ["user_id"], "unknown", ["agent", "colleague"]),
    ("UPDATE gen_2.active_case SET unit_id = gen_random_uuid() WHERE case_id = '{case}'",
     "active_case", "case", "different", ["unit_id"], "unknown", ["agent"]),
    ("UPDATE gen_2.active_case SET status_date = status_date + interval '1 us' WHERE case_id = '{case}'",
     "active_case", "case", "different", ["status_date"], "unknown", ["agent"]),
    ("UPDATE gen_2.active_case SET case_timestamp = 'infinity' WHERE case_id = '{case}'",
     "active_case", "case", "different", ["case_timestamp"], "unknown", ["agent"]),
    ("UPDATE gen_2.active_case SET degraded = NOT degraded WHERE case_id = '{case}'",
     "active_case", "case", "different", ["degraded"], "unknown", []),
    ("UPDATE gen_2.active_case SET degraded = true WHERE case_id = '{case}';"
     " UPDATE gen_2.case_state SET flags = flags | 2 WHERE case_id = '{case}'",
     "active_case", "case", "different", ["degraded"], "degraded in generation 2: an event is missing there", []),
    ("DELETE FROM gen_2.active_case WHERE case_id = '{case}'; UPDATE gen_2.case_state SET flags = 4 WHERE case_id = '{case}'",
     "active_case", "case", "only-live", [], "incomplete in generation 2: the snapshot is missing there", ["agent"]),
    ("DELETE FROM gen_1.active_case WHERE case_id = '{case}'; UPDATE gen_1.case_state SET flags = 8 WHERE case_id = '{case}'",
     "active_case", "case", "only-other", [], "over in generation 1", ["agent"]),
    ("DELETE FROM gen_2.active_case WHERE case_id = '{case}'; DELETE FROM gen_2.case_state WHERE case_id = '{case}';"
     " UPDATE ctl.rebuild_partition SET log_start = 7 WHERE topic = '{case_topic}'",
     "active_case", "case", "only-live", [],
     "before the start of the log: generation 2 was made without carry-over from offset 7 of the partition on", ["agent"]),
    ("DELETE FROM gen_2.agent", "agent", "agent", "only-live", [],
     "unknown: caseview explain --user {agent} --organization {organization}", ["agent"]),
    ("DELETE FROM gen_1.agent", "agent", "agent", "only-other", [], "unknown", ["agent"]),
    ("UPDATE gen_2.agent SET current_unit_id = NULL", "agent", "agent", "different", ["current_unit_id"], "unknown", ["agent"]),
    ("UPDATE gen_2.agent SET has_workspaces = false", "agent", "agent", "different", ["has_workspaces"], "unknown", ["agent"]),
    ("UPDATE gen_2.agent SET degraded = true", "agent", "agent", "different", ["degraded"], "degraded in generation 2", []),
    ("DELETE FROM gen_2.directory WHERE kind = 9", "application", "application", "only-live", [], "unknown", []),
    ("UPDATE gen_1.directory SET status = 2 WHERE kind = 9", "application", "application", "only-other", [], "unknown", []),
    ("UPDATE gen_2.directory SET organization_id = gen_random_uuid() WHERE kind = 9",
     "application", "application", "different", ["organization_id"], "unknown", []),
    ("UPDATE gen_2.directory SET detail = 'x', roles = '{{}}' WHERE kind = 9",
     "application", "application", "different", ["client_id", "roles"], "unknown", []),
    ("UPDATE gen_2.directory SET enabled = false WHERE kind = 9",
     "application", "application", "different", ["enabled"], "unknown", []),
    ("DELETE FROM gen_2.parked", "parked", "parked_key", "only-live", [], "unknown", []),
    ("WITH gone AS (DELETE FROM gen_2.parked RETURNING *) INSERT INTO ctl.skipped SELECT 2, gone.*, now(), 'x' FROM gone",
     "parked", "parked_key", "only-live", [], "skipped in generation 2", []),
    ("DELETE FROM gen_2.parked; UPDATE ctl.rebuild_partition SET log_start = 1000 WHERE topic = '{case_topic}'",
     "parked", "parked_key", "only-live", [], "before the start of the log", []),
    ("UPDATE gen_1.parked SET reason = 'bad-guid'", "parked", "parked_key", "different", ["reason"], "unknown", []),
    ("INSERT INTO gen_2.parked SELECT organization_id, topic, part, \"offset\" + 1, upper('{case}')::bytea, value, headers,"
     " record_timestamp, reason, text, now() FROM gen_2.parked; DELETE FROM gen_2.parked WHERE key = '{waiting}';"
     " INSERT INTO gen_2.parked SELECT * FROM gen_1.parked; DELETE FROM gen_2.active_case WHERE case_id = '{case}'",
     "active_case", "case", "only-live", [], "parked in generation 2: {case_topic}/{parked_partition} offset ", ["agent"]),
]  # fmt: skip
TABLES = [f"gen_{gen}.{table}" for gen in (1, 2) for table in ("case_state", "active_case", "agent", "directory", "parked")]
TABLES += ["ctl.skipped", "ctl.rebuild_partition"]


def test_each_difference_is_found_with_its_reason_and_its_users(stack):
    world = World(stack)
    world.stop_workers()
    query = stack.database.query
    for table in TABLES:
        query(f"CREATE TABLE public.{table.replace('.', '_')} AS SELECT * FROM {table}")
    values = {**vars(world), "case_topic": stack.topics.case}
    for damage, view, key, kind, columns, reason, users in DAMAGES:
        query(damage.format(**values))
        report = Report(stack, check=1)
        (row,) = [r for r in report.rows if r["view"] == view]
        assert (row["key"], row["kind"], row["columns"]) == (getattr(world, key), kind, columns), damage
        if view != "application":
            assert row["organization"] == (None if view == "parked" else world.organization)
        assert reason.format(**values) in row["reason"], f"{damage}: {row['reason']}"
        assert report.users == sorted((world.organization, getattr(world, name)) for name in users), damage
        assert report.summary["users"] == len(users) and report.counts(view)[kind] == 1, damage
        text = compare(stack, check=1).stdout
        assert f"{view} {getattr(world, key)} of organization " in text and f": {kind}" in text and row["reason"] in text
        assert all(f"user {getattr(world, name)} of organization" in text for name in users)
        for table in TABLES:
            query(f"TRUNCATE {table}")
            query(f"INSERT INTO {table} SELECT * FROM public.{table.replace('.', '_')}")
    assert Report(stack, check=0).rows == []


def test_limit_bounds_what_is_printed_and_organization_what_is_compared(stack):
    world = World(stack)
    world.stop_workers()
    stack.database.query("DELETE FROM gen_2.active_case")
    whole, short = Report(stack), Report(stack, "--limit", 1)
    assert len(whole.rows) == len(whole.users) == 3 and len(short.rows) == len(short.users) == 1
    assert short.rows == whole.rows[:1] and short.users == whole.users[:1] and short.summary == whole.summary
    assert whole.counts("active_case") == {"live": 3, "only-live": 3} and whole.summary["users"] == 3
    text = compare(stack, "--limit", 1, check=1).stdout
    assert text.count("only-live:") == 1 and text.count("user ") == 1 and text.count("… and 2 more (--limit)") == 2
    part = Report(stack, "--organization", world.other.upper())
    assert [(r["organization"], r["key"]) for r in part.rows] == [(world.other, world.foreign)]
    assert part.users == [(world.other, world.stranger)] and part.counts("active_case") == {"live": 1, "only-live": 1}
    assert part.counts("agent") == part.counts("application") == part.counts("parked") == {}
    part = Report(stack, "--organization", world.organization)
    assert part.counts("active_case") == {"live": 2, "only-live": 2} and part.counts("agent") == {"live": 1, "other": 1}
    assert part.counts("application") == {"live": 1, "other": 1}
    assert Report(stack, "--organization", guid()).summary["equal"]


def test_many_pages_of_both_generations(make_stack):
    """The prepared statement of a page reads the other generation after each change of the search path."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    rebuild.until_ready(stack)
    wait_read(stack, 1)
    wait_read(stack, 2)
    for gen in (1, 2):
        stack.database.query(
            f"INSERT INTO gen_{gen}.active_case SELECT md5(mod(i, 3)::text)::uuid, md5(i::text)::uuid, md5('u')::uuid,"
            " md5('v')::uuid, '2026-01-01', '2026-01-01', false, 0, NULL, '', 'body' FROM generate_series(1, 40000) AS i"
        )
    report = Report(stack)
    assert report.summary["equal"] and report.counts("active_case") == {"live": 40000, "other": 40000}
    expected = {}
    for kind, start_of_id, damage in (
        ("only-other", "07", "DELETE FROM gen_1.active_case"),
        ("only-live", "9", "DELETE FROM gen_2.active_case"),
        ("different", "ff", "UPDATE gen_2.active_case SET body = 'other'"),
    ):
        stack.database.query(f"{damage} WHERE starts_with(case_id::text, '{start_of_id}')")
        expected[kind] = stack.database.value(
            "SELECT count(*) FROM generate_series(1, 40000) AS i WHERE starts_with(md5(i::text), %s)", (start_of_id,)
        )
    report = Report(stack, "--limit", 1000000)
    counts = report.counts("active_case")
    assert {kind: counts[kind] for kind in expected} == expected and "undecided" not in counts
    assert len(report.rows) == sum(expected.values()) and report.summary["users"] == 3
    keys = [(r["organization"], r["key"]) for r in report.rows]
    assert keys == sorted(keys) and len(set(keys)) == len(keys)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_differs_under_load(make_stack, seed):
    """Generations that are ahead of each other all the time are equal."""
    stack = make_stack(partitions={"cases": 4, "agents": 2, "directory": 2})
    stack.start_worker()
    items = History(seed, organizations=2, cases=300, versions=20).items
    tenth = len(items) // 10
    stack.send_items(items[:tenth])
    rebuild.until_ready(stack)
    sent = threading.Event()

    def send():
        try:
            for at in range(tenth, len(items), 20):
                stack.send_items(items[at : at + 20])
        finally:
            sent.set()

    thread = threading.Thread(target=send)
    thread.start()
    rounds = 0
    while not sent.is_set() or rounds == 0:
        report = Report(stack)
        assert report.summary["equal"], report.rows[:5]
        rounds += 1
    thread.join()
    wait_read(stack, 1)
    wait_read(stack, 2)
    report = Report(stack)
    assert report.summary["equal"], report.rows[:5]
    assert report.summary["views"]["active_case"]["live"] > 20 and report.summary["views"]["agent"]["live"] > 4
    stack.check()


def pause(stack, *where):
    for role, partition in where:
        programs.caseview(
            "pause", "--database", stack.database.conninfo, "--generation", 2, "--topic", stack.topics.name(role),
            "--partition", partition, check=0,
        )  # fmt: skip


def wait_body(stack, gen, case, text):
    statement = f"SELECT count(*) FROM gen_{gen}.active_case WHERE case_id = %s AND body LIKE %s"
    wait_for(lambda: stack.database.value(statement, (case, f"%{text}%")), 30, f"{case} shows {text}")


def test_rows_of_a_partition_that_lags_are_undecided_and_the_others_decided(make_stack):
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    world = World(stack)
    fresh = guid()
    stack.send(queued(world.organization, fresh, 1, lockedBy=user(world.agent), unit=ref(world.unit)), partition=1)
    wait_body(stack, 2, fresh, "caseId")
    pause(stack, ("case", 0), ("directory", 0))
    late = guid()
    stack.send(queued(world.organization, late, 1, lockedBy=user(world.colleague)), partition=0)
    stack.send(unit_event(world.organization, world.unit, 4, "Akko"))
    wait_body(stack, 1, late, "caseId")
    wait_body(stack, 1, fresh, "Akko")
    stack.database.query("DELETE FROM gen_2.agent")
    report = Report(stack)
    rows = {row["key"]: row for row in report.rows}
    at = dict(stack.database.query("SELECT gen, next_offset FROM ctl.cursor WHERE topic = %s AND part = 0", (stack.topics.case,)))
    assert (rows[late]["kind"], rows[late]["columns"]) == ("undecided", [])
    lag = f"generation 2 lags: {stack.topics.case}/0 is at {at[2]} of {at[1]}, paused or halted"
    assert rows[late]["reason"] == lag and at[1] > at[2]
    assert (rows[fresh]["kind"], rows[fresh]["columns"]) == ("undecided", ["body"])
    assert rows[fresh]["reason"] == f"generation 2 lags: {stack.topics.directory}/0 is at 2 of 3, paused or halted"
    # Gates depend on the directory, too.
    assert rows[world.agent]["kind"] == "undecided"
    assert {(world.organization, u) for u in (world.agent, world.colleague)} <= set(report.users)


def test_a_difference_that_goes_while_it_is_read_again_is_none(make_stack):
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    world = World(stack)
    pause(stack, ("case", 0))
    late = guid()
    stack.send(queued(world.organization, late, 1, lockedBy=user(world.colleague)), partition=0)
    wait_body(stack, 1, late, "caseId")
    argv = [programs.binary("caseview"), "rebuild", "compare", "--database", stack.database.conninfo, *stack.names(),
            "--log-format", "text"]  # fmt: skip
    running = programs.Program("compare", argv, stack.folder)
    running.wait_log("1 rows differ and are read again")
    programs.caseview("resume", "--database", stack.database.conninfo, "--generation", 2, check=0)
    assert running.wait() == 0
    assert "no difference" in running.log()


def test_the_role_of_workers_suffices(stack):
    world = World(stack)
    world.stop_workers()
    stack.database.query("DELETE FROM gen_2.agent")
    login = f"c_{guid().replace('-', '')[:12]}"
    stack.database.query(f"CREATE ROLE {login} LOGIN IN ROLE caseview_worker")
    try:
        report = Report(stack, conninfo=stack.postgres.conninfo(stack.database.name, login))
        assert [row["key"] for row in report.rows] == [world.agent]
    finally:
        stack.database.query(f"DROP ROLE {login}")


def test_what_is_refused(stack):
    def refused(*args, code=2, **options):
        done = compare(stack, *args, check=code, **options)
        assert done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    assert "no generation is waiting" in refused()
    rebuild.start(stack)
    assert "generation 2 is not prepared: caseview rebuild prepare" in refused()
    stack.database.query("UPDATE ctl.generation SET deferred = false, prepared_at = now() WHERE gen = 2")
    assert f"no worker of generation 1 has read topic {stack.topics.case}: check --case-topic" in refused()
    assert "generation 1 is the live one" in refused("--generation", 1)
    assert "generation 7 does not exist" in refused("--generation", 7)
    assert "is not a GUID" in refused("--organization", "x")
    assert "rebuild compare" in refused(code=3, conninfo="host=127.0.0.1 port=1 dbname=x connect_timeout=2")
