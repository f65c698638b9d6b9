"""The faults, each at a named step of a worker or at a random moment; after each one the workers must recover."""

import contextlib
import dataclasses
import os
import subprocess
import tempfile
import threading
import time
import typing

import psycopg2
from support import events, programs, rebuild
from support.postgres import Postgres
from support.random_history import History
from support.waiting import wait_for

from .points import BATCH, HALT, OWNERSHIP, REBUILD, Points, is_stopped
from .wire import Wire


BLOCKED_MAX_S = 2.0  # by a frozen owner, of one claim


@dataclasses.dataclass(frozen=True)
class Fault:
    run: typing.Callable
    steps: tuple  # at which it can happen, besides "random"
    broker: str = "one"  # or "three": the fault is in a broker
    text: str = ""


# --- the worker itself


def both(run, action, *chosen, **options):
    """Starts the victim, armed, and another worker; for the step "revoke" the other one starts later."""
    run.start_victim(run.armed(action), *chosen, **options)
    if run.step == "revoke":  # the group may revoke and assign again before there is another worker
        run.wait_reached_or_ready()
    else:
        run.start_other()
    run.load.start()


def kill(run):
    if run.step in HALT:
        return recreated(run)
    both(run, "kill")
    run.wait_moment()
    run.fault_begins()
    if run.step != "random":
        run.victim.process.wait(20)
    run.lose(run.victim)
    if run.rng.random() < 0.5:
        run.start()
    run.wait_recovered()


def wait_freezable(run):
    """Waits for the moment at which the victim is frozen. At a step it has been assigned partitions, and stops itself. A random
    moment begins when both workers own partitions: if the victim owns none, the other has nothing to claim from it."""
    if run.step == "random":
        wait_for(lambda: owns(run, run.victim) and owns(run, run.other), 40, "both workers own partitions")
    run.wait_moment()


def owns(run, worker):
    worker.check_running()
    return any(owner and owner.endswith(f":{worker.process.pid}") for owner in run.owners())


def freeze(run):
    """SIGSTOP, now."""
    if run.step == "random":
        run.victim.freeze()
    run.victim.frozen = True
    wait_for(lambda: is_stopped(run.victim.process.pid), 5, "the victim is stopped", poll_s=0.002)


def thawed_late(run):
    """Thawed after the other has claimed everything: the victim must not write a row, and must not have delayed the claims."""
    run.other_points = Points(run.folder / "points-other", [("claim.before", "note", 0), ("claim.committed", "note", 0)])
    both(run, "stop")
    wait_freezable(run)
    run.fault_begins()
    freeze(run)
    at_us, mine = time.monotonic_ns() // 1000, f":{run.other.process.pid}"

    def taken():
        return len(run.watch.cursors) == 8 and all(o and o.endswith(mine) for o in run.owners())

    wait_for(taken, 40, "the other claims all partitions")
    run.wait_recovered()
    blocked_us = longest_claim(run.other_points.reached(run.other.process.pid), at_us)
    run.result.update(blocked_s=round(blocked_us / 1e6, 3), order="thawed after the claim")
    run.victim.thaw()
    assert blocked_us < BLOCKED_MAX_S * 1e6, f"the next owner was blocked for {blocked_us / 1e6:.2f} s by one claim"


def longest_claim(hits, after_us):
    """The longest time from the first attempt at a claim to its success, of the claims that ended after that moment."""
    longest, since = 0, None
    for name, _, at_us in hits:
        if name == "claim.before":
            since = at_us if since is None else since
        elif name == "claim.committed" and since is not None:
            longest = max(longest, at_us - since) if at_us > after_us else longest
            since = None
    return longest


