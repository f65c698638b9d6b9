"""The rebuild commands killed, frozen, with their sessions ended and cut off from PostgreSQL at each of their fail points: the
live view is untouched, the same command goes on or says what is the case, and the result equals the naive fold."""

import contextlib
import itertools
import signal

import pytest

from crash.points import DROP, PREPARE, START, SWITCH
from support import rebuild
from support.rebuild_faults import BACKENDS, LOCK_TIMEOUT_S, Faults, check_end, check_failed_with_one_line, has_reached
from support.waiting import stays_true, wait_for

SCHEMA_ROW = "SELECT xmin::text FROM pg_namespace WHERE nspname = 'caseview'"
FAULTS = ("kill", "freeze", "terminate", "cut")


@pytest.fixture
def faults(make_stack):
    return Faults(make_stack(partitions={"cases": 3, "agents": 2, "directory": 2}), 31)


def test_start_and_abort(faults):
    stack, gen = faults.stack, 1
    for point, fault in itertools.product(START, FAULTS):
        check_end(fault, point, *faults.hurt(fault, point, "start"))
        if point == "start.before":
            assert rebuild.start(stack)["generation"] == gen + 1
        else:
            assert f"generation {gen + 1} is waiting already" in rebuild.run(stack, "start", check=2).stderr
        gen += 1
        rebuild.run(stack, "abort")
    for point, fault in itertools.product(DROP, FAULTS):
        rebuild.start(stack)
        check_end(fault, point, *faults.hurt(fault, point, "abort"))
        if point == "drop.before":
            assert rebuild.generations(stack)[gen + 1] == "waiting"
            rebuild.run(stack, "abort")
        else:
            assert "no generation is waiting" in rebuild.run(stack, "abort", check=2).stderr
        gen += 1
        assert rebuild.generations(stack)[gen] == "dropped"
    stack.send_items(faults.items)
    stack.check()


def test_prepare(faults):
    stack = faults.stack
    rebuild.until_caught_up(stack, start_options=["--carry-over"])

    def hurt_at(*points, faults_there=FAULTS):
        for point, fault in itertools.product(points, faults_there):
            check_end(fault, point, *faults.hurt(fault, point, "prepare"))

    # Outside a transaction a thawed one goes on to the end; so that is tried last.
    hurt_at("prepare.before", "carry.written")
    hurt_at("prepare.begun", faults_there=("kill", "terminate", "cut"))
    # The second page of each run, before or after its commit: directory, cases, agents, parked.
    for point in itertools.cycle(("carry.written", "carry.page")):
        armed = faults.points((point, "kill", 2), ("prepare.carried", "kill", 1))
        rebuild.run(stack, "prepare", check=-signal.SIGKILL, environment=armed.environment)
        if has_reached(armed, "prepare.carried"):
            break
    steps = {step["step"]: step for step in rebuild.status(stack)["steps"]}
    assert len(steps) == 4 and all(step["finished"] for step in steps.values()), steps
    assert steps["carry-over cases"]["seen"] > 0 and steps["carry-over agents"]["seen"] > 0
    hurt_at(*PREPARE[2:], faults_there=("kill", "terminate", "cut"))
    hurt_at("prepare.indexed", faults_there=("freeze",))
    rebuild.run(stack, "prepare")
    assert rebuild.phase(stack) == "ready"
    stack.send_items(faults.items)
    rebuild.switch_when_level(stack, 2)
    stack.check()


def test_switch_and_drop(faults):
    stack = faults.stack
    rebuild.until_ready(stack)
    to, past = 2, 1
    for point, fault in itertools.product(SWITCH, FAULTS):
        check_end(fault, point, *faults.hurt(fault, point, "switch", to))
        assert rebuild.generations(stack)[past if point != "switch.after" else to] == "live"
        if point == "switch.after":
            # Repeated, it still makes readers plan again, which a command that was killed here has not done.
            before = stack.database.value(SCHEMA_ROW)
            assert f"generation {to} is live already" in rebuild.switch(stack, to, check=2).stderr
            assert stack.database.value(SCHEMA_ROW) != before
        else:
            rebuild.switch_when_level(stack, to)
        to, past = past, to
    if to == 2:
        rebuild.switch_when_level(stack, 2)
    for fault, point in (("kill", "drop.before"), ("cut", "drop.before"), ("cut", "drop.after")):
        check_end(fault, point, *faults.hurt(fault, point, "drop", 1))
    assert "generation 1 was dropped" in rebuild.run(stack, "drop", 1, check=2).stderr
    stack.send_items(faults.items)
    stack.check()


@pytest.mark.parametrize("point", ["prepare.render", "prepare.analyzed"])
def test_a_generation_that_is_dropped_while_it_is_prepared(faults, point):
    stack = faults.stack
    rebuild.until_caught_up(stack)
    points, program = faults.begin("wait", point, 1, ["prepare"])
    other = rebuild.run(stack, "prepare", check=2)
    assert "another `caseview rebuild prepare` is running" in other.stderr
    rebuild.run(stack, "abort")
    points.wait_released(point)
    code = program.wait(60)
    check_failed_with_one_line(code, program.log())
    assert "generation 2 was dropped meanwhile" in program.log()
    stack.check()


def test_indexes_are_created_next_to_a_batch(faults):
    """A batch locks the tables in its order, and holds them for longer than the command waits for a lock."""
    stack = faults.stack
    rebuild.until_caught_up(stack)
    log_began = stack.postgres.log.stat().st_size
    with contextlib.closing(stack.postgres.connect(stack.database.name)) as batch:
        batch.autocommit = False
        batch.cursor().execute("LOCK TABLE gen_2.case_state IN ROW EXCLUSIVE MODE")
        prepare = rebuild.begin(stack, "prepare", "prepare")
        waits = f"SELECT count(*) {BACKENDS} AND wait_event_type = 'Lock' AND query LIKE '%%CREATE INDEX%%'"
        wait_for(lambda: stack.database.value(waits) > 0, 30, "the command waits for a table")
        batch.cursor().execute("LOCK TABLE gen_2.active_case IN ROW EXCLUSIVE MODE")
        stays_true(prepare.is_running, LOCK_TIMEOUT_S + 1.5, "the command goes on")
        batch.commit()
    assert prepare.wait(60) == 0, prepare.log()
    server_log = stack.postgres.log.read_bytes()[log_began:].decode("utf-8", "replace")
    assert "canceling statement due to lock timeout" in server_log and "deadlock detected" not in server_log
