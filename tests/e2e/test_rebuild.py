"""`caseview rebuild` on Apache Kafka: logs whose start retention has removed, partition growth, transactions."""

import random
import threading

import pytest

from crash.faults import know_partitions
from support import events, naive_fold, programs, rebuild
from support.kafka import fresh_topics
from support.random_history import SEEDS, History
from support.waiting import wait_for


class WholeLog:
    """All records that were ever in the topics: what retention removes is remembered."""

    def __init__(self, stack):
        self.stack, self.records = stack, {}
        self.collect()

    def collect(self):
        for role, records in self.stack.broker.read_all(self.stack.topics).items():
            self.records.setdefault(role, {}).update({(r.topic, r.partition, r.offset): r for r in records})

    def fold(self):
        self.collect()
        ordered = {role: [found[where] for where in sorted(found)] for role, found in self.records.items()}
        return naive_fold.fold(ordered, naive_fold.Decoder(self.stack.schemas, self.stack.registry))


def trim(stack, rng):
    """Removes all of one partition of the case topic, half of the next, and some of one of each other topic."""
    ends = stack.broker.ends(stack.topics)

    def remove(role, partition, share):
        low, end = ends[stack.topics.name(role), partition]
        stack.broker.delete_records(stack.topics.name(role), partition, low + max(1, int((end - low) * share)))

    counts = stack.topics.partitions
    first = rng.randrange(counts["case"])
    remove("case", first, 1)
    remove("case", (first + 1) % counts["case"], 0.5)
    for role in ("agent", "directory"):
        remove(role, rng.randrange(counts[role]), rng.choice([0.3, 0.6, 0.9]))


def deletable_topics(stack, **partitions):
    """Topics of this stack whose records may be deleted: the directory's is compacted otherwise."""
    stack.topics = fresh_topics(**partitions)
    for role, count in stack.topics.partitions.items():
        stack.broker.create_topic(stack.topics.name(role), count)


def bad_records(stack, count):
    stack.send_raw("case", [(events.guid().encode(), b"no avro %d" % i, ()) for i in range(count)])
    stack.send_raw("directory", [(b"nonsense", b"no avro either", ())])


@pytest.mark.parametrize("seed", SEEDS)
def test_carry_over_gives_the_view_of_the_whole_history(make_kafka_stack, seed):
    """Half of the history is folded, a random part of it removed, and the rest comes while the rebuild is prepared."""
    print("seed", seed)
    rng = random.Random(seed)
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    deletable_topics(stack, cases=3, agents=2, directory=2)
    stack.start_worker()
    items = History(seed, organizations=3, cases=150).items
    half = len(items) // 2
    bad_records(stack, 5)
    stack.send_items(items[:half])
    stack.check()
    log = WholeLog(stack)
    trim(stack, rng)

    started = rebuild.start(stack)
    assert started["carry_over"] and started["missing"] > 0
    rebuild.fill(stack, workers=2)
    rebuild.wait_phase(stack, "caught-up")
    sending = threading.Thread(target=stack.send_items, args=(items[half:],))
    sending.start()
    rebuild.run(stack, "prepare")
    sending.join()
    steps = {step["step"]: step for step in rebuild.status(stack)["steps"]}
    assert steps["carry-over cases"]["changed"] > 0 and steps["carry-over agents"]["changed"] > 0
    assert all(step["finished"] for step in steps.values()) and "carry-over parked" in steps

    bad_records(stack, 2)
    rebuild.switch_when_level(stack, 2)
    stack.wait_caught_up()
    view = log.fold()
    assert view.parked
    rebuild.wait_equal(stack, view)
    rebuild.switch(stack, 1)
    rebuild.wait_equal(stack, view)


def test_from_log_only_shows_what_the_log_still_has(make_kafka_stack):
    stack = make_kafka_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.start_worker()
    stack.send_items(History(5, organizations=2, cases=100, gaps=0).items)
    stack.check()
    for partition in range(2):
        _, end = stack.broker.ends(stack.topics)[stack.topics.case, partition]
        stack.broker.delete_records(stack.topics.case, partition, end)
    assert not rebuild.start(stack, "--from-log-only")["carry_over"]
    rebuild.fill(stack)
    rebuild.wait_phase(stack, "caught-up")
    rebuild.run(stack, "prepare")
    assert stack.database.query("SELECT count(*) FROM caseview_2.active_case") == [(0,)]
    assert stack.database.query("SELECT count(*) > 0 FROM caseview_2.agent") == [(True,)]
    rebuild.run(stack, "abort")


def test_partitions_are_added_while_a_generation_is_filled_and_when_it_is_ready(make_kafka_stack):
    stack = make_kafka_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    fresh = {"topic.metadata.refresh.interval.ms": 1000}
    stack.start_worker(properties=fresh)
    items = History(7, organizations=2, cases=150).items
    third = len(items) // 3

    def grow(**counts):
        for role, count in counts.items():
            stack.broker.grow_topic(stack.topics.name(role), count)
            know_partitions(stack.broker, stack.topics.name(role), count)
            stack.topics.partitions[role] = count

    stack.send_items(items[:third])
    stack.check()
    rebuild.start(stack)
    (slow,) = rebuild.fill(stack, properties=fresh, environment={"CASEVIEW_BULK_RATE": "50"})
    cursors = "SELECT count(*) FROM ctl.cursor WHERE gen = 2"
    wait_for(lambda: stack.database.value(cursors) == 4, 30, "it reads")
    assert rebuild.phase(stack) == "filling"
    grow(case=4, agent=2)
    wait_for(lambda: stack.database.value(cursors) == 7, 40, "it reads the new partitions, too")
    stack.send_items(items[third : 2 * third])
    stack.stop_worker(slow)
    rebuild.fill(stack, properties=fresh)
    rebuild.wait_phase(stack, "caught-up")
    rebuild.run(stack, "prepare")
    grow(case=5)
    stack.send_items(items[2 * third :])
    rebuild.switch_when_level(stack, 2)
    stack.check()
    rebuild.switch_when_level(stack, 1)
    stack.check()


def test_a_row_that_an_operator_wrote_before_carry_over_does_not_stay(make_kafka_stack):
    """In the log that is left a case is open, and `repair` lists it; the older generation knows that it is closed."""
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    organization, closed, other = (events.guid() for _ in range(3))
    stack.send(events.case_event(organization, closed, 2, {"CaseClosed": {}}))
    stack.wait_caught_up()
    stack.broker.delete_records(stack.topics.case, 0, stack.broker.ends(stack.topics)[stack.topics.case, 0][1])
    stack.send(events.queued(organization, closed), events.queued(organization, other))  # the first one comes late
    stack.wait_body(other)
    assert rebuild.start(stack)["carry_over"]
    rebuild.fill(stack)
    rebuild.wait_phase(stack, "caught-up")
    options = ("--database", stack.database.conninfo, *stack.kafka(), *stack.names(), "--schema-dir", stack.schemas.folder)
    stack.database.query("DELETE FROM gen_2.case_state WHERE case_id = %s", (closed,))  # as a damage to be repaired
    programs.caseview("repair", "--generation", 2, "--case", closed, *options, check=0)
    rows = "SELECT case_id::text FROM caseview_2.active_case"
    assert stack.database.query(rows) == [(closed,)], "the command has listed it"
    rebuild.run(stack, "prepare")
    rebuild.switch_when_level(stack, 2)
    assert list(stack.active_cases()) == [(organization, other)]
