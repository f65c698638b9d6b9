"""Operators' commands, and what operators see."""

import contextlib
import itertools
import re
import subprocess

from crash.points import Points
from support import events, programs
from support.postgres import Postgres
from support.random_history import History
from support.stack import batches_of
from support.waiting import all_the_time, wait_for


def test_databases_of_one_server_are_migrated_at_the_same_time():
    """Roles belong to the server: the second migration finds them."""
    with contextlib.closing(Postgres()) as server:
        for _ in range(6):
            databases = [server.create_database() for _ in range(4)]
            argv = [programs.binary("caseview"), "migrate", "--log-format", "text", "--database"]
            running = [
                subprocess.Popen(
                    [*argv, database.conninfo], stderr=subprocess.PIPE, text=True, env=programs.clean_environment()
                )
                for database in databases
            ]
            for program in running:
                text = program.communicate(timeout=60)[1]
                assert program.returncode == 0, text
            for database in databases:
                database.drop()
            server.query("postgres", "DROP ROLE caseview_worker")
            server.query("postgres", "DROP ROLE caseview_reader")


def pause(stack, role, partition, reason="maintenance"):
    stack.database.query(
        "UPDATE ctl.cursor SET state = 'paused', reason = %s, updated_at = now() WHERE topic = %s AND part = %s",
        (reason, stack.topics.name(role), partition),
    )


def resume(stack, role, partition):
    names = ("--topic", stack.topics.name(role), "--partition", partition)
    programs.caseview("resume", "--database", stack.database.conninfo, *names, check=0)


def cursor(stack, role, partition):
    return stack.progress()[stack.topics.name(role), partition][0]


def test_an_idle_partition_is_paused_and_resumed(make_stack):
    """Its worker notices within about a second, without a new record."""
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    organization, before, there, here = (events.guid() for _ in range(4))
    stack.send(events.queued(organization, before), partition=0)
    stack.wait_body(before)
    pause(stack, "case", 0)
    name = f"{stack.topics.case}/0"
    line = worker.wait_log(rf"{name}: paused \(maintenance\) at offset (\d+); .*caseview resume .*", 3)
    assert int(line[1]) == cursor(stack, "case", 0)
    wait_for(lambda: worker.metric("caseview_partitions", state="paused") == 1, 5, "the metrics say so")
    assert worker.metric("caseview_partition_state", state="paused") == 1
    assert worker.metric("caseview_partitions", state="halted") == 0
    stack.send(events.queued(organization, there), partition=0)
    stack.send(events.queued(organization, here), partition=1)
    stack.wait_body(here)
    assert stack.body(there) is None
    assert worker.is_ready(), "what an operator wants is no reason to hold up a rolling update"
    resume(stack, "case", 0)
    stack.wait_body(there, deadline_s=4)
    stack.check()
    assert worker.metric("caseview_recoveries_total") == 1 and worker.metric("caseview_fenced_total") == 0
    assert worker.log().count("paused") == 1


def test_a_busy_partition_is_paused_and_the_others_continue(make_stack):
    """The batch refused by the pause is dropped: all partitions restart from their cursors, without loss."""
    stack = make_stack(partitions={"cases": 4, "agents": 1, "directory": 1})
    watch = stack.watch_cursors()
    worker = stack.start_worker(environment=batches_of(200))
    items = History(77, organizations=2, cases=3000).items
    paused = []
    for number, start in enumerate(range(0, len(items), 500)):
        stack.send_items(items[start : start + 500])
        partition = number % 4
        pause(stack, "case", partition)
        told = paused.count(partition)
        line = f"{stack.topics.case}/{partition}: paused"
        wait_for(lambda line=line, told=told: worker.log().count(line) > told, 5, f"{line} at turn {number}")
        at = cursor(stack, "case", partition)
        resume(stack, "case", partition)
        assert cursor(stack, "case", partition) >= at
        paused.append(partition)
    assert len(paused) >= 8
    stack.check()
    assert worker.metric("caseview_fenced_total") == 0
    stack.stop_worker(worker)
    watch.check()


def test_a_partition_is_resumed_while_names_change(make_stack):
    """Names of a paused partition are rendered; resuming replaces the claim of the batch being filled."""
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    organization, unit = events.guid(), events.guid()
    cases = [events.guid() for _ in range(2)]
    for partition, case in enumerate(cases):
        stack.send(events.queued(organization, case, unit=events.ref(unit)), partition=partition)
        stack.wait_body(case)
    versions = itertools.count(1)

    def rename():
        numbers = itertools.islice(versions, 5)
        stack.send(*(events.unit_event(organization, unit, n, f"name {n}") for n in numbers))

    with all_the_time(rename):  # so that each batch has names to render
        for turn in range(1, 9):
            pause(stack, "case", 1)
            wait_for(lambda turn=turn: worker.log().count("paused (") == turn, 5, "it is paused")
            resume(stack, "case", 1)
            wait_for(lambda turn=turn: worker.log().count("resumed") == turn, 5, "it goes on")
    stack.check()
    assert worker.metric("caseview_fenced_total") == 0


