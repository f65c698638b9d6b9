"""Three brokers: what happens to the view when one is stopped, killed, frozen or behind."""

import contextlib

import confluent_kafka
import pytest

from support import events, rebuild
from support.kafka import fresh_topics
from support.random_history import History
from support.stack import Stack
from support.waiting import stays_true, wait_for

QUICK = {"reconnect.backoff.max.ms": 500, "topic.metadata.refresh.interval.ms": 1000}


@pytest.fixture
def make_cluster_stack(postgres, schemas, cluster, tmp_path):
    """As make_kafka_stack, on three brokers, which are all up and in sync at the start."""
    with contextlib.ExitStack() as open_stacks:

        def make(partitions=None, **options):
            stack = Stack(postgres, cluster, schemas, tmp_path, fresh_topics(**(partitions or {})), **options)
            open_stacks.callback(stack.close)
            return stack.migrate().create_topics()

        cluster.wait_whole()
        yield make


@pytest.mark.parametrize("how", ["stop_broker", "kill_broker", "freeze_broker"])
def test_leader_goes_away(make_cluster_stack, cluster, how):
    """Another broker becomes leader: nothing is lost, no cursor steps back, no partition halts."""
    stack = make_cluster_stack()
    watch = stack.watch_cursors()
    items = History(301, cases=200).items
    stack.start_worker(properties=QUICK)
    stack.send_items(items[:500])
    stack.check()
    leader = cluster.leader(stack.topics.case, 0)
    getattr(cluster, how)(leader)
    try:
        assert cluster.wait_leader(stack.topics.case, 0, other_than=leader) != leader
        stack.send_items(items[500:])
        stack.check()
    finally:
        if how == "freeze_broker":
            cluster.thaw_broker(leader)
            cluster.wait_whole()
        else:
            cluster.start_broker(leader)
    stack.check()
    watch.check()
    assert {state for _, _, state in stack.progress().values()} == {"live"}


def test_two_of_three_are_killed_and_come_back(make_cluster_stack, cluster):
    """One broker cannot acknowledge records: the worker waits, the view keeps all commits, and work resumes without an operator."""
    stack = make_cluster_stack()
    watch = stack.watch_cursors()
    items = History(302, cases=150).items
    worker = stack.start_worker(properties=QUICK)
    stack.send_items(items[:400])
    before = stack.check()
    cluster.kill_broker(1)
    cluster.kill_broker(3)
    try:
        stays_true(worker.is_running, 2, "the worker waits")
        assert stack.active_cases().keys() == before.active_cases.keys()
    finally:
        cluster.start_broker(1, whole=False)
        cluster.start_broker(3)
    stack.send_items(items[400:])
    stack.check()
    watch.check()


def test_transactions_survive_their_coordinator(make_cluster_stack, cluster):
    """Records of an open transaction hold back those after them under any leader; aborted records are not folded."""
    stack = make_cluster_stack(partitions={"cases": 1})
    stack.start_worker(properties=QUICK)
    organization = events.guid()

    def records(n):
        made = [events.queued(organization, events.guid()) for _ in range(n)]
        return [stack.record("case", events.key_of(*e), stack.encode(*e), (), 0) for e in made]

    stack.broker.send_in_transaction(records(5))
    undecided = cluster.open_transaction(records(7))
    cluster.send(records(3))  # not in a transaction, yet behind one
    wait_for(lambda: len(stack.active_cases()) == 5, 10, "what was decided is shown")
    leader = cluster.leader(stack.topics.case, 0)
    cluster.kill_broker(leader)
    try:
        cluster.wait_leader(stack.topics.case, 0, other_than=leader)
        stays_true(lambda: len(stack.active_cases()) == 5, 1, "the undecided hold back the rest")
        undecided.abort_transaction(30)
        wait_for(lambda: len(stack.active_cases()) == 8, 30, "what follows is shown, the aborted is not")
        cluster.send_in_transaction(records(2))
    finally:
        cluster.start_broker(leader)
    assert len(stack.check().active_cases) == 10


def test_retention_passes_the_cursor(make_cluster_stack, cluster):
    """Records that were deleted before they were folded: the partition halts, the others go on."""
    stack = make_cluster_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    organization = events.guid()
    worker = stack.start_worker(properties=QUICK)
    stack.send(*(events.queued(organization, events.guid()) for _ in range(10)), partition=0)
    stack.check()
    stack.stop_worker(worker)
    stack.send(*(events.queued(organization, events.guid()) for _ in range(20)), partition=0)
    cluster.delete_records(stack.topics.case, 0, 10)
    stack.start_worker(properties=QUICK)
    stack.wait_caught_up()
    stack.stop_worker(stack.workers[0])
    stack.send(*(events.queued(organization, events.guid()) for _ in range(5)), partition=0)
    cluster.delete_records(stack.topics.case, 0, 32)
    stack.start_worker(ready=False, properties=QUICK)
    assert stack.wait_halt("case", 0, "retention-gap")[2] == 30
    stack.send(*(events.queued(organization, events.guid()) for _ in range(4)), partition=1)
    wait_for(lambda: len(stack.active_cases()) == 34, 20, "the other partition goes on")


def test_without_two_brokers_nothing_is_acknowledged(make_cluster_stack, cluster):
    """A precondition of the guarantees: with acks=all one broker alone acknowledges nothing, and records acknowledged by two
    are still there when the third one leads."""
    stack = make_cluster_stack(partitions={"cases": 1})
    organization, topic = events.guid(), stack.topics.case
    cluster.kill_broker(2)
    try:
        stack.send(*(events.queued(organization, events.guid()) for _ in range(6)))
        cluster.kill_broker(3)
        producer = confluent_kafka.Producer({"bootstrap.servers": cluster.bootstrap, "message.timeout.ms": 2000, "log_level": 2})
        errors = []
        producer.produce(topic, b"x", b"k", partition=0, on_delivery=lambda error, _: errors.append(error))
        producer.flush(20)
        assert errors and errors[0], "one broker alone must not acknowledge"
    finally:
        cluster.start_broker(3, whole=False)
        cluster.start_broker(2)
    stack.start_worker(properties=QUICK)
    stack.wait_caught_up()
    assert len(stack.active_cases()) == 6


def test_a_rebuild_is_not_prepared_while_leaders_are_away(make_cluster_stack, cluster):
    """How far their logs reach is unknown: that is a service that is away, and no answer."""
    stack = make_cluster_stack(partitions={"cases": 6, "agents": 1, "directory": 1})
    stack.start_worker(properties=QUICK)
    stack.send_items(History(303, cases=50).items)
    stack.check()
    rebuild.until_caught_up(stack, properties=QUICK)
    cluster.kill_broker(1)
    cluster.kill_broker(3)
    try:
        for command in ("prepare", "start"):
            assert "did not answer" in rebuild.run(stack, command, check=3).stderr
        shown = rebuild.status(stack)["partitions"]
        assert any(p["end_offset"] is None and p["lag"] is None for p in shown), shown
    finally:
        cluster.start_broker(1, whole=False)
        cluster.start_broker(3)
    rebuild.wait_phase(stack, "caught-up")
    rebuild.run(stack, "prepare")
