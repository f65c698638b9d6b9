"""How long partitions stand still when workers of a group leave, are restarted or are killed, on Apache Kafka.

Four workers under live traffic. `scale`: two of the four end by SIGTERM at the same moment and do not come back. `restart`:
each in turn ends by SIGTERM and starts again after --restart-seconds, as in the rolling update of a StatefulSet; the next
one follows when it is ready. `crash`: one is killed (kill -9) and starts again after --restart-seconds.

Records arrive at every partition all the time, so a cursor that does not move belongs to a partition that no worker serves.
"""

import collections
import ctypes
import statistics
import threading
import time

import confluent_kafka

import rig as rigs
from measure import Row
from support import avro_codec, events
from support.group import Advances
from support.kafka import fresh_topics
from support.waiting import wait_for

WORKERS = 4
PARTITIONS = {"cases": 12, "agents": 4, "directory": 4}
RATE = 500  # events/s of simulated organizations
TICK_S = 0.04  # between two records of a partition, in addition to those
SETTLE_S = 3  # before a step, and after it
LIMIT_S = 120
TARGET = "≤ 3 s"
COOPERATIVE_SINCE = 0x020601FF

# name → (librdkafka's properties, static, more options)
CANDIDATES = {
    "dynamic": ({}, False, ()),
    "dynamic, heartbeat.interval.ms=3000": ({"heartbeat.interval.ms": 3000}, False, ()),
    "dynamic, heartbeat.interval.ms=100": ({"heartbeat.interval.ms": 100}, False, ()),
    "dynamic, cooperative": ({"partition.assignment.strategy": "cooperative-sticky"}, False, ()),
    "static, leave-group": ({}, True, ("--leave-group",)),
    "static": ({}, True, ()),
    "static, session.timeout.ms=6000": ({"session.timeout.ms": 6000}, True, ()),
}


class Ticker(threading.Thread):
    """Sends each partition one record again and again, which counts as a duplicate but moves the cursor."""

    def __init__(self, broker, topics):
        super().__init__(daemon=True)
        self.producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap, "linger.ms": 0, "log_level": 2})
        schemas = avro_codec.Schemas(str(rigs.SCHEMAS))
        organization, unit = events.guid(), events.guid()
        make = {
            "case": lambda: events.queued(organization, events.guid(), unit=events.ref(unit, "Unit")),
            "agent": lambda: events.agent_event(
                organization, events.guid(), 1, {"AgentCurrentUnitSelected": {"unitId": unit}}
            ),
            "directory": lambda: events.unit_event(organization, events.guid(), 1, "Unit"),
        }
        self.records = []
        for role, count in topics.partitions.items():
            for partition in range(count):
                event = make[role]()
                self.records.append((topics.name(role), schemas.encode(*event), events.key_of(*event), partition))
        self.ended = threading.Event()
        self.start()

    def run(self):
        while not self.ended.wait(TICK_S):
            for record in self.records:
                self.producer.produce(*record)
            self.producer.poll(0)

    def stop(self):
        self.ended.set()
        self.join(30)
        self.producer.flush(30)


def longest_pauses(moves, since, until):
    """Of each partition: the longest time in which its cursor did not move."""
    out = []
    for moments in list(moves.values()):
        inner = [since, *(moment for moment, _ in list(moments) if since < moment < until), until]
        out.append(max(b - a for a, b in zip(inner, inner[1:], strict=False)))
    return out


