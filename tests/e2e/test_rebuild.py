"""`caseview rebuild` on Apache Kafka: logs whose start retention has removed, partition growth. Random histories are in
test_rebuild_history.py."""

import signal

from crash.points import Points
from support import events, programs, rebuild
from support.random_history import History
from support.waiting import wait_for

FRESH = {"topic.metadata.refresh.interval.ms": 1000}


def test_from_log_only_shows_what_the_log_still_has(make_kafka_stack):
    stack = make_kafka_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.start_worker()
    stack.send_items(History(5, organizations=2, cases=100, gaps=0).items)
    stack.check()
    for partition in range(2):
        stack.trim("case", partition)
    assert not rebuild.start(stack, "--from-log-only")["carry_over"]
    rebuild.fill_up(stack)
    rebuild.run(stack, "prepare")
    assert stack.database.query("SELECT count(*) FROM caseview_2.active_case") == [(0,)]
    assert stack.database.query("SELECT count(*) > 0 FROM caseview_2.agent") == [(True,)]
    rebuild.run(stack, "abort")


def test_partitions_are_added_while_a_generation_is_filled_and_when_it_is_ready(make_kafka_stack):
    stack = make_kafka_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.start_worker(properties=FRESH)
    items = History(7, organizations=2, cases=150).items
    third = len(items) // 3

    stack.send_items(items[:third])
    stack.check()
    rebuild.start(stack)
    (slow,) = rebuild.fill(stack, properties=FRESH, environment={"CASEVIEW_BULK_RATE": "50"})
    cursors = "SELECT count(*) FROM ctl.cursor WHERE gen = 2"
    wait_for(lambda: stack.database.value(cursors) == 4, 30, "it reads")
    assert rebuild.phase(stack) == "filling"
    stack.grow(case=4, agent=2)
    wait_for(lambda: stack.database.value(cursors) == 7, 40, "it reads the new partitions, too")
    stack.send_items(items[third : 2 * third])
    stack.stop_worker(slow)
    rebuild.fill_up(stack, properties=FRESH)
    rebuild.run(stack, "prepare")
    stack.grow(case=5)
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
    stack.trim("case")
    stack.send(events.queued(organization, closed), events.queued(organization, other))  # the first one comes late
    stack.wait_body(other)
    assert rebuild.start(stack)["carry_over"]
    rebuild.fill_up(stack)
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


def test_a_parked_record_that_is_retried_between_two_runs_of_prepare_is_not_lost(make_kafka_stack, registry):
    """The log no longer has it, and `parked retry` moves it to a state that the first run has read already."""
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1}, registry=registry)
    stack.start_worker()
    organization, unit, case, late = (events.guid() for _ in range(4))
    stack.send(events.queued(organization, case), events.unit_event(organization, unit, 1, "Haifa"),
               events.agent_event(organization, events.guid(), 1, {"AgentCurrentUnitSelected": {"unitId": unit}}))  # fmt: skip
    role, value = events.queued(organization, late)
    schema = stack.schemas.by_role[role]
    stack.send_raw(role, [(late.encode(), schema.registry_framed(7002, value), ())])
    stack.wait_caught_up()
    stack.trim("case")
    stack.trim("agent")
    rebuild.until_caught_up(stack)
    points = Points(stack.folder / "points", [("carry.page", "kill", 3)])
    rebuild.run(stack, "prepare", check=-signal.SIGKILL, environment=points.environment)
    registry.register(schema.text, 7002)
    options = ["--database", stack.database.conninfo, *stack.names(), "--schema-dir", stack.schemas.folder,
               "--schema-registry", registry.url]  # fmt: skip
    assert "1 tried, 1 folded" in programs.caseview("parked", "retry", *options, check=0).stdout
    rebuild.run(stack, "prepare")
    programs.caseview("parked", "retry", "--generation", 2, *options, check=0)
    rebuild.switch_when_level(stack, 2)
    assert set(stack.active_cases()) == {(organization, case), (organization, late)}


def test_parked_records_of_a_partition_that_was_added_are_carried_over(make_kafka_stack):
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker(properties=FRESH)
    stack.send(events.queued(events.guid(), events.guid()))
    stack.wait_caught_up()
    rebuild.start(stack, "--carry-over")
    stack.grow(case=2)
    stack.send_raw("case", [(b"key", b"no event", ())], 1)
    parked = "SELECT topic, part, \"offset\", value FROM gen_{}.parked"
    wait_for(lambda: stack.database.query(parked.format(1)), 30, "the record is parked")
    stack.trim("case", 1)
    rebuild.fill_up(stack)
    rebuild.run(stack, "prepare")
    assert stack.database.query(parked.format(2)) == stack.database.query(parked.format(1))


def test_what_is_carried_over_is_of_the_generation_that_readers_see(make_kafka_stack):
    """Readers are switched back between `start` and `prepare`, and the other generation's workers stop."""
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    organization, first, second = (events.guid() for _ in range(3))
    stack.send(events.queued(organization, first))
    stack.wait_caught_up()
    (worker,) = rebuild.until_ready(stack)
    rebuild.switch_when_level(stack, 2)
    stack.trim("case")
    assert rebuild.start(stack)["carry_over"]
    rebuild.switch_when_level(stack, 1)
    stack.stop_worker(worker)
    stack.send(events.queued(organization, second))
    wait_for(lambda: (organization, second) in stack.active_cases(), 30, "the live generation shows the case")
    stack.trim("case")
    rebuild.fill_up(stack, 3)
    assert "carrying over from generation 1" in rebuild.run(stack, "prepare").stderr
    assert stack.database.query("SELECT count(*) FROM caseview_3.active_case") == [(2,)]


