"""Rebuilds of random histories that have everything a log may have: records that are parked, for every reason; duplicates;
both framings; committed and aborted transactions; partitions that are added; a directory that Kafka has compacted; and a
start that retention has removed. The rows are those of the live generation and of the naive fold of the whole history."""

import random

import pytest

from support import events, rebuild
from support.bad_input import KINDS, Maker
from support.kafka import fresh_topics
from support.random_history import SEEDS, History
from support.refused_rows import REASON, refuse
from support.waiting import wait_for
from support.whole_log import WholeLog, trim

REASONS = {
    "not-avro", "unknown-schema", "wrong-type", "bad-guid", "bad-text", "bad-rank", "bad-json", "bad-time", "bad-sequence",
    "missing-key", "key-mismatch", "no-value", "too-large", REASON,
}  # fmt: skip
SCHEMA_ID = {"case": 71, "agent": 72, "directory": 73}
KEPT = {"cleanup.policy": "delete", "retention.ms": -1, "max.message.bytes": 8_000_000}
# Segments end at once, and the cleaner need not wait for anything; records can be deleted, too.
COMPACTED = {
    **KEPT, "cleanup.policy": "compact,delete", "segment.ms": 100, "min.cleanable.dirty.ratio": 0.001,
    "max.compaction.lag.ms": 100, "delete.retention.ms": 0,
}  # fmt: skip
CHUNKS = 8  # of each part of the history


class Producer:
    """Sends a history in parts."""

    def __init__(self, stack, rng):
        self.stack, self.rng, self.maker = stack, rng, Maker(stack.schemas)
        self.refused = [events.guid() for _ in range(2)]
        self.sent = {"committed": 0, "aborted": 0}
        for role, number in SCHEMA_ID.items():
            stack.registry.register(stack.schemas.by_role[role].text, number)

    def encode(self, role, value):
        if value is None:
            return None
        if self.rng.random() < 0.3:
            return self.stack.schemas.by_role[role].registry_framed(SCHEMA_ID[role], value)
        return self.stack.encode(role, value)

    def records(self, items):
        return [self.stack.record(role, key, self.encode(role, value), ()) for role, key, value in items]

    def forged(self, items):
        """Events that would change the rows of these items, if they were folded."""
        out = []
        for role, _, value in items:
            if role == "case":
                out.append(events.case_event(value["organizationId"], value["caseId"], 999, {"CaseClosed": {}}))
            elif role == "agent":
                out.append(
                    events.agent_event(value["organizationId"], value["userId"], 999, {"AgentCurrentUnitCleared": {}})
                )
            elif value:
                kind = events.key_of(role, value).decode().split(":")[0]
                removed = {"EntityRemoved": {"kind": kind}}
                out.append(events.directory_event(value["organizationId"], value["entityId"], 999, removed))
        return [(role, events.key_of(role, value), value) for role, value in out]

    def bad(self, share):
        """Some of the records of each kind that is parked. A compacted topic takes none without a key."""
        out = []
        for role, _, make in KINDS.values():
            key, value, headers = make(self.maker)
            if self.rng.random() < share and not (role == "directory" and key is None):
                out.append(self.stack.record(role, key or b"", value, headers)[:2] + (key, value, headers))
        self.rng.shuffle(out)
        return out

    def send_part(self, log, items, bad_share):
        """A part of the history between bad records, partly in transactions, and with some that are aborted."""
        size = len(items) // CHUNKS + 1
        for number, at in enumerate(range(0, len(items), size)):
            chunk = items[at : at + size]
            if number % 3 == 1:
                self.stack.broker.send_in_transaction(self.records(self.forged(self.rng.sample(chunk, 5))), commit=False)
                self.sent["aborted"] += 1
            if number % 3 == 2:
                self.stack.broker.send_in_transaction(self.records(chunk))
                self.sent["committed"] += 1
            else:
                self.stack.broker.send(self.records(chunk))
        self.stack.broker.send(self.bad(bad_share))
        places = self.stack.send(*(events.queued(self.maker.organization, case, 1) for case in self.refused))
        log.refused.update((self.stack.topics.case, partition, offset) for partition, offset in places)