class Group:
    """Four workers of one candidate, with traffic."""

    def __init__(self, rig, name):
        self.rig, self.name = rig, name
        self.properties, self.static, self.options = CANDIDATES[name]
        self.topics, self.database = fresh_topics(**PARTITIONS), rig.database()
        rig.scratch.create_topics(self.topics)
        self.group = f"bench-{rig.number()}"
        self.workers = [self.start(place) for place in range(WORKERS)]
        self.traffic = rig.simulate(
            rig.scratch, self.topics, "--rate", RATE, "--clock", "wall", "--organizations", 10, "--agents", 40,
            "--log-format", "text",
        )  # fmt: skip
        self.ticker = Ticker(rig.scratch, self.topics)
        self.cursors = Advances(rig.postgres, self.database)
        self.settle()

    def start(self, place):
        options = [word for name, value in self.properties.items() for word in ("--kafka", f"{name}={value}")]
        if self.static:
            options += ["--group-instance-id", f"worker-{place}", *self.options]
        return self.rig.member(self.rig.scratch, self.topics, self.database, self.group, options)

    def settle(self):
        """Waits until exactly these workers own partitions, all partitions move, and a moment longer."""
        pids = {worker.process.pid for worker in self.workers}
        owners = "SELECT DISTINCT split_part(owner, ':', 2)::int FROM ctl.cursor WHERE topic = %s"
        wait_for(
            lambda: {pid for pid, in self.database.query(owners, (self.topics.case,))} == pids, LIMIT_S,
            f"{self.name}: the partitions belong to {len(pids)} workers", poll_s=0.1,
        )  # fmt: skip
        for worker in self.workers:
            worker.wait_ready(LIMIT_S)
        now = time.time()
        wait_for(lambda: self.all_moved(now), LIMIT_S, f"{self.name}: all partitions move")
        time.sleep(SETTLE_S)
        self.traffic.check_running()

    def all_moved(self, since):
        moves = [moments[-1][0] for moments in list(self.cursors.moves.values())]
        return len(moves) == sum(PARTITIONS.values()) and min(moves) > since

    def measured(self, act):
        """Seconds without progress of each partition while act() and what it causes go on."""
        began = time.time()
        act()
        self.settle()
        return longest_pauses(self.cursors.moves, began, time.time())

    def scale(self):
        leaving = [self.workers.pop(), self.workers.pop()]

        def act():
            for worker in leaving:
                worker.signal(15)
            for worker in leaving:
                if code := worker.wait(LIMIT_S):
                    raise rigs.Broken(f"{worker.name} ended with {code} after SIGTERM")

        return [self.measured(act)]

    def restart(self, place):
        self.workers[place].stop()
        time.sleep(self.rig.wanted.restart_seconds)
        self.workers[place] = self.start(place)
        self.workers[place].wait_ready(LIMIT_S)

    def roll(self):
        return [self.measured(lambda place=place: self.restart(place)) for place in reversed(range(WORKERS))]

    def crash(self):
        def act():
            self.workers[1].kill()
            time.sleep(self.rig.wanted.restart_seconds)
            self.workers[1] = self.start(1)

        return [self.measured(act)]

    def close(self):
        self.ticker.stop()
        self.traffic.stop()
        self.cursors.stop()
        for worker in self.workers:
            worker.stop()
        self.database.drop()


def candidates():
    sound = ctypes.CDLL("librdkafka.so.1").rd_kafka_version() >= COOPERATIVE_SINCE
    return [name for name in CANDIDATES if sound or "cooperative" not in name]


def notes(rig):
    return [
        rig.settings_line(),
        f"{WORKERS} workers, {sum(PARTITIONS.values())} partitions, each with a record every {TICK_S * 1000:g} ms, and "
        f"{RATE} events/s of simulated organizations; seconds without progress of the worst partition; a restarted worker "
        f"is away for {rig.wanted.restart_seconds:g} s; range: over all steps",
    ]


def run(rig):
    steps = {"restart": Group.roll, "crash": Group.crash, "scale 4 → 2": Group.scale}
    found = collections.defaultdict(list)  # (step, candidate) → [seconds of each partition]
    for number in range(rig.wanted.repetitions):
        for name in candidates():
            rig.say(f"{name}, {number + 1} of {rig.wanted.repetitions}")
            group = Group(rig, name)
            try:
                for step, act in steps.items():
                    samples = act(group)
                    found[step, name] += samples
                    rig.say(f"{step}: worst partition {', '.join(f'{max(seconds):.2f}' for seconds in samples)} s")
            finally:
                group.close()
    return [
        Row(
            f"{step}: {name}", [max(seconds) for seconds in samples], "s", target=TARGET,
            more=f"median partition {statistics.median(s for seconds in samples for s in seconds):.2f} s",
        )
        for (step, name), samples in sorted(found.items(), key=lambda item: list(steps).index(item[0][0]))
    ]  # fmt: skip
