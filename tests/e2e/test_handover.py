"""Workers that end by SIGTERM hand over without waiting for the end of a session, on Apache Kafka."""

import random
import re
import time

import pytest

from support.group import Advances, Load, wait_shared
from support.random_history import History
from support.waiting import PATIENCE, wait_for

PARTITIONS = {"cases": 12, "agents": 4, "directory": 4}
SESSION_S = 120  # far longer than any of these tests may take for a hand-over
HANDOVER_S = 25
OWNERS = "SELECT topic, part, split_part(owner, ':', 2)::int FROM ctl.cursor"


class Group:
    """Four workers under load."""

    def __init__(self, stack, membership):
        self.stack, self.membership = stack, membership
        self.seed = random.SystemRandom().randrange(10**6)
        print(f"seed {self.seed}")
        self.workers = [self.start(place) for place in range(4)]
        self.advances = Advances(stack.postgres, stack.database)
        self.load = Load(stack, History(self.seed, organizations=2, cases=9000).items)
        wait_shared(stack, self.workers)
        self.load.wait_more(500)

    def start(self, place):
        instance = None if self.membership == "dynamic" else f"worker-{place}"
        environment = {"CASEVIEW_LEAVE_GROUP": "on"} if self.membership == "static, leaves" else {}
        properties = {"session.timeout.ms": SESSION_S * 1000}
        return self.stack.start_worker(instance=instance, ready=False, properties=properties, environment=environment)

    def served(self, since):
        """Every partition belongs to one of the workers, and every one of the case topic has moved since then."""
        pids = {worker.process.pid for worker in self.stack.workers}
        rows = self.stack.database.query(OWNERS)
        moves = [self.advances.moves[self.stack.topics.case, part] for part in range(PARTITIONS["cases"])]
        return (
            len(rows) == sum(PARTITIONS.values())
            and {pid for *_, pid in rows} <= pids
            and all(moved and moved[-1][0] > since for moved in moves)
        )

    def wait_served(self, since):
        wait_for(lambda: self.served(since), HANDOVER_S, "all partitions have an owner and move")
        assert time.time() - since < SESSION_S, "the partitions may have waited for the end of a session"

    def finish(self):
        self.load.stop()
        self.stack.check()
        self.advances.stop()


@pytest.mark.parametrize("membership", ["dynamic", "static, leaves"])
def test_scale_down_waits_for_no_session(make_kafka_stack, membership):
    assert HANDOVER_S * PATIENCE < SESSION_S
    group = Group(make_kafka_stack(partitions=PARTITIONS), membership)
    began = time.time()
    for worker in group.workers[2:]:
        worker.signal(15)
    for worker in group.workers[2:]:
        group.stack.workers.remove(worker)
        assert worker.wait() == 0
    group.wait_served(time.time())
    assert time.time() - began < SESSION_S
    group.load.wait_more(300)
    group.finish()


@pytest.mark.parametrize("membership", ["dynamic", "static, leaves"])
def test_rolling_update_waits_for_no_session(make_kafka_stack, membership):
    group = Group(make_kafka_stack(partitions=PARTITIONS), membership)
    watch = group.stack.watch_cursors()
    for place in reversed(range(4)):
        group.stack.stop_worker(group.workers[place])
        group.wait_served(time.time())  # by the other three
        group.workers[place] = group.start(place)
        group.workers[place].wait_ready()
        wait_shared(group.stack, group.workers)
        group.wait_served(time.time())
    group.load.wait_more(300)
    group.finish()
    watch.check()


def test_a_static_member_that_stays_keeps_its_place(make_kafka_stack):
    """It is restarted: the others notice nothing, and its partitions are read again as soon as it is back."""
    group = Group(make_kafka_stack(partitions=PARTITIONS), "static")
    lines = [len(re.findall("group: ", worker.log())) for worker in group.workers[:3]]
    group.stack.stop_worker(group.workers[3])
    group.workers[3] = group.start(3)
    group.workers[3].wait_ready()
    group.wait_served(time.time())
    assert [len(re.findall("group: ", worker.log())) for worker in group.workers[:3]] == lines
    group.load.wait_more(300)
    group.finish()