def compact(stack, producer, log):
    """Until the cleaner has removed records of each partition of the directory. It leaves the last segment alone, so others
    follow. The topic is as before afterwards, so that nothing is removed unseen."""
    topic, directory = stack.topics.directory, stack.topics.partitions["directory"]
    stack.broker.set_topic(topic, **COMPACTED)

    def removed():
        for partition in range(directory):
            stack.send(events.unit_event(producer.maker.organization, events.guid(), 1, "x"), partition=partition)
        log.collect()
        kept = {(r.partition, r.offset) for r in stack.broker.read_all(stack.topics)["directory"]}
        gone = {p for (_, p, offset) in log.records["directory"] if (p, offset) not in kept}
        return len(gone) == directory

    wait_for(removed, 60, "the directory topic is compacted", poll_s=0.3)
    stack.broker.set_topic(topic, **KEPT)


def wait_equal_generations(stack):
    last = {}

    def equal():
        last.update(live=rebuild.views(stack, "caseview"), other=rebuild.views(stack, "caseview_2"))
        return last["live"] == last["other"]

    wait_for(equal, 30, "both generations show the same rows", poll_s=0.5)
    assert all(last["live"].values())


@pytest.mark.parametrize("trimmed", [False, True], ids=["whole log", "trimmed log"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_rebuild_gives_the_view_of_the_whole_history(make_kafka_stack, registry, seed, trimmed):
    """Half of the history is folded; then some of it is removed, and the rest comes while the rebuild is prepared."""
    print("seed", seed)
    rng = random.Random(seed)
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1}, registry=registry)
    stack.topics = fresh_topics(cases=3, agents=2, directory=2)
    for role, partitions in stack.topics.partitions.items():
        stack.broker.create_topic(stack.topics.name(role), partitions, **{k: str(v) for k, v in KEPT.items()})
    fresh = {"topic.metadata.refresh.interval.ms": 1000}
    producer, log = Producer(stack, rng), WholeLog(stack)
    refuse(stack, "case_state", "case_id", "23514", *producer.refused)
    stack.start_worker(properties=fresh)
    items = History(seed, organizations=3, cases=120, ordered_directory=not trimmed).items
    half = len(items) // 2
    producer.send_part(log, items[:half], 1)
    stack.wait_caught_up()
    log.collect()
    compact(stack, producer, log)
    if trimmed:
        trim(stack, rng)
    stack.wait_caught_up()

    started = rebuild.start(stack)
    assert started["carry_over"] == trimmed and (started["missing"] > 0) == trimmed
    refuse(stack, "case_state", "case_id", "23514", *producer.refused, gen=2)
    if trimmed:
        trim(stack, rng)  # retention goes on before the new workers read
    early = rng.random() < 0.5
    if early:
        stack.grow(case=5, agent=3)
    rebuild.fill_up(stack, workers=2, properties=fresh)
    if not early:
        stack.grow(case=5, agent=3)
        rebuild.wait_phase(stack, "caught-up")
    prepare = rebuild.begin(stack, "prepare", "prepare")
    begun = "SELECT count(*) FROM ctl.generation WHERE prepare_started_at IS NOT NULL AND state = 'waiting'"
    wait_for(lambda: stack.database.value(begun) == 1, 20, "the preparation has begun", poll_s=0.01)
    producer.send_part(log, items[half:], 0.3)
    assert prepare.wait(90) == 0, prepare.log()
    assert min(producer.sent.values()) >= 4
    if trimmed:
        steps = {step["step"]: step for step in rebuild.status(stack)["steps"]}
        assert steps["carry-over cases"]["changed"] > 0 and steps["carry-over agents"]["changed"] > 0
        assert all(step["finished"] for step in steps.values()) and "carry-over parked" in steps

    stack.wait_caught_up()
    wait_equal_generations(stack)
    rebuild.run(stack, "compare")
    view = log.fold()
    assert {reason for reason, _, _ in view.parked.values()} >= REASONS
    for generation in (2, 1):
        rebuild.switch_when_level(stack, generation)
        stack.wait_caught_up()
        rebuild.wait_equal(stack, view)