def test_a_second_run_carries_over_the_generation_that_readers_see_then(make_kafka_stack):
    """Readers are switched back after the first run was killed, and the other generation's workers stop."""
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    organization = events.guid()
    first, second = sorted(events.guid() for _ in range(2))
    stack.send(events.queued(organization, second))
    stack.wait_caught_up()
    (worker,) = rebuild.until_ready(stack)
    rebuild.switch_when_level(stack, 2)
    stack.trim("case")
    assert rebuild.start(stack)["carry_over"]
    (filler,) = rebuild.fill_up(stack, 3)
    points = Points(stack.folder / "points", [("carry.page", "kill", 3)])
    rebuild.run(stack, "prepare", check=-signal.SIGKILL, environment=points.environment)
    rebuild.switch_when_level(stack, 1)
    stack.stop_worker(worker)
    stack.stop_worker(filler)
    stack.send(events.queued(organization, first))  # before the case that the first run carried over last
    wait_for(lambda: (organization, first) in stack.active_cases(), 30, "the live generation shows the case")
    stack.trim("case")
    rebuild.fill(stack, 3)
    go_on_after_gap(stack, 3)
    assert "carrying over from generation 1" in rebuild.prepare_when_read(stack).stderr
    assert rebuild.views(stack, "caseview_3") == rebuild.views(stack, "caseview")


class Gap:
    """Events of a case that has been carried over already, and a bad record, come to a partition while the filling workers
    are away; retention removes them before those read."""

    def __init__(self, stack):
        self.stack = stack
        self.organization, self.case = events.guid(), events.guid()
        stack.start_worker(properties=FRESH)
        stack.send(events.queued(self.organization, self.case),
                   events.agent_event(self.organization, events.guid(), 1, {"AgentCurrentUnitSelected": {"unitId": events.guid()}}))  # fmt: skip
        stack.wait_caught_up()
        assert not rebuild.start(stack)["carry_over"]
        stack.trim("case")  # after `start` has looked
        (self.filler,) = rebuild.fill_up(stack, properties=FRESH)
        points = Points(stack.folder / "points", [("carry.page", "kill", 3)])
        rebuild.run(stack, "prepare", check=-signal.SIGKILL, environment=points.environment)
        (step,) = [step for step in rebuild.status(stack)["steps"] if step["step"] == "carry-over cases"]
        assert step["seen"] == 1
        stack.stop_worker(self.filler)

    def make(self, partition):
        self.stack.send(events.case_event(self.organization, self.case, 2, {"CasePositionChanged": {"rank": 7.25}}),
                        events.queued(self.organization, events.guid()), partition=partition)  # fmt: skip
        self.stack.send_raw("case", [(b"key", b"no event", ())], partition)
        self.stack.wait_caught_up()
        self.stack.trim("case", partition)
        rebuild.fill(self.stack, properties=FRESH)

    def check(self):
        """prepare refuses until all is read; then the new generation shows what readers see."""
        rebuild.prepare_when_read(self.stack)
        before = rebuild.views(self.stack, "caseview")
        assert len(before["active_case"]) == 2 and before["agent"] and before["parked"]
        assert rebuild.views(self.stack, "caseview_2") == before
        rebuild.switch_when_level(self.stack, 2)


def go_on_after_gap(stack, generation):
    """The workers of the generation halt, and the operator lets them go on at the start of the log."""
    halted = "SELECT count(*) FROM ctl.cursor WHERE gen = %s AND state = 'halted' AND reason = 'retention-gap'"
    wait_for(lambda: stack.database.value(halted, (generation,)) == 1, 40, "the partition halts")
    assert "halted" in rebuild.run(stack, "prepare", check=2).stderr
    where = ("--generation", generation, "--topic", stack.topics.case, "--partition", 0, "--database", stack.database.conninfo)
    programs.caseview("cursor", "set", *where, "--offset", 0, "--force", *stack.kafka(), check=0)
    programs.caseview("resume", *where, check=0)


def test_what_retention_removes_between_two_runs_of_prepare_is_carried_over(make_kafka_stack):
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    gap = Gap(stack)
    gap.make(0)
    go_on_after_gap(stack, 2)
    gap.check()


def test_what_retention_removes_of_a_partition_before_it_is_claimed_is_carried_over(make_kafka_stack):
    """Nothing halts: the partition is new to the workers that fill."""
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    gap = Gap(stack)
    stack.grow(case=2)
    gap.make(1)
    gap.check()


def test_a_case_of_a_partition_that_is_added_during_prepare_is_rendered(make_kafka_stack):
    """The live generation reads the new partition first; a worker that fills claims it when all is prepared."""
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker(properties=FRESH)
    stack.send(events.queued(events.guid(), events.guid()))
    stack.wait_caught_up()
    # This worker would look for new partitions after minutes.
    (filler,) = rebuild.until_caught_up(stack, start_options=["--carry-over"])
    points = Points(stack.folder / "points", [("prepare.begun", "wait", 1)])
    prepare = rebuild.begin(stack, "prepare", "prepare", environment=points.environment)
    points.wait_reached(prepare, "prepare.begun")
    stack.grow(case=2)
    case = events.guid()
    stack.send(events.queued(events.guid(), case), partition=1)
    stack.wait_body(case, deadline_s=40)
    points.wait_released("prepare.begun")
    assert prepare.wait(60) == 0, prepare.log()
    claimed = "SELECT count(*) FROM ctl.cursor WHERE gen = 2 AND topic = %s AND part = 1"
    assert stack.database.value(claimed, (stack.topics.case,)) == 0
    stack.stop_worker(filler)
    rebuild.fill(stack)
    rebuild.switch_when_level(stack, 2)
    assert stack.body(case)
    stack.check()