def test_a_paused_partition_does_not_move_under_load(make_stack):
    """While it is paused, the rows contain everything up to its cursor and nothing beyond it."""
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    items = History(78, organizations=2, cases=1500).items
    stack.send_items(items[:1000])
    pause(stack, "case", 1)
    worker.wait_log(rf"{stack.topics.case}/1: paused", 5)
    at = cursor(stack, "case", 1)
    stack.send_items(items[1000:])
    stack.halted.add((stack.topics.case, 1))  # only records before its cursor are expected
    stack.check()
    assert cursor(stack, "case", 1) == at
    stack.halted.clear()
    resume(stack, "case", 1)
    stack.check()


def next_commands(stack, *args):
    report = stack.status(*args)
    done = programs.caseview("status", "--database", stack.database.conninfo, *stack.kafka(), *stack.names(), check=0)
    for line in report["next"]:
        assert f"\n  {line}\n" in done.stdout, "table and JSON say the same"
    return report, report["next"]


def test_problems_are_reported_with_the_command_to_run(make_stack):
    """Each appears in the metrics, in one log line and in the output of status, and only there."""
    stack = make_stack(partitions={"cases": 4, "agents": 1, "directory": 1}, options=["--gap-alarm-s", "1"])
    worker = stack.start_worker()
    stack.wait_caught_up()
    case_topic = stack.topics.case
    wait_for(lambda: stack.status()["healthy"], 10, "all is well")
    assert next_commands(stack)[1] == []

    # Parked.
    stack.send_raw("case", [(b"no guid", b"no event", ())] * 3, 0)
    command = f"caseview parked list --topic {case_topic} --partition 0"
    worker.wait_log(rf"{case_topic}/0: \d events parked, the last at offset \d \(not-avro\): {command}")
    wait_for(lambda: worker.metric("caseview_parked_total", reason="not-avro") == 3, 10, "all three are parked")
    stack.wait_caught_up()
    report, commands = next_commands(stack)
    assert commands == [f"{case_topic}/0 3 parked: {command}"]
    assert [p["parked"] for p in report["partitions"] if p["topic"] == case_topic] == [3, 0, 0, 0]

    # A missing number, and no snapshot.
    organization, degraded, incomplete = events.guid(), events.guid(), events.guid()
    stack.send(events.queued(organization, degraded), partition=1)
    stack.send(events.case_event(organization, degraded, 3, {"CasePositionChanged": {"rank": 1.0}}), partition=1)
    wait_for(lambda: worker.metric("caseview_degraded") == 1, 10, "it is counted")
    worker.wait_log(rf"missing for longer than 1 s, among them: caseview explain --case {degraded}")
    wait_for(lambda: worker.metric("caseview_gap_alarms") == 1, 10, "the alarm is raised")
    assert f"1 degraded, the oldest: caseview explain --case {degraded}" in next_commands(stack)[1]
    stack.send(events.case_event(organization, incomplete, 2, {"CasePositionChanged": {"rank": 1.0}}), partition=1)
    wait_for(lambda: worker.metric("caseview_incomplete") == 1, 10, "it is counted")
    assert f"1 incomplete, one of them: caseview explain --case {incomplete}" in next_commands(stack)[1]

    # Paused, and halted in the cursor, as a worker finds it when it claims the partition from another one.
    pause(stack, "case", 2, "new brokers")
    worker.wait_log(rf"{case_topic}/2: paused \(new brokers\) at offset 0; .*caseview resume --topic {case_topic} --partition 2")
    stack.database.query("UPDATE ctl.cursor SET state = 'halted', reason = 'recreated' WHERE topic = %s AND part = 3", (case_topic,))
    worker.wait_log(rf"{case_topic}/3: halted \(recreated\) at offset 0; .*caseview resume --topic {case_topic} --partition 3")
    report, commands = next_commands(stack)
    names = f"--topic {case_topic} --partition"
    assert f"{case_topic}/2 paused (new brokers): caseview resume {names} 2" in commands
    assert (
        f"{case_topic}/3 halted (recreated): check that the new topic contains all events; then "
        f"caseview cursor set {names} 3 --offset 0 --force; caseview resume {names} 3"
    ) in commands
    assert report["healthy"] is False
    for state in ("paused", "halted"):
        wait_for(lambda state=state: worker.metric("caseview_partitions", state=state) == 1, 5, f"one is {state}")
    assert worker.metric("caseview_partition_state", topic=case_topic, partition="3", state="halted", reason="recreated") == 1
    assert worker.metric("caseview_partition_state", topic=case_topic) == 4, "each partition has one state"
    wait_for(lambda: worker.metric("caseview_parked_events") == 3, 10, "the parked ones are counted")
    assert worker.metric("caseview_topic_partitions", topic=case_topic, generation="1") == 4


