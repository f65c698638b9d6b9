"""`caseview rebuild` on Apache Kafka: logs whose start retention has removed, partition growth. Random histories are in
test_rebuild_history.py."""

from crash.faults import know_partitions
from support import events, programs, rebuild
from support.random_history import History
from support.waiting import wait_for


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
    """In the log that is left a case is open, and `repair` lists it; the older generation knows that it is closed, and since
    when."""
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
    over = "SELECT over_at FROM gen_{}.case_state WHERE case_id = %s"
    stack.database.query("UPDATE gen_1.case_state SET over_at = now() - interval '30 days' WHERE case_id = %s", (closed,))
    rebuild.run(stack, "prepare")
    assert stack.database.value(over.format(2), (closed,)) == stack.database.value(over.format(1), (closed,))
    rebuild.switch_when_level(stack, 2)
    assert list(stack.active_cases()) == [(organization, other)]
