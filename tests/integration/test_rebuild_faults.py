"""The rebuild commands killed, frozen and cut off from PostgreSQL at each of their fail points, and with Kafka away: the
live view is untouched, the same command goes on or says what is the case, and the result equals the naive fold."""

import contextlib
import itertools
import re
import signal

import pytest

from crash.points import DROP, PREPARE, START, SWITCH, Points, is_stopped
from support import events, programs, rebuild
from support.kafka import free_ports
from support.random_history import History
from support.waiting import stays_true, wait_for

LOCK_TIMEOUT_S = 5  # of the commands
FROZEN_S = 5  # idle_in_transaction_session_timeout of the commands
IN_TRANSACTION = {"start.before", "prepare.before", "carry.written", "switch.before", "switch.locked", "switch.renamed", "drop.before"}
BACKENDS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'caseview rebuild%%'"
IDLE_IN_TRANSACTION = f"SELECT count(*) {BACKENDS} AND state LIKE 'idle in transaction%%'"
TERMINATE = f"SELECT count(pg_terminate_backend(pid)) {BACKENDS}"
FAULTS = ("kill", "freeze", "terminate")


class Faults:
    """Commands of a stack that are hurt at a point."""

    def __init__(self, stack, seed):
        self.stack, self.numbers = stack, itertools.count(1)
        self.items = iter(History(seed, organizations=2, cases=80).items)
        stack.start_worker()
        stack.send_items(itertools.islice(self.items, 300))
        stack.send_raw("case", [(b"not a guid", b"not an event", ())])
        stack.check()

    def points(self, *armed):
        return Points(self.stack.folder / f"points-{self.stack.number}-{next(self.numbers)}", list(armed))

    def hurt(self, fault, point, *words, nth=1):
        """Exit code and log of a command that is hurt at the point; the live view is the same before and after."""
        before = self.live_view()
        code, log = getattr(self, fault)(point, nth, *words)
        self.check_untouched(before)
        return code, log

    def live_view(self):
        return self.stack.active_cases(), self.stack.agents(), self.stack.applications()

    def check_untouched(self, before):
        assert before[0] and before[1] and before[2]
        wait_for(lambda: self.live_view() == before, 10, "the live view is as before")

    def kill(self, point, nth, *words):
        points = self.points((point, "kill", nth))
        done = rebuild.run(self.stack, *words, check=-signal.SIGKILL, environment=points.environment)
        return done.returncode, done.stderr

    def begin(self, action, point, nth, words):
        points = self.points((point, action, nth))
        name = f"rebuild-{self.stack.number}-{next(self.numbers)}"
        program = rebuild.begin(self.stack, name, *words, environment=points.environment)
        points.wait_reached(program, point)
        return points, program

    def freeze(self, point, nth, *words):
        """Frozen within a transaction it loses its session, and the locks that live workers may wait for."""
        _, program = self.begin("stop", point, nth, words)
        wait_for(lambda: is_stopped(program.process.pid), 5, "the command is frozen")
        self.check_live_workers()
        wait_for(lambda: self.stack.database.value(IDLE_IN_TRANSACTION) == 0, FROZEN_S + 3, "its transaction is ended")
        program.thaw()
        return program.wait(60), program.log()

    def check_live_workers(self):
        """They go on within the time after which the server ends a frozen session."""
        organization, case = events.guid(), events.guid()
        self.stack.send(events.queued(organization, case))
        live = self.stack.database.value("SELECT gen FROM ctl.generation WHERE state = 'live'")
        folded = f"SELECT count(*) FROM gen_{live}.active_case WHERE case_id = %s"
        wait_for(lambda: self.stack.database.value(folded, (case,)) == 1, FROZEN_S + 5, "a live worker goes on")
        self.stack.send(events.case_event(organization, case, 2, {"CaseClosed": {}}))
        wait_for(lambda: self.stack.database.value(folded, (case,)) == 0, FROZEN_S + 5, "a live worker goes on")

    def terminate(self, point, nth, *words):
        points, program = self.begin("wait", point, nth, words)
        assert self.stack.database.value(TERMINATE) > 0
        wait_for(lambda: self.stack.database.value(f"SELECT count(*) {BACKENDS}") == 0, 10, "its backends are gone")
        points.wait_released(point)
        return program.wait(60), program.log()


