"""`caseview repair`: any damaged row agrees with the log afterwards, while workers run."""

import json
import threading

import pytest


from support import programs
from support.events import agent_event, case_event, customer, directory_event, guid, queued, ref, user


def command(stack, name, *args, **options):
    registry = ["--schema-registry", stack.registry.url] if stack.registry else []
    return programs.caseview(
        name, "--database", stack.database.conninfo, *stack.kafka(), *stack.names(), "--schema-dir",
        stack.schemas.folder, "--log-format", "text", *registry, *args, **options,
    )  # fmt: skip


def repair(stack, *args, **options):
    return command(stack, "repair", *args, **{"check": 0, **options}).stdout


def verify(stack, check=0):
    return json.loads(command(stack, "verify", "--json", check=check).stdout)


def audit(stack):
    return stack.database.query("SELECT command, topic, detail FROM ctl.audit ORDER BY id")


class World:
    """One listed case, degraded, and one agent."""

    def __init__(self, stack):
        self.organization, self.case, self.agent, self.unit, self.workspace = (guid() for _ in range(5))
        stack.start_worker()
        stack.send(
            queued(self.organization, self.case, 1, lockedBy=user(self.agent), unit=ref(self.unit), customer=customer()),
            case_event(self.organization, self.case, 3, {"CasePositionChanged": {"rank": 4.0}}),
            queued(self.organization, guid(), 1),
            agent_event(self.organization, self.agent, 1, {"AgentCurrentUnitSelected": {"unitId": self.unit}}),
            agent_event(self.organization, self.agent, 2,
                        {"AgentWorkspacesSelected": {"unitId": self.unit, "workspaceIds": [self.workspace]}}),
            directory_event(self.organization, self.unit, 1, {"UnitUpserted": {"name": "Haifa"}}),
        )  # fmt: skip
        stack.check()


CASE = "WHERE case_id = %(case)s"
CASE_DAMAGES = [
    f"UPDATE gen_1.case_state SET part = 9 {CASE}",
    f"UPDATE gen_1.case_state SET rev = 0 {CASE}",
    f"UPDATE gen_1.case_state SET flags = 0 {CASE}",
    f"UPDATE gen_1.case_state SET degraded_at = NULL {CASE}",
    f"UPDATE gen_1.case_state SET over_at = now() {CASE}",
    f"UPDATE gen_1.case_state SET state = 'x' {CASE}",
    f"UPDATE gen_1.case_state SET state = set_byte(state, 20, get_byte(state, 20) + 1) {CASE}",
    f"UPDATE gen_1.case_state SET state = (SELECT o.state FROM gen_1.case_state o WHERE o.case_id <> %(case)s) {CASE}",
    f"DELETE FROM gen_1.case_state {CASE}",
    f"UPDATE gen_1.active_case SET organization_id = gen_random_uuid() {CASE}",
    f"UPDATE gen_1.active_case SET user_id = gen_random_uuid() {CASE}",
    f"UPDATE gen_1.active_case SET unit_id = gen_random_uuid() {CASE}",
    f"UPDATE gen_1.active_case SET status_date = 'infinity' {CASE}",
    f"UPDATE gen_1.active_case SET case_timestamp = case_timestamp + interval '1 us' {CASE}",
    f"UPDATE gen_1.active_case SET degraded = false {CASE}",
    f"UPDATE gen_1.active_case SET part = 9 {CASE}",
    f"UPDATE gen_1.active_case SET customer_ref = NULL {CASE}",
    f"UPDATE gen_1.active_case SET refs = '' {CASE}",
    f"UPDATE gen_1.active_case SET body = '{{}}' {CASE}",
    f"DELETE FROM gen_1.active_case {CASE}",
]
AGENT_DAMAGES = [
    "UPDATE gen_1.agent SET rev = 0",
    "UPDATE gen_1.agent SET part = 9",
    "UPDATE gen_1.agent SET current_unit_id = NULL",
    "UPDATE gen_1.agent SET current_unit_id = gen_random_uuid()",
    "UPDATE gen_1.agent SET has_workspaces = false",
    "UPDATE gen_1.agent SET degraded = true",
    "UPDATE gen_1.agent SET degraded_at = now()",
    "UPDATE gen_1.agent SET refs = ''",
    "UPDATE gen_1.agent SET state = 'x'",
    "UPDATE gen_1.agent SET state = set_byte(state, 3, get_byte(state, 3) + 1)",
    "DELETE FROM gen_1.agent",
]


@pytest.mark.parametrize(
    "damages, kind", [(CASE_DAMAGES[:10], "case"), (CASE_DAMAGES[10:], "case"), (AGENT_DAMAGES, "user")]
)
def test_each_damage_is_repaired_while_a_worker_runs(stack, damages, kind):
    world = World(stack)
    id = world.case if kind == "case" else world.agent
    assert "nothing had to be changed" in repair(stack, f"--{kind}", id.upper())
    assert audit(stack) == []
    for damage in damages:
        stack.database.query(damage, {"case": world.case})
        assert verify(stack, check=1)["difference_count"] > 0, damage
        out = repair(stack, f"--{kind}", id)
        assert "repaired from 2 events" in out, f"{damage}: {out}"
        report = verify(stack, check=None)
        assert report["agrees"], f"{damage}: {report['differences']}"
        assert "nothing had to be changed" in repair(stack, f"--{kind}", id), damage
    rows = audit(stack)
    assert len(rows) == len(damages)
    assert rows[0][0] == "repair" and rows[0][2][kind] == id and rows[0][2]["events"] == 2
    assert rows[0][2]["fields"], rows[0]
    # The worker continues with the repaired rows.
    stack.send(
        case_event(world.organization, world.case, 2, {"CasePositionChanged": {"rank": 9.0}}),
        agent_event(world.organization, world.agent, 3, {"AgentCurrentUnitCleared": {}}),
    )
    stack.check()
    assert verify(stack)["agrees"]


