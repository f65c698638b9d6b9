"""`caseview pause`, `resume` and `cursor` while workers run. Each command leaves a row in ctl.audit."""

import json

from support import events, programs
from support.random_history import History
from support.stack import batches_of
from support.waiting import wait_for

AUDIT = "SELECT command, topic, part, reason, detail, client FROM ctl.audit ORDER BY id"


def run(stack, command, *args, check=0, kafka=True):
    broker = stack.kafka() if kafka else []
    return programs.caseview(
        *command.split(), "--database", stack.database.conninfo, "--log-format", "text", *broker, *args, check=check
    )


def of(stack, role, partition):
    return ("--topic", stack.topics.name(role), "--partition", partition)


def offset(stack, role, partition):
    return stack.progress()[stack.topics.name(role), partition][0]


def test_pause_and_resume_are_recorded_in_the_audit_trail(make_stack):
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    organization, before, there, here = (events.guid() for _ in range(4))
    stack.send(events.queued(organization, before), partition=0)
    stack.wait_body(before)
    done = run(stack, "pause", *of(stack, "case", 0), "--reason", "the disk is full", "--json")
    paused = json.loads(done.stdout)
    assert paused == {"topic": stack.topics.case, "partition": 0, "next_offset": offset(stack, "case", 0)}
    worker.wait_log(rf"{stack.topics.case}/0: paused \(the disk is full\)", 3)
    stack.send(events.queued(organization, there), partition=0)
    stack.send(events.queued(organization, here), partition=1)
    stack.wait_body(here)
    assert stack.body(there) is None and offset(stack, "case", 0) == paused["next_offset"]
    done = run(stack, "pause", *of(stack, "case", 0), check=1)
    assert done.stdout == "" and f"no partition of topic {stack.topics.case}, partition 0 is live" in done.stderr
    done = run(stack, "resume", *of(stack, "case", 0), "--reason", "there is room again")
    assert done.stdout == f"{stack.topics.case}/0 resumed at offset {paused['next_offset']}\n"
    stack.wait_body(there, deadline_s=4)
    done = run(stack, "resume", check=1)
    assert "no partition of any topic is halted or paused" in done.stderr
    (pause, resume) = stack.database.query(AUDIT)
    assert pause[:4] == ("pause", stack.topics.case, 0, "the disk is full")
    assert pause[4] == {"offset": paused["next_offset"]} and ":" in pause[5]
    assert resume[:4] == ("resume", stack.topics.case, 0, "there is room again")
    assert resume[4] == {"offset": paused["next_offset"], "state": "paused", "stopped_for": "the disk is full"}
    stack.check()


def test_pause_everything_under_load(make_stack):
    """All partitions stop, with everything before their cursors committed, and continue after the resume."""
    stack = make_stack(partitions={"cases": 3, "agents": 2, "directory": 2})
    stack.start_worker(ready=False, environment=batches_of(200))
    stack.start_worker(ready=False, environment=batches_of(200))
    items = History(91, organizations=2, cases=600).items
    half = len(items) // 2
    stack.send_items(items[:half])
    wait_for(lambda: len(stack.progress()) == 7, 30, "all partitions have an owner")
    lines = run(stack, "pause", "--reason", "maintenance", "--json").stdout.splitlines()
    stood = {(r["topic"], r["partition"]): r["next_offset"] for r in map(json.loads, lines)}
    assert len(stood) == 7
    stack.send_items(items[half:])
    stack.halted.update(stood)
    stack.check()
    assert {where: row[0] for where, row in stack.progress().items()} == stood
    stack.halted.clear()
    assert len(run(stack, "resume").stdout.splitlines()) == 7
    stack.check()


def test_cursor_show(make_stack):
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    done = run(stack, "cursor show", check=1)
    assert "no worker has read it yet" in done.stderr
    worker = stack.start_worker()
    stack.send(events.queued(events.guid(), events.guid()), partition=1)
    stack.wait_caught_up()
    rows = [json.loads(line) for line in run(stack, "cursor show", "--json").stdout.splitlines()]
    assert [(r["topic"], r["partition"]) for r in rows] == sorted(stack.progress())
    (row,) = [r for r in rows if (r["topic"], r["partition"]) == (stack.topics.case, 1)]
    assert (row["next_offset"], row["last_record_offset"], row["state"], row["reason"]) == (1, 0, "live", None)
    assert row["owner"].endswith(f":{worker.process.pid}") and row["complete_at"].endswith("Z")
    text = run(stack, "cursor show", *of(stack, "case", 1)).stdout.splitlines()
    assert len(text) == 2 and text[1].split()[:5] == [stack.topics.case, "1", "live", "1", "0"]


def test_cursor_set_needs_force_and_an_offset_within_the_log(make_stack):
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    stack.send(*(events.queued(events.guid(), events.guid()) for _ in range(3)))
    stack.wait_caught_up()
    where = of(stack, "case", 0)
    assert "needs --topic, --partition and --offset" in run(stack, "cursor set", *where, check=2).stderr
    done = run(stack, "cursor set", *where, "--offset", 2, check=2)
    assert "never folded" in done.stderr and "--force" in done.stderr and done.stderr.count("\n") == 1
    done = run(stack, "cursor set", *where, "--offset", 4, "--force", check=2)
    assert "offset 4 is not in the log" in done.stderr and "0 to 3" in done.stderr
    assert offset(stack, "case", 0) == 3
    run(stack, "cursor set", *of(stack, "case", 7), "--offset", 0, "--force", check=1)
    assert stack.database.query(AUDIT) == []
    done = run(stack, "cursor set", *where, "--offset", 3, "--force", kafka=False)
    assert "is not checked" in done.stderr


