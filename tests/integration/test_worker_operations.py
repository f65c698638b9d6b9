"""What operators do with the database."""

import contextlib
import subprocess

from support import events, programs
from support.postgres import Postgres
from support.random_history import History
from support.waiting import wait_for


def test_databases_of_one_server_are_migrated_at_the_same_time():
    """Roles belong to the server: whoever comes second finds them."""
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
    """Its worker notices within about a second, without a record that would tell it."""
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
    assert worker.metric("caseview_partitions", state="halted") == 0
    stack.send(events.queued(organization, there), partition=0)
    stack.send(events.queued(organization, here), partition=1)
    stack.wait_body(here)
    assert stack.body(there) is None
    assert worker.is_ready(), "what an operator wants is no reason to hold up a rolling update"
    resume(stack, "case", 0)
    stack.wait_body(there, deadline_s=4)
    stack.check()
    assert worker.metric("caseview_recoveries_total") == worker.metric("caseview_fenced_total") == 0
    assert worker.log().count("paused") == 1


def test_a_busy_partition_is_paused_and_the_others_go_on(make_stack):
    """A batch that meets the pause is folded again without it: no start from the cursors, nothing lost or doubled."""
    stack = make_stack(partitions={"cases": 4, "agents": 1, "directory": 1})
    watch = stack.watch_cursors()
    worker = stack.start_worker("--batch-events", "200")
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
    assert worker.metric("caseview_recoveries_total") == worker.metric("caseview_fenced_total") == 0
    stack.stop_worker(worker)
    watch.check()


def test_a_paused_partition_stands_still_under_load(make_stack):
    """Everything up to its cursor is in the rows, and nothing beyond it, for as long as it is paused."""
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    items = History(78, organizations=2, cases=1500).items
    stack.send_items(items[:1000])
    pause(stack, "case", 1)
    worker.wait_log(rf"{stack.topics.case}/1: paused", 5)
    at = cursor(stack, "case", 1)
    stack.send_items(items[1000:])
    stack.halted.add((stack.topics.case, 1))  # only what lies before its cursor is expected
    stack.check()
    assert cursor(stack, "case", 1) == at
    stack.halted.clear()
    resume(stack, "case", 1)
    stack.check()