def thawed_early(run):
    """The victim wakes up when the group has assigned its partitions to the other, which is about to claim them. The victim
    may still write until the claim; the next owner begins after what it wrote."""
    points = run.other_points = Points(run.folder / "points-other", [("claim.before", "wait", 0)])
    door = Door(points)
    run.cleanup.append(door.close)
    both(run, "stop")
    wait_freezable(run)
    run.fault_begins()
    freeze(run)
    # Claims that the other makes because it has just joined do not count. The session of the frozen one lasts longer than
    # this, nearly as long as its time-out.
    run.load.over.wait(0.9)
    door.is_open.clear()
    before = len(points.reached(run.other.process.pid))
    wait_for(lambda: len(points.reached(run.other.process.pid)) > before, 20, "the other is about to claim", poll_s=0.002)
    run.result["order"] = "thawed before the claim"
    run.victim.thaw()
    wait_for(lambda: not is_stopped(run.victim.process.pid), 5, "the victim runs", poll_s=0.002)
    run.load.over.wait(run.rng.uniform(0, 0.1))
    door.is_open.set()
    run.wait_recovered()


class Door(threading.Thread):
    """Releases each process that waits before a claim, while the door is open."""

    def __init__(self, points):
        super().__init__(daemon=True)
        self.points, self.is_open, self.ended = points, threading.Event(), threading.Event()
        self.is_open.set()
        self.start()

    def run(self):
        while not self.ended.wait(0.003):
            if self.is_open.is_set():
                self.points.release("claim.before")

    def close(self):
        self.ended.set()
        self.join(5)


# --- the database


END_CONNECTIONS = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name LIKE 'caseview worker%%'"""


def end_connections(run):
    """As an administrator does it."""
    return run.stack.database.value(END_CONNECTIONS)


def at_step(run, hurt, *chosen, **options):
    """The victim waits at the step while the fault happens, and is released afterwards."""
    both(run, "wait", *chosen, **options)
    run.wait_moment()
    run.fault_begins()
    heal = hurt()
    if run.step != "random":
        run.points.wait_released(run.step)
    if heal:
        heal()
    run.wait_recovered()


def connections_ended(run):
    at_step(run, lambda: end_connections(run) and None)


def database_cut(run):
    """First the server's answers are lost, then the connection: a COMMIT may have succeeded although its answer was lost."""
    wire = Wire([run.postgres.port])
    run.cleanup.append(wire.close)
    address = f"host=127.0.0.1 port={wire.ports[run.postgres.port]} user=postgres dbname={run.stack.database.name}"

    def hurt():
        wire.cut(run.rng.uniform(0, 0.1))
        return lambda: (run.load.over.wait(run.rng.uniform(0, 0.5)), wire.heal())

    at_step(run, hurt, "--database", address)


def database_killed(run):
    """kill -9 of every process, with commits that were never written to disk."""

    def hurt():
        run.watch.may_lose = True
        run.postgres.kill()
        return run.postgres.start

    at_step(run, hurt)