def test_an_idle_owner_follows_cursor_set_at_once(make_stack):
    """Deleted rows are rebuilt although no new record arrives; other partitions are not affected."""
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    organization, case = events.guid(), events.guid()
    stack.send(events.queued(organization, case), partition=0)
    stack.wait_caught_up()
    stack.database.query("DELETE FROM gen_1.active_case")
    stack.database.query("DELETE FROM gen_1.case_state")
    done = run(
        stack, "cursor set", *of(stack, "case", 0), "--offset", 0, "--force", "--reason", "rows were deleted", "--json"
    )
    assert json.loads(done.stdout) == {
        "topic": stack.topics.case, "partition": 0, "old_offset": 1, "next_offset": 0, "state": "live",
    }  # fmt: skip
    stack.wait_body(case, deadline_s=5)
    stack.check()
    assert worker.is_ready()
    (row,) = stack.database.query(AUDIT)
    assert row[:5] == ("cursor set", stack.topics.case, 0, "rows were deleted", {"old_offset": 1, "new_offset": 0})


def test_cursor_set_forwards_skips_the_records_between(make_stack):
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    organization = events.guid()
    cases = [events.guid() for _ in range(3)]
    stack.send(events.queued(organization, cases[0]))
    stack.wait_body(cases[0])
    run(stack, "pause", *of(stack, "case", 0))
    stack.send(events.queued(organization, cases[1]), events.queued(organization, cases[2]))
    done = run(stack, "cursor set", *of(stack, "case", 0), "--offset", 2, "--force")
    assert f"caseview resume --topic {stack.topics.case} --partition 0" in done.stdout
    run(stack, "resume", *of(stack, "case", 0))
    stack.wait_body(cases[2], deadline_s=5)
    assert stack.body(cases[1]) is None and stack.body(cases[0])


def test_cursor_set_back_and_forth_under_load(make_stack):
    """The fence refuses the owner's batch in flight: no event is lost or applied twice."""
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.start_worker(environment=batches_of(100))
    items = History(92, organizations=2, cases=500, directory=False).items
    for number, start in enumerate(range(0, len(items), 400)):
        stack.send_items(items[start : start + 400])
        run(stack, "cursor set", *of(stack, "case", number % 2), "--offset", 0, "--force")
    stack.check()


def test_an_unreachable_or_empty_database(make_stack):
    away = ("--database", "host=127.0.0.1 port=1 user=x", "--connect-timeout-s", 1)
    bare = make_stack(migrate=False)
    for command in ("pause", "resume", "cursor show"):
        assert programs.caseview(*command.split(), *away, check=3).stderr.count("\n") == 1
        done = run(bare, command, check=2)
        assert "run `caseview migrate`" in done.stderr and done.stderr.count("\n") == 1


def status(stack, *args, check=0):
    """Returns the object of `status --json --check`, and the text form."""
    argv = ("--database", stack.database.conninfo, *args, "--log-format", "text", "--check")
    report = json.loads(programs.caseview("status", *argv, "--json", check=check).stdout)
    return report, programs.caseview("status", *argv, check=check).stdout


def test_status_names_topics_that_do_not_exist(make_kafka_stack):
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    stack.wait_caught_up()
    report, text = status(stack, *stack.kafka(), *stack.names())
    assert report["healthy"] and report["kafka_problem"] is None and report["next"] == []
    given = dict(zip(stack.names()[::2], stack.names()[1::2]))
    given.update({"--agent-topic": "no-agents", "--directory-topic": "no-directory"})
    report, text = status(stack, *stack.kafka(), *[item for pair in given.items() for item in pair], check=1)
    problem = "kafka topics no-agents, no-directory: they do not exist, or this client may not describe them: check " \
        "--agent-topic, --directory-topic and the topics' rights"  # fmt: skip
    assert report["kafka_problem"] == problem and report["next"][0] == f"end offsets unavailable: {problem}"
    assert text.count(f"end offsets unavailable: {problem}") == 2 and "NOT HEALTHY" in text


def test_status_says_why_it_is_not_healthy_without_a_broker(make_stack):
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    stack.wait_caught_up()
    report, text = status(stack, *stack.names(), check=1)
    assert "no broker was given" in report["kafka_problem"] and report["kafka_problem"] in report["next"][0]
    report, text = status(stack, "--kafka", "bootstrap.servers=127.0.0.1:1", *stack.names(), check=1)
    assert "no broker answered" in report["kafka_problem"]
    assert report["kafka_problem"].partition(" (after")[0] in text


def test_status_says_which_partition_lags(make_stack):
    """A lag alone makes status unhealthy, and a line says so."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    stack.send(events.queued(events.guid(), events.guid()))
    stack.wait_caught_up()
    stack.stop_worker(worker)
    stack.send(events.queued(events.guid(), events.guid()))
    stack.database.query("UPDATE ctl.cursor SET last_record_at = last_record_at - 90000, complete_at = NULL")
    report, text = status(stack, *stack.kafka(), *stack.names(), check=1)
    (line,) = report["next"]
    lag = f"{stack.topics.case}/0 lags by 1 records, "
    assert line.startswith(lag) and "add workers" in line and lag in text
