"""Faults at exact steps of workers: a short form of tests/crash/run, and tests of single orders of events."""

import os
import re
import subprocess
import sys

import pytest

from crash.points import Points
from support import events
from support.programs import ROOT, binary
from support.waiting import PATIENCE, Late, wait_for


RUNS = "8"  # some ten seconds each


def test_short_form():
    """Some runs of a random plan; a failure shows its seed and matrix."""
    done = subprocess.run(
        [sys.executable, ROOT / "tests/crash/run", "--runs", RUNS, "--lanes", "1"],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=140 * PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-3000:]}"
    runs, failed = map(int, re.search(r"(\d+) runs, (\d+) failed; lost 0, doubled 0", done.stdout).groups())
    assert runs == int(RUNS) and failed == 0, done.stdout


# Replaces ctl.dir_clock by a sequence, whose numbers are taken without waiting for a commit.
NO_LOCK = """
ALTER TABLE ctl.dir_clock RENAME TO dir_clock_kept;
CREATE SEQUENCE ctl.numbers;
CREATE FUNCTION public.number() RETURNS bigint LANGUAGE plpgsql AS
    'BEGIN RETURN (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM ctl.numbers); END';
CREATE VIEW ctl.dir_clock AS SELECT 1 AS gen, public.number() AS no;
CREATE FUNCTION public.take() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM nextval(''ctl.numbers'') FROM generate_series(1, NEW.no - OLD.no); RETURN NEW; END';
CREATE TRIGGER take INSTEAD OF UPDATE ON ctl.dir_clock FOR EACH ROW EXECUTE FUNCTION public.take()"""
WAITS = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name LIKE 'caseview worker%%'"""
OWNED = "SELECT topic, part, owner FROM ctl.cursor"


def owned(stack, worker):
    """The partitions of the worker: topic → numbers."""
    out = {}
    for topic, part, owner in stack.database.query(OWNED):
        if owner and owner.endswith(f":{worker.process.pid}"):
            out.setdefault(topic, []).append(part)
    return out


@pytest.mark.parametrize("lock", [True, False])
def test_the_change_feed_waits_for_commits(make_kafka_stack, tmp_path, lock):
    """A change of names has its number and is not yet committed when the next one wants to commit: no reader may skip it.
    Without the lock of ctl.dir_clock it is skipped, which shows that the test can detect it."""
    stack = make_kafka_stack(partitions={"cases": 2, "agents": 1, "directory": 2})
    if not lock:
        stack.database.query(NO_LOCK)
    points = Points(tmp_path / "points", [("directory.numbered", "wait", 1)])
    slow = stack.start_worker(ready=False, environment=points.environment)
    other = stack.start_worker(ready=False)
    topics = stack.topics
    shared = lambda: all(len(owned(stack, w).get(t, [])) == 1 for w in (slow, other) for t in (topics.case, topics.directory))  # noqa: E731
    wait_for(shared, 40, "each has a partition of both topics")
    for worker in (slow, other):
        worker.wait_ready()

    organization, case, unit, desk = (events.guid() for _ in range(4))
    place = {"unit": events.ref(unit, "own"), "workstation": events.ref(desk, "own")}
    stack.send(events.queued(organization, case, **place), partition=owned(stack, other)[topics.case][0])
    stack.wait_body(case)
    renamed = events.directory_event(organization, unit, 1, {"UnitUpserted": {"name": "first"}})
    stack.send(renamed, partition=owned(stack, slow)[topics.directory][0])
    points.wait_reached(slow, "directory.numbered")
    renamed = events.directory_event(organization, desk, 1, {"WorkstationUpserted": {"unitId": unit, "name": "second"}})
    stack.send(renamed, partition=owned(stack, other)[topics.directory][0])
    if lock:
        wait_for(lambda: stack.database.value(WAITS) > 0, 10, "the second waits for the first")
        assert '"second"' not in stack.body(case)
    else:
        stack.wait_body(case, lambda body: '"second"' in body)
    points.wait_released("directory.numbered")
    if lock:
        stack.wait_body(case, lambda body: '"first"' in body and '"second"' in body)
        stack.check()
    else:
        with pytest.raises(Late):
            stack.wait_body(case, lambda body: '"first"' in body, 3)


def test_what_is_shipped_has_no_fail_points():
    """A build of the same sources as for a package has no fail points; the test program shows that they would be found."""
    folder = ROOT / "build/release-check"
    configure = ["cmake", "-G", "Ninja", "-S", ROOT, "-B", folder, "-DCMAKE_BUILD_TYPE=Release", "-DCASEVIEW_TESTS=OFF"]
    for command in (configure, ["cmake", "--build", folder, "--target", "caseview", "-j", str(os.cpu_count())]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=140 * PATIENCE)
        assert done.returncode == 0, done.stdout + done.stderr
    marks = [b"CASEVIEW_TEST_FAIL_POINTS", b"commit.before", b"fail_point_reach"]
    shipped = (folder / "bin/caseview").read_bytes()
    assert not [mark for mark in marks if mark in shipped]
    tested = binary("caseview").read_bytes()
    assert all(mark in tested for mark in marks)


def test_an_end_that_is_before_the_cursor_for_a_moment(make_stack):
    """As reported by a frozen broker that still takes itself for the leader: the partition waits, and continues when the log
    reaches the cursor. (If the log stays short the partition halts: test_worker_cursor.py.)"""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    organization, late = events.guid(), events.guid()
    stack.send(*(events.queued(organization, events.guid()) for _ in range(5)))
    worker = stack.start_worker()
    stack.check()
    stack.stop_worker(worker)
    stack.database.query(
        "UPDATE ctl.cursor SET next_offset = 8, last_record_offset = NULL, last_record_at = NULL, last_record_crc = NULL"
        " WHERE topic = %s", (stack.topics.case,),
    )  # fmt: skip
    worker = stack.start_worker(ready=False)
    worker.wait_log("the cursor is at 8, the log ends at 5")
    stack.send(*(events.queued(organization, events.guid()) for _ in range(3)), events.queued(organization, late))
    stack.wait_body(late)
    assert stack.halt("case", 0)[0] == "live"
