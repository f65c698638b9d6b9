"""One run: a fresh database and fresh topics, two workers under load, one fault at one step, and the check of the result."""

import contextlib
import random
import threading
import time

from support import events, naive_fold, programs
from support.kafka import fresh_topics
from support.random_history import History
from support.stack import Stack, difference
from support.waiting import Late, wait_for

from . import faults
from .points import HALT, Points
from .watch import Watch

SESSION_MS = 1500
PROPERTIES = {
    "session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": 300, "reconnect.backoff.ms": 50,
    "reconnect.backoff.max.ms": 500, "topic.metadata.refresh.interval.ms": 1000, "socket.timeout.ms": 5000,
}  # fmt: skip
SLICE = 40

# Runs in the transaction of each cursor change: records a worker that is not the owner, and a step back.
AUDIT = """
CREATE SEQUENCE public.audited;
CREATE TABLE public.violation (gen integer, topic text, part integer, was bigint, became bigint, owner integer, writer integer);
CREATE FUNCTION public.audit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM nextval('public.audited');
    IF current_setting('application_name') LIKE 'caseview worker%%'
       AND (NEW.next_offset < OLD.next_offset OR NEW.backend_pid IS DISTINCT FROM pg_backend_pid()) THEN
        INSERT INTO public.violation
        VALUES (NEW.gen, NEW.topic, NEW.part, OLD.next_offset, NEW.next_offset, NEW.backend_pid, pg_backend_pid());
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit AFTER UPDATE ON ctl.cursor FOR EACH ROW EXECUTE FUNCTION public.audit()"""
REFUSED = "division by zero"  # in the database's log: a batch refused by the fence or a revision


class Load(threading.Thread):
    """Sends in slices. The last third is sent after the fault, so that there is always work left then."""

    def __init__(self, stack, seed):
        super().__init__(daemon=True)
        self.stack, self.rng, self.seed, self.extra = stack, random.Random(seed), seed, 0
        self.items = History(seed, organizations=2, cases=110, versions=8).items
        self.ends = {}  # (topic, partition) → offset after the last acknowledged record
        self.sent, self.error = 0, None
        self.over = threading.Event()
        self.transactions = 0  # how many slices to send in an aborted transaction; some are sent again

    def run(self):
        try:
            for at in range(0, len(self.items), SLICE):
                if at > len(self.items) * 2 // 3:
                    self.over.wait()
                self._send(self.items[at : at + SLICE])
                self.sent = at + SLICE
                self.over.wait(self.rng.uniform(0.005, 0.06)) if not self.over.is_set() else None
        except Exception as error:  # raised by finish(), in the main thread
            self.error = error

    def _send(self, items):
        records = [self.stack.record(r, k, self.stack.encode(r, v), ()) for r, k, v in items]
        for partition in range(2):  # records to park
            if self.rng.random() < 0.3:
                records.append(self.stack.record("agent", b"bad", self.rng.randbytes(20), (), partition))
        if self.transactions > 0 and self.rng.random() < 0.7:
            self.transactions -= 1
            self.stack.broker.send_in_transaction(records, commit=False)
            if self.rng.random() < 0.5:
                return self.stack.broker.send_in_transaction(records)
        for record, (partition, offset) in zip(records, self.stack.broker.send(records), strict=True):
            where = record[0], partition
            self.ends[where] = max(self.ends.get(where, 0), offset + 1)

    def more(self):
        """Sends a few new events of all kinds. Called by the thread that waits for a step."""
        self.extra += 1
        items = History(self.seed + 1000 + self.extra, organizations=1, cases=3, versions=3).items
        self.stack.send_items(items)
        self.stack.send_raw("agent", [(b"bad", b"more", ())], partition=self.extra % 2)

    def wait_share(self, share):
        wait_for(lambda: self.error or self.sent >= share * len(self.items), 60, f"{share:.0%} of the load is sent")
        assert self.error is None, f"the load: {self.error!r}"

    def finish(self):
        self.over.set()
        self.join(90)
        assert self.error is None and not self.is_alive(), f"the load did not end: {self.error!r}"