def disk_full(run):
    """The database is on a small disk, which another file fills."""
    both(run, "note")
    run.wait_moment()
    run.fault_begins()
    run.watch.may_lose = True
    ballast = run.postgres.folder.parent / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        for size in (1 << 16, 512):
            with contextlib.suppress(OSError):
                while file.write(bytes(size)):
                    pass
    assert os.statvfs(run.postgres.folder).f_bavail == 0, "the disk must be full"
    full = lambda: "No space left on device" in run.postgres.log.read_text(errors="replace")  # noqa: E731
    wait_for(lambda: full() or run.load.sent >= len(run.load.items) * 2 // 3, 30, "the database notices")
    run.load.over.set()

    def used_up():  # the load may have fitted into preallocated files
        with contextlib.suppress(psycopg2.Error):
            run.stack.database.query("SELECT pg_logical_emit_message(false, 'ballast', repeat('x', 1000000))")
        return full()

    wait_for(used_up, 30, "the database notices")
    os.unlink(ballast)

    def is_back():
        if run.postgres.process.poll() is not None:  # its recovery failed, too
            run.postgres.process = None
            run.postgres.start()
        with contextlib.suppress(psycopg2.Error):
            return run.stack.database.query("SELECT 1")

    wait_for(is_back, 30, "the database is back")
    run.wait_recovered()


# --- Kafka


def brokers_cut(run):
    """Cuts the victim off from all brokers, for longer than its session or less."""
    wire = Wire(run.lane.broker.ports, rewrite=True)
    run.cleanup.append(wire.close)
    bootstrap = ",".join(f"127.0.0.1:{port}" for port in wire.ports.values())

    def hurt():
        wire.cut(run.rng.uniform(0, 0.3))
        run.load.over.wait(run.rng.uniform(0, 3))
        wire.heal()

    at_step(run, hurt, properties={"bootstrap.servers": bootstrap})


def broker_goes(run, how, back):
    both(run, "note")
    run.wait_moment()
    number = run.rng.randint(1, 3)
    run.fault_begins()
    getattr(run.lane.broker, how)(number)
    try:
        run.wait_recovered(60)
    finally:
        getattr(run.lane.broker, back)(number)
        run.lane.broker.wait_whole()


def broker_killed(run):
    broker_goes(run, "kill_broker", "start_broker")


def broker_frozen(run):
    broker_goes(run, "freeze_broker", "thaw_broker")


def topics_grow(run):
    both(run, "note")
    run.wait_moment()
    run.fault_begins()
    for role, more in (("case", run.rng.randint(1, 2)), ("agent", 1)):
        run.stack.grow(**{role: run.stack.topics.partitions[role] + more})
    run.wait_recovered()


def transactions_aborted(run):
    run.start_victim()
    run.start_other()
    run.load.transactions = 4
    run.load.start()
    run.wait_moment()
    run.fault_begins()
    run.wait_recovered()


def trimmed(run):
    """Retention deletes folded records while their partition has no owner: the next owner cannot prove that the log is the same
    one, and need not."""
    both(run, "kill")
    run.wait_moment()
    run.lose(run.victim)
    run.fault_begins()
    folded = [(*where, row[0]) for where, row in run.watch.cursors.items() if row[0] > 3]
    folded = [item for item in folded if item[0] != run.stack.topics.directory]
    run.extra_records = run.lane.broker.read_all(run.stack.topics)
    for topic, partition, offset in run.rng.sample(folded, min(2, len(folded))):
        run.lane.broker.delete_records(topic, partition, run.rng.randint(offset - 3, offset))
    run.start()
    run.wait_recovered()


def recreated(run):
    """The case topic is deleted and recreated: all its partitions halt as `recreated`, no cursor moves, the other topics go
    on. Then the operator has it read from its beginning. The fault may also happen during the halt."""
    run.start_victim()
    run.other = run.start()
    run.load.start()
    run.load.finish()
    run.judge()
    run.stop_workers()
    run.stack.database.query("CHECKPOINT")  # so that a crash does not lose cursors
    topic, partitions = run.stack.topics.case, run.stack.topics.partitions["case"]
    ends = {p: run.watch.cursors[topic, p][0] for p in range(partitions)}
    run.extra_records = {**run.extra_records, "case": run.lane.broker.read_all(run.stack.topics)["case"]}
    run.lane.broker.delete_topic(topic)
    run.lane.broker.create_topic(topic, partitions)
    items = [i for i in History(run.seed + 1, organizations=2, cases=3000, agents=False, directory=False).items]
    fill(run, items, ends)
    run.load.ends.clear()
    run.fault_begins()
    action = {"kill": "kill"}.get(run.fault, "wait")
    run.start_victim(run.armed(action) if run.step in HALT else [])
    if run.step in HALT:
        hurt_halting(run)
    for partition in range(partitions):
        run.stack.wait_halt("case", partition, "recreated")
    assert {p: run.watch.cursors[topic, p][0] for p in range(partitions)} == ends, "a halted cursor does not move"
    run.stack.send(events.agent_event(events.guid(), events.guid(), 1, {"AgentCurrentUnitCleared": {}}))
    kept, run.extra_records["case"] = run.extra_records["case"], []
    wait_for(lambda: not run.stack.behind(), 20, "the other topics go on")
    resume(run, topic)
    run.extra_records["case"] = kept
    run.wait_recovered()


def fill(run, items, ends):
    """Sends new cases until each partition is longer than before."""
    left = {p: end + 5 for p, end in ends.items()}
    for at in range(0, len(items), 200):
        where = run.stack.send_items(items[at : at + 200])
        for partition, _ in where:
            left[partition] -= 1
        if all(n <= 0 for n in left.values()):
            return
    raise AssertionError(f"the new topic is too short by {left}")


def hurt_halting(run):
    run.points.wait_reached(run.victim, run.step)
    if run.fault == "kill":
        run.victim.process.wait(20)
        run.lose(run.victim)
        run.start()
        return
    if run.fault == "database killed":
        run.watch.may_lose = True
        run.postgres.kill()
        run.points.wait_released(run.step)
        run.postgres.start()
    else:
        end_connections(run)
        run.points.wait_released(run.step)


REREAD = """UPDATE ctl.cursor SET next_offset = 0, last_record_offset = NULL, last_record_at = NULL, last_record_crc = NULL
 WHERE gen = 1 AND topic = %s AND state <> 'live'"""


def resume(run, topic):
    """As docs/operations.md says."""
    run.watch.wind_back(topic)
    run.stack.database.query(REREAD, (topic,))
    programs.caseview("resume", "--database", run.stack.database.conninfo, "--topic", topic, check=0)
    run.stack.halted.clear()


# --- a rebuild under load


def filler_options(run):
    return "--generation", "2", "--group-id", f"{run.stack.database.name}-g2"


def begin_rebuild(run, *options):
    """A live worker, load, and a second generation; what is watched from now on is the second one."""
    run.start().wait_ready()
    run.load.start()
    run.load.wait_share(run.rng.uniform(0.02, 0.2))
    rebuild.start(run.stack, *options)
    run.other_options = filler_options(run)
    run.watch.follow(2)


def begin_prepare(run):
    """`rebuild prepare`, at the point where rows are to be rendered and no worker does so. The load goes on: what it has
    sent since the worker stopped may be too much for the command, which then has to be repeated."""

    def deferral_ended():
        return not run.stack.database.value("SELECT bool_or(deferred) FROM ctl.generation")

    for number in range(5):
        run.start_other()
        rebuild.wait_phase(run.stack, "caught-up")
        run.stop(run.other)
        prepare = rebuild.begin(run.stack, f"prepare-{number}", "prepare")
        wait_for(
            lambda: deferral_ended() or prepare.process.poll() is not None, 20, "rows are to be rendered, or prepare refuses"
        )
        if deferral_ended():
            return prepare
        assert prepare.process.returncode == 2, prepare.process.returncode
    raise AssertionError("five times the load was faster than rebuild prepare")


def filler_killed(run):
    """A worker that fills, or that renders the rows of the new generation, is killed; another one goes on."""
    begin_rebuild(run)
    prepare = None
    if run.step == "feed.read" or run.rng.random() < 0.5:  # names are followed when rows are rendered
        prepare = begin_prepare(run)
    run.result["order"] = "killed while it fills" if prepare is None else "killed while it renders"
    run.start_victim(run.armed("kill"), *run.other_options)
    if run.step == "revoke":
        run.wait_reached_or_ready()
    run.wait_moment()
    run.fault_begins()
    if run.step != "random":
        run.victim.process.wait(20)
    run.lose(run.victim)
    if run.step != "revoke":
        run.start_other()
    run.wait_recovered()
    show_rebuilt(run, prepare)


def show_rebuilt(run, prepare):
    """Prepared, by the command that runs already if any; then readers see the second generation."""
    if prepare is None:
        rebuild.wait_phase(run.stack, "caught-up")
        rebuild.run(run.stack, "prepare")
    else:
        code = prepare.wait(60)
        assert code == 0, f"rebuild prepare ended with {code}: {prepare.log()[-1000:]}"
    rebuild.switch_when_level(run.stack, 2)


def command_killed(run):
    """A command of the rebuild is killed at a step, or at any moment, and repeated."""
    run.start().wait_ready()
    run.load.start()
    run.load.wait_share(run.rng.uniform(0.02, 0.2))
    word = run.step.split(".")[0] if run.step != "random" else run.rng.choice(("start", "prepare", "switch", "drop"))
    word = "prepare" if word == "carry" else word
    repeat(run, word, "start", "--carry-over")
    run.other_options = filler_options(run)
    run.watch.follow(2)
    run.victim = run.start(*run.other_options)  # not hurt
    rebuild.wait_phase(run.stack, "caught-up")
    repeat(run, word, "prepare")
    repeat(run, word, "switch", 2)
    if word == "drop":
        repeat(run, word, "drop", 1)
    run.wait_recovered()


def repeat(run, hurt, word, *rest):
    """The command until it is done; when it is the one to hurt, it is killed the first time."""
    if word == hurt:
        kill_command(run, word, *rest)

    def done():
        answer = rebuild.run(run.stack, word, *rest, check=None)
        already = f"generation 2 is {'waiting' if word == 'start' else 'live'} already" in answer.stderr
        gone = "was dropped" in answer.stderr
        lags = word == "switch" and "generation 2 lags" in answer.stderr
        assert answer.returncode == 0 or already or gone or lags, answer.stderr
        assert word == hurt or not (already or gone), answer.stderr
        return not lags

    wait_for(done, 30, f"rebuild {word} is done", poll_s=0.1)


def kill_command(run, word, *rest):
    armed = [(run.step, "kill", 1)] if run.step != "random" else []
    points = Points(run.folder / f"points-command-{word}", armed)
    command = rebuild.begin(run.stack, f"rebuild-{word}", word, *rest, environment=points.environment if armed else ())
    run.fault_begins()
    if armed:
        wait_for(lambda: command.process.poll() is not None, 30, f"the command reaches {run.step}")
        assert command.process.returncode == -9, command.log()
    else:
        run.load.over.wait(run.rng.uniform(0, 0.6))
    command.kill()


# --- the list


def prepare(run):
    """Before the run: gives it a PostgreSQL on a small disk, if the fault needs one."""
    if run.fault != "disk full":
        return
    mount = run.folder / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=160m,mode=755", "tmpfs", mount], check=True)
    run.cleanup.append(lambda: subprocess.run(["umount", mount], check=True))
    before, tempfile.tempdir = tempfile.tempdir, str(mount)
    try:
        run.postgres = Postgres({"max_wal_size": "32MB", "min_wal_size": "32MB"})
    finally:
        tempfile.tempdir = before
    run.cleanup.append(run.postgres.close)


ANYWHERE = BATCH + OWNERSHIP
FAULTS = {
    "kill": Fault(kill, ANYWHERE + HALT, text="kill -9"),
    "thawed after claim": Fault(thawed_late, tuple(s for s in ANYWHERE if s not in ("claim.locked", "recover"))),
    "thawed before claim": Fault(thawed_early, tuple(s for s in BATCH)),
    "connections ended": Fault(lambda r: recreated(r) if r.step in HALT else connections_ended(r), ANYWHERE + HALT),
    "database cut off": Fault(database_cut, ANYWHERE),
    "database killed": Fault(lambda r: recreated(r) if r.step in HALT else database_killed(r), ANYWHERE + HALT),
    "disk full": Fault(disk_full, ()),
    "brokers cut off": Fault(brokers_cut, ()),
    "broker killed": Fault(broker_killed, (), "three"),
    "broker frozen": Fault(broker_frozen, (), "three"),
    "topics grow": Fault(topics_grow, ()),
    "topic recreated": Fault(recreated, ()),
    "log trimmed": Fault(trimmed, ()),
    "filler killed": Fault(filler_killed, ANYWHERE, text="kill -9 of a worker of a second generation"),
    "rebuild command killed": Fault(command_killed, REBUILD, text="kill -9 of a command"),
    "transactions aborted": Fault(transactions_aborted, ()),
}