def test_repaired_fields_are_reported(stack):
    world = World(stack)
    stack.database.query("UPDATE gen_1.active_case SET degraded = false WHERE case_id = %s", (world.case,))
    assert repair(stack, "--case", world.case).splitlines() == [
        f"case {world.case}: repaired from 2 events", "  active_case.degraded: was false, is true",
    ]  # fmt: skip


@pytest.mark.parametrize("later, left", [(0, 1), (1, 0)])
def test_a_round_with_later_changes_than_the_repaired_row_shows_begins_again(stack, later, left):
    """It may have passed the row before."""
    world = World(stack)
    stack.stop_worker(stack.workers[0])
    stack.database.query("""
        INSERT INTO gen_1.names_progress (agents, part, change_no, everything, stage, organization_id, id)
        SELECT false, part, no + %s, false, 2, organization_id, case_id
          FROM gen_1.active_case, ctl.dir_clock WHERE case_id = %s
            ON CONFLICT (agents, part) DO UPDATE SET change_no = excluded.change_no""", (later, world.case))  # fmt: skip
    stack.database.query("UPDATE gen_1.active_case SET degraded = false WHERE case_id = %s", (world.case,))
    assert "repaired from 2 events" in repair(stack, "--case", world.case)
    of_case = """
        SELECT count(*) FROM gen_1.names_progress
         WHERE NOT agents AND part = (SELECT part FROM gen_1.case_state WHERE case_id = %s)"""
    assert stack.database.value(of_case, (world.case,)) == left


def test_the_many_mark_of_an_agent_is_cleared(stack):
    organization, agent, unit = guid(), guid(), guid()
    stack.start_worker()

    def select(*sequences):
        stack.send(*[agent_event(organization, agent, n, {"AgentCurrentUnitSelected": {"unitId": unit}}) for n in sequences])
        stack.wait_caught_up()

    select(*range(1, 81, 2))  # 39 numbers are missing: only "many" is kept
    select(*range(2, 80, 2))
    assert stack.agents()[organization, agent][2], "the mark stays though all have come"
    assert verify(stack)["agrees"]  # it may depend on the order
    assert "repaired from 79 events" in repair(stack, "--user", agent)
    assert not stack.agents()[organization, agent][2]
    assert "nothing had to be changed" in repair(stack, "--user", agent)
    assert verify(stack)["agrees"]


def test_repairs_under_load_lose_nothing(make_stack):
    stack = make_stack(partitions={"cases": 2})
    stack.start_worker()
    organization, cases = guid(), [guid() for _ in range(4)]
    stack.send(*[queued(organization, case, 1) for case in cases])
    stack.wait_caught_up()
    stop = threading.Event()

    def produce():
        sequence = 1
        while not stop.wait(0.02):
            sequence += 1
            stack.send(*[case_event(organization, c, sequence, {"CasePositionChanged": {"rank": float(sequence)}}) for c in cases])

    thread = threading.Thread(target=produce)
    thread.start()
    try:
        for _ in range(3):
            for case in cases:
                stack.database.query("UPDATE gen_1.active_case SET body = '{}' WHERE case_id = %s", (case,))
                repair(stack, "--case", case, deadline_s=60)
    finally:
        stop.set()
        thread.join()
    stack.check()
    assert verify(stack)["agrees"]


def test_unknown_keys_and_keys_of_the_future(stack):
    world = World(stack)
    assert "no folded event" in repair(stack, "--case", guid(), check=1)
    assert "no folded event" in repair(stack, "--user", guid(), check=1)
    for worker in list(stack.workers):
        stack.stop_worker(worker)
    # A partition that is read again: the row contains events after the cursor.
    stack.database.query("UPDATE ctl.cursor SET next_offset = 0")
    assert "nothing had to be changed" in repair(stack, "--case", world.case)
    stack.database.query("UPDATE gen_1.active_case SET body = '{}'")
    assert "repaired from 2 events" in repair(stack, "--case", world.case)
    assert '"rank":4' in stack.body(world.case)


def test_without_the_start_of_the_log_the_stored_state_is_kept(make_kafka_stack):
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    world = World(stack)
    stack.broker.delete_records(stack.topics.name("case"), 0, 1)
    stack.database.query("UPDATE gen_1.active_case SET body = '{}' WHERE case_id = %s", (world.case,))
    out = repair(stack, "--case", world.case)
    assert "the start of the log is gone" in out and "repaired" in out
    assert '"unitName":"Haifa"' in stack.body(world.case) and '"rank":4' in stack.body(world.case)
    assert verify(stack)["agrees"]
    assert audit(stack)[0][2]["replaced"] is False


def test_the_error_for_a_role_without_rights_names_the_role_needed(stack):
    world = World(stack)
    stack.postgres.query("postgres", "CREATE ROLE nobody_much LOGIN")
    try:
        conninfo = stack.postgres.conninfo(stack.database.name, user="nobody_much")
        out = programs.caseview(
            "repair", "--database", conninfo, *stack.kafka(), *stack.names(), "--schema-dir", stack.schemas.folder,
            "--log-format", "text", "--case", world.case, check=2,
        )  # fmt: skip
        assert "caseview_worker" in out.stderr and len(out.stderr.strip().splitlines()) == 1
    finally:
        stack.postgres.query("postgres", "DROP ROLE nobody_much")