class Run:
    """lane: what runs share (postgres, broker, schemas). step: a fail point's name, or "random" for any moment."""

    def __init__(self, lane, number, fault, step, seed, folder):
        self.lane, self.number, self.fault, self.step, self.seed = lane, number, fault, step, seed
        self.rng = random.Random(seed)
        self.folder = folder
        self.folder.mkdir(parents=True)
        self.result = {"number": number, "fault": fault, "step": step, "seed": seed, "lost": 0, "doubled": 0}
        self.postgres, self.wire, self.points, self.cleanup = lane.postgres, None, None, []
        self.victim = self.other = self.watch = self.other_points = None
        self.other_options = ()
        self.extra_records = {role: [] for role in naive_fold.ROLES}  # of deleted topics
        self.began = 0.0

    # --- parts

    def start_victim(self, armed=(), *chosen, **options):
        self.points = Points(self.folder / f"points-{len(self.stack.workers)}-{self.rng.randrange(10**6)}", list(armed))
        self.victim = self.start(*chosen, environment=self.points.environment, **options)
        return self.victim

    def start(self, *chosen, properties=(), environment=()):
        properties = {**PROPERTIES, **dict(properties)}
        return self.stack.start_worker(*chosen, ready=False, properties=properties, environment=environment)

    def lose(self, worker):
        """Kills the worker, if it is still running, and forgets it."""
        self.stack.workers.remove(worker)
        worker.kill()

    def stop(self, worker):
        """SIGTERM."""
        self.stack.stop_worker(worker)

    def start_other(self):
        environment = self.other_points.environment if self.other_points else ()
        self.other = self.start(*self.other_options, environment=environment)

    def armed(self, action):
        return [(self.step, action, self.nth())] if self.step != "random" else []

    def nth(self):
        most = {"decoded": 120, "revoke": 1, "recover": 1, "directory.numbered": 3, "feed.read": 4, "parked": 2}
        return self.rng.randint(1, most.get(self.step, 1 if self.step in HALT else 4))

    def wait_moment(self):
        """Waits until the step is reached, or until a random moment of the load."""
        if self.step == "random":
            self.load.wait_share(self.rng.uniform(0.1, 0.65))
            self.load.over.wait(self.rng.uniform(0, 0.05))
            return
        if self.step == "revoke":
            self.start_other()
        if self.step == "recover":
            self.wait_reached_or_ready()  # it may recover while partitions move, and then waits there
            if not self.points.reached(self.victim.process.pid):
                faults.end_connections(self)
        self.wait_step()

    def wait_reached_or_ready(self, deadline_s=40):
        pid = self.victim.process.pid
        wait_for(lambda: self.points.reached(pid) or self.victim.is_ready(), deadline_s, "the victim is ready, or waits at the step")

    def wait_step(self, deadline_s=40):
        """Waits for the step. Sends more events when the load made too few batches to reach it."""

        def reached():
            with contextlib.suppress(Late):
                return self.points.wait_reached(self.victim, self.step, 0.4)
            assert self.load.error is None, f"the load: {self.load.error!r}"
            if not self.points.reached(self.victim.process.pid):
                self.victim.check_running()
            if self.load.sent > len(self.load.items) * 0.6:
                self.load.more()
            return None

        return wait_for(reached, deadline_s, f"{self.victim.name} reaches {self.step}")

    def fault_begins(self):
        self.target = dict(self.load.ends)
        self.began = time.monotonic()

    def probe(self):
        organization, partitions = events.guid(), self.stack.topics.partitions
        made = [(events.queued(organization, events.guid()), p) for p in range(partitions["case"])]
        for p in range(partitions["agent"]):
            made.append((events.agent_event(organization, events.guid(), 1, {"AgentCurrentUnitCleared": {}}), p))
        records = [self.stack.record(r, events.key_of(r, v), self.stack.encode(r, v), (), p) for (r, v), p in made]
        for record, (partition, offset) in zip(records, self.stack.broker.send(records), strict=True):
            self.target[record[0], partition] = offset + 1

    def wait_recovered(self, deadline_s=45):
        """Waits until all events sent before the fault and one new event of each partition are folded, and no partition
        belongs to a dead worker."""
        self.probe()

        def recovered():
            self.check_running()
            cursors = self.watch.cursors
            if self.victim not in self.stack.workers and any(o and o.endswith(f":{self.victim.process.pid}") for o in self.owners()):
                return False
            return all(where in cursors and cursors[where][0] >= end for where, end in self.target.items())

        wait_for(recovered, deadline_s, "what was sent before the fault is folded")
        self.result["recovered_s"] = round(time.monotonic() - self.began, 3)

    def check_running(self):
        for worker in self.stack.workers:
            if not worker.frozen:
                worker.check_running()

    def owners(self):
        return {owner for _, owner, _, _ in self.watch.cursors.values()}

    # --- the run

    def open(self):
        topics = fresh_topics(cases=4, agents=2, directory=2)
        self.stack = Stack(self.postgres, self.lane.broker, self.lane.schemas, self.folder, topics)
        self.stack.options = [*self.stack.options, "--group-id", self.stack.database.name]  # lanes share brokers
        self.cleanup.append(self.close_stack)
        self.stack.migrate().create_topics()
        self.stack.database.query(AUDIT)
        self.log_began = self.postgres.log.stat().st_size
        self.watch = Watch(self.postgres, self.stack.database.name)
        self.load = Load(self.stack, self.seed)

    def close_stack(self):
        self.load.over.set()
        for worker in list(self.stack.workers):
            self.stack.workers.remove(worker)
            if worker.is_running():
                worker.process.kill()
                worker.process.wait(20)
            if worker in programs.Program.running:
                programs.Program.running.remove(worker)
        self.stack.close()
        self.lane.forget_topics(self.stack.topics)

    def execute(self):
        """The result, which contains the error, if any."""
        started = time.monotonic()
        try:
            faults.prepare(self)
            self.open()
            faults.FAULTS[self.fault].run(self)
            self.load.finish()
            self.judge()
            self.stop_workers()
            self.watch.check()
        except Exception as error:
            self.result["error"] = f"{type(error).__name__}: {error}"
        for step in reversed(self.cleanup):
            try:
                step()
            except Exception as error:
                self.result.setdefault("error", f"cleaning up: {type(error).__name__}: {error}")
        self.result["seconds"] = round(time.monotonic() - started, 1)
        if self.watch:
            self.result["lost_by_database"] = self.watch.lost_by_database
        return self.result

    def stop_workers(self):
        for worker in list(self.stack.workers):
            self.stack.stop_worker(worker)

    def expected(self):
        records, progress = self.lane.broker.read_all(self.stack.topics), self.stack.progress()
        for role, extra in self.extra_records.items():
            there = {(r.topic, r.partition, r.offset, r.timestamp_ms, r.key) for r in records[role]}
            records[role] = [
                r for r in records[role]
                if (r.topic, r.partition) not in self.stack.halted or r.offset < progress[r.topic, r.partition][0]
            ]  # fmt: skip
            missing = [r for r in extra if (r.topic, r.partition, r.offset, r.timestamp_ms, r.key) not in there]
            records[role] = missing + records[role]
        return naive_fold.fold(records, naive_fold.Decoder(self.stack.schemas))

    def judge(self):
        """Compares the views row by row, and the numbers of degraded and incomplete cases."""
        self.stack.wait_caught_up(60)
        view = self.expected()
        try:
            wait_for(lambda: not self.stack.differences(view), 10, "rows equal the independent fold", poll_s=0.1)
        except Late:
            self.count_differences(view)
            raise AssertionError("the rows differ from the independent fold:\n" + "\n".join(self.stack.differences(view))) from None
        report = self.stack.status()
        shown = report["degraded"], report["incomplete"]
        assert shown == (view.degraded, view.incomplete), f"degraded, incomplete: {shown}, not {view.degraded, view.incomplete}"
        assert len(view.active_cases) > 10 and view.parked, "the load must have produced rows of all kinds"
        self.check_audit()
        self.result["rows"] = len(view.active_cases) + len(view.agents) + len(view.applications) + len(view.parked)

    def check_audit(self):
        """Covers every committed change of a cursor, while Watch only samples."""
        violations = self.stack.database.query("SELECT * FROM public.violation")
        assert not violations, f"(generation, topic, partition, was, became, owner's backend, writer's): {violations[:5]}"
        self.result["cursor_changes"] = self.stack.database.value("SELECT last_value FROM public.audited")
        assert self.result["cursor_changes"] > 10, "the audit must have seen something"
        with open(self.postgres.log, "rb") as log:
            log.seek(self.log_began)
            self.result["refused"] = log.read().decode("utf-8", "replace").count(REFUSED)

    def count_differences(self, view):
        pairs = [(view.active_cases, self.stack.active_cases()), (view.agents, self.stack.agents())]
        pairs += [(view.applications, self.stack.applications()), self.stack.parked_pair(view)]
        for expected, found in pairs:
            self.result["lost"] += sum(found.get(key) != row for key, row in expected.items())
            self.result["doubled"] += sum(key not in expected for key in found)
            assert difference("row", expected, found) or expected == found