def test_a_worker_without_brokers_says_so(make_stack):
    """It remains ready, and knows no newer end of any log: only the number of connections shows it."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    worker = stack.start_worker(properties={"socket.timeout.ms": 5000})
    wait_for(lambda: worker.metric("caseview_broker_connections") > 0, 10, "it is connected")
    rebalances = worker.metric("caseview_rebalances_total")
    assert rebalances >= 1
    stack.broker.program.freeze()
    wait_for(lambda: worker.metric("caseview_broker_connections") == 0, 30, "it has noticed")
    stack.broker.program.thaw()
    wait_for(lambda: worker.metric("caseview_broker_connections") > 0, 30, "it is connected again")
    stack.send(events.queued(events.guid(), events.guid()))
    stack.check()


def test_the_age_of_the_loop_shows_a_worker_that_hangs(make_stack):
    """The port's threads answer while the loop waits, here for a lock of another session."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    stack.wait_caught_up()
    assert worker.metric("caseview_loop_age_seconds") < 2
    with contextlib.closing(stack.postgres.connect(stack.database.name)) as other:
        other.autocommit = False
        other.cursor().execute("LOCK TABLE ctl.generation IN ACCESS EXCLUSIVE MODE")
        wait_for(lambda: worker.metric("caseview_loop_age_seconds") > 2, 10, "the loop waits")
        other.rollback()
    wait_for(lambda: worker.metric("caseview_loop_age_seconds") < 1, 10, "it turns again")


def test_claims_that_cannot_succeed_are_reported(make_stack):
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.stop_worker(stack.start_worker())
    with contextlib.closing(stack.postgres.connect(stack.database.name)) as operator:
        operator.autocommit = False
        operator.cursor().execute("SELECT FROM ctl.cursor WHERE topic = %s FOR UPDATE", (stack.topics.case,))
        worker = stack.start_worker(ready=False)
        worker.wait_log(rf"{stack.topics.case}/0: cannot be read yet: its cursor is locked .*pg_stat_activity")
        wait_for(lambda: worker.metric("caseview_claims_refused_total") >= 1, 10, "it is counted")
        wait_for(lambda: worker.metric("caseview_partitions", state="unclaimed") == 1, 10, "and so is the partition")
        operator.rollback()
    stack.check()


def test_concurrent_writes_and_locks_are_reported_without_flooding_the_log(make_stack):
    """When another writer has changed a row, the batch is refused and its records are read again. One line reports the
    first time, and further ones are counted."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    organization, case = events.guid(), events.guid()
    stack.send(events.queued(organization, case))
    stack.wait_body(case)
    for number in range(2, 12):
        stack.database.query("UPDATE gen_1.case_state SET rev = rev + 1 WHERE case_id = %s", (case,))
        stack.send(events.case_event(organization, case, number, {"CasePositionChanged": {"rank": float(number)}}))
        stack.wait_body(case, lambda body, number=number: body and f'"rank":{number},' in body)
        assert worker.metric("caseview_refolds_total") == number - 1
    stack.check()
    lines = [line for line in worker.log().splitlines() if "another writer" in line]
    assert 1 <= len(lines) <= 5 and "caseview status" in lines[0]
    assert worker.metric("caseview_recoveries_total") == 10
    assert "starting again" not in worker.log()


def test_a_record_after_a_quiet_time_is_not_an_old_lag(make_stack):
    """The last record folded is an hour old; newer ones have only waited for a moment."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    organization, case = events.guid(), events.guid()
    stack.send(events.queued(organization, case))
    stack.wait_body(case)
    stack.wait_caught_up()
    stack.database.query("UPDATE ctl.cursor SET last_record_at = last_record_at - 3600000 WHERE topic = %s", (stack.topics.case,))
    worker.freeze()
    stack.send(events.queued(organization, events.guid()))
    (mine,) = (p for p in stack.status()["partitions"] if p["topic"] == stack.topics.case)
    assert mine["lag"] == 1 and 0 <= mine["lag_seconds"] < 60
    worker.thaw()
    stack.wait_caught_up()


def test_a_frozen_worker_is_not_live(make_stack, tmp_path):
    """After the group has expelled it, /live fails, so that Kubernetes restarts it."""
    options = ["--kafka", "max.poll.interval.ms=7000"]
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1}, options=options)
    points = Points(tmp_path / "points", [("decoded", "wait", 1)])
    worker = stack.start_worker(environment=points.environment)
    organization, case = events.guid(), events.guid()
    stack.send(events.queued(organization, case))
    points.wait_reached(worker, "decoded")
    assert worker.get("/live").status_code == 200
    wait_for(lambda: worker.get("/live").status_code == 503, 20, "the probe fails")
    assert re.fullmatch(r"the loop has been stuck for \d+ s, longer than max\.poll\.interval\.ms\n", worker.get("/live").text)
    assert points.release("decoded")
    stack.check()
    assert worker.get("/live").text == "live\n"


def test_a_worker_ends_even_if_its_kafka_library_does_not(make_stack, tmp_path):
    """The library may wait indefinitely for its own threads or for the answer of a closed group."""
    stack = make_stack()
    points = Points(tmp_path / "points", [("consumer.destroy", "wait", 1)])
    worker = stack.start_worker(environment=points.environment)
    stack.send(*(events.queued(events.guid(), events.guid()) for _ in range(20)))
    stack.wait_caught_up()
    stack.stop_worker(worker)
    assert "did not shut down" in worker.log()
    stack.check()
