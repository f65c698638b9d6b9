"""Two writers of the same rows at the same time: old and new partitions after partitions were added, `repair`,
`parked retry`. Each makes the other's revisions stale; both must make progress, and the rows must equal the log."""

import contextlib
import itertools
import threading
import time

import pytest

from support import events, programs
from support.kafka import partition_of
from support.waiting import PATIENCE, wait_for

CASES = 60
STALL_S = 5  # the longest time without a commit while there are records to read
SCHEMA_ID = 7001
# Records come in small pieces, so that there are many batches to meet each other.
PIECES = {"fetch.message.max.bytes": 16_384}


def change(organization, case, sequence):
    return events.case_event(organization, case, sequence, {"CasePositionChanged": {"rank": float(sequence)}})


class Load(threading.Thread):
    """Changes all cases repeatedly, in the order of sequence numbers."""

    def __init__(self, stack, organization, cases, first=2, choose=None):
        """choose(role, key): the partition of each record."""
        super().__init__(daemon=True)
        self.stack, self.organization, self.cases, self.first, self.choose = stack, organization, cases, first, choose
        self.rounds = 0
        self.error = None
        self._ended = threading.Event()
        self.start()

    def run(self):
        try:
            for sequence in itertools.count(self.first):
                if self._ended.wait(0.005):
                    return
                made = [change(self.organization, case, sequence) for case in self.cases]
                self.stack.send_items([(role, events.key_of(role, event), event) for role, event in made], None, self.choose)
                self.rounds += 1
        except Exception as error:
            self.error = error

    def wait_rounds(self, count):
        goal = self.rounds + count
        wait_for(lambda: self.error or self.rounds >= goal, 60, f"{count} more rounds of load are sent")
        assert self.error is None, f"the load ended: {self.error!r}"

    def __enter__(self):
        self.wait_rounds(10)
        return self

    def __exit__(self, *_):
        self._ended.set()
        self.join(30)
        assert self.error is None and not self.is_alive(), f"the load did not end: {self.error!r}"


class Stalls(threading.Thread):
    """The longest time in which no case partition of a list moved."""

    def __init__(self, stack, partitions):
        super().__init__(daemon=True)
        self.stack, self.partitions = stack, partitions
        self.longest, self.moves, self.error = 0.0, 0, None
        self._ended = threading.Event()
        self.start()

    def run(self):
        query = "SELECT sum(next_offset) FROM ctl.cursor WHERE topic = %s AND part = ANY (%s)"
        last, since = None, time.monotonic()
        try:
            with contextlib.closing(self.stack.postgres.connect(self.stack.database.name)) as connection:
                cursor = connection.cursor()
                while not self._ended.wait(0.02):
                    cursor.execute(query, (self.stack.topics.case, self.partitions))
                    found = cursor.fetchone()[0]
                    if found is None:  # not claimed yet
                        since = time.monotonic()
                    elif found != last:
                        self.moves, last, since = self.moves + 1, found, time.monotonic()
                    self.longest = max(self.longest, time.monotonic() - since)
        except Exception as error:
            self.error = error

    def check(self):
        self._ended.set()
        self.join(30)
        assert self.error is None, f"the cursors could not be watched: {self.error!r}"
        assert self.moves >= 10, f"the cursors moved only {self.moves} times"
        assert self.longest <= STALL_S * PATIENCE, f"no commit for {self.longest:.1f} s"


def listed_cases(stack, count=CASES):
    """(organization, cases) that are listed, each at sequence 1."""
    organization, cases = events.guid(), [events.guid() for _ in range(count)]
    stack.send(*(events.queued(organization, case) for case in cases))
    return organization, cases


def test_added_partitions_while_the_old_partition_is_far_behind(make_kafka_stack):
    """The same cases have old events in partition 0 and their latest events in new partitions. One worker reads
    partition 0, another one the new partitions."""
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    organization, cases = listed_cases(stack)
    stack.broker.grow_topic(stack.topics.case, 4)
    stack.topics.partitions["case"] = 4
    watch = stack.watch_cursors()
    old = Load(stack, organization, cases, 2, lambda *_: 0)
    with old, Load(stack, organization, cases, 1_000_000, lambda _, key: 2 + partition_of(key, 2)) as latest:
        for name in ("one", "other"):
            stack.start_worker(instance=name, ready=False)
        at = lambda partition: stack.progress().get((stack.topics.case, partition), (0,))[0]  # noqa: E731
        wait_for(lambda: all(map(at, (0, 2, 3))), 40, "both workers have begun")
        stalls = [Stalls(stack, [0]), Stalls(stack, [2, 3])]
        goals = [old.rounds + 200, latest.rounds + 200]
        wait_for(lambda: old.rounds >= goals[0] and latest.rounds >= goals[1], 60, "both loads go on")
        for stall in stalls:
            stall.check()
    owners = stack.database.query("SELECT part, owner FROM ctl.cursor WHERE topic = %s", (stack.topics.case,))
    assert len({owner for _, owner in owners}) == 2, owners
    stack.check(deadline_s=90)
    watch.check()


@pytest.mark.parametrize("workers", [1, 2])
def test_repairs_under_full_load(make_stack, workers):
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    for name in ("one", "other")[:workers]:
        stack.start_worker(instance=name, ready=False, properties=PIECES)
    organization, cases = listed_cases(stack)
    stack.check()
    stalls = Stalls(stack, [0, 1])
    with Load(stack, organization, cases) as load:
        for case in (*cases[:5], *cases[:5]):
            before = load.rounds
            programs.caseview(
                "repair", "--database", stack.database.conninfo, *stack.kafka(), *stack.names(), "--schema-dir",
                stack.schemas.folder, "--log-format", "text", "--case", case, check=0, deadline_s=60,
            )  # fmt: skip
            assert load.rounds > before, "the load goes on"
    stalls.check()
    stack.check()


@pytest.mark.parametrize("workers", [1, 2])
def test_parked_events_are_retried_under_full_load(make_stack, registry, workers):
    """Late events of cases that keep changing: their numbers are missing until the retry."""
    stack = make_stack(registry=registry, partitions={"cases": 2, "agents": 1, "directory": 1})
    for name in ("one", "other")[:workers]:
        stack.start_worker(instance=name, ready=False, properties=PIECES)
    organization, cases = listed_cases(stack)
    late = [change(organization, case, sequence) for sequence in (2, 3, 4, 5, 6) for case in cases]
    framed = [(events.key_of(*e), b"\0" + SCHEMA_ID.to_bytes(4, "big") + stack.encode(*e)[10:], ()) for e in late]
    stack.send_raw("case", framed)
    wait_for(lambda: len(stack.parked()) == len(late), 40, "they are parked, since their schema is unknown")
    registry.register(stack.schemas.by_role["case"].text, SCHEMA_ID)
    with Load(stack, organization, cases, first=7) as load:
        stalls = Stalls(stack, [0, 1])
        load.wait_rounds(20)
        before = load.rounds
        programs.caseview(
            "parked", "retry", "--database", stack.database.conninfo, *stack.names(), "--schema-dir", stack.schemas.folder,
            "--schema-registry", registry.url, "--log-format", "text", check=0, deadline_s=60,
        )  # fmt: skip
        assert load.rounds > before, "the load goes on"
        load.wait_rounds(150)
    stalls.check()
    view = stack.check()
    assert not view.parked and not any(row[2] for row in stack.database.query("SELECT 1, 2, degraded FROM caseview.active_case"))