def check_failed_with_one_line(code, log):
    assert code in (2, 3), log
    assert len(re.findall(r" error .*: rebuild \w+: ", log)) == 1, log
    assert not re.search(r" warn ", log), log


def check_end(fault, point, code, log):
    """Killed; or it could not go on within its transaction; or nothing was left that could fail."""
    if fault == "kill":
        return
    if point in IN_TRANSACTION:
        check_failed_with_one_line(code, log)
        assert code == 3, log
    elif fault == "freeze" or point.endswith(".after"):
        assert code == 0, log
    else:
        check_failed_with_one_line(code, log)


def has_reached(points, name):
    return any(name in file.read_text() for file in points.folder.glob("*.reached"))


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
    rebuild.start(stack, "--carry-over")
    rebuild.fill(stack)
    rebuild.wait_phase(stack, "caught-up")

    def hurt_at(*points, faults_there=FAULTS):
        for point, fault in itertools.product(points, faults_there):
            check_end(fault, point, *faults.hurt(fault, point, "prepare"))

    # Outside a transaction a thawed one goes on to the end; so that is tried last.
    hurt_at("prepare.before", "carry.written")
    hurt_at("prepare.begun", faults_there=("kill", "terminate"))
    # The second page of each run, before or after its commit: directory, cases, agents, parked.
    for point in itertools.cycle(("carry.written", "carry.page")):
        armed = faults.points((point, "kill", 2), ("prepare.carried", "kill", 1))
        rebuild.run(stack, "prepare", check=-signal.SIGKILL, environment=armed.environment)
        if has_reached(armed, "prepare.carried"):
            break
    steps = {step["step"]: step for step in rebuild.status(stack)["steps"]}
    assert len(steps) == 4 and all(step["finished"] for step in steps.values()), steps
    assert steps["carry-over cases"]["seen"] > 0 and steps["carry-over agents"]["seen"] > 0
    hurt_at(*PREPARE[2:], faults_there=("kill", "terminate"))
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
            assert f"generation {to} is live already" in rebuild.switch(stack, to, check=2).stderr
        else:
            rebuild.switch_when_level(stack, to)
        to, past = past, to
    if to == 2:
        rebuild.switch_when_level(stack, 2)
    faults.hurt("kill", "drop.before", "drop", 1)
    faults.hurt("kill", "drop.after", "drop", 1)
    assert "generation 1 was dropped" in rebuild.run(stack, "drop", 1, check=2).stderr
    stack.send_items(faults.items)
    stack.check()


def test_a_generation_that_is_dropped_while_it_is_prepared(faults):
    stack = faults.stack
    rebuild.start(stack)
    rebuild.fill(stack)
    rebuild.wait_phase(stack, "caught-up")
    points, program = faults.begin("wait", "prepare.render", 1, ["prepare"])
    other = rebuild.run(stack, "prepare", check=2)
    assert "another `caseview rebuild prepare` is running" in other.stderr
    rebuild.run(stack, "abort")
    points.wait_released("prepare.render")
    code = program.wait(60)
    check_failed_with_one_line(code, program.log())
    assert "generation 2 was dropped meanwhile" in program.log()
    stack.check()


def test_indexes_are_created_next_to_a_batch(faults):
    """A batch locks the tables in its order, and holds them for longer than the command waits for a lock."""
    stack = faults.stack
    rebuild.start(stack)
    rebuild.fill(stack)
    rebuild.wait_phase(stack, "caught-up")
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


def test_kafka_away(make_stack):
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    rebuild.start(stack)
    (port,) = free_ports(1)
    bootstrap, stack.broker.bootstrap = stack.broker.bootstrap, f"127.0.0.1:{port}"
    try:
        running = [rebuild.begin(stack, f"away-{word}", word) for word in ("start", "status", "prepare")]
    finally:
        stack.broker.bootstrap = bootstrap
    for program in running:
        assert program.wait(30) == 3, program.log()
        lines = program.log().splitlines()
        assert len(lines) == 1 and "kafka" in lines[0], program.log()
    assert rebuild.generations(stack) == {1: "live", 2: "waiting"}
    rebuild.run(stack, "abort")
