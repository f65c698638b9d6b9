"""`poison-flood` counts each record parked in the database once, across all owners of the partition."""

import contextlib

import pytest

from support import events
from support.waiting import stays_true, wait_for

BAD = (b"not a guid", b"not an event", ())
WAITING = "SELECT pid FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"


@pytest.fixture
def stack(make_stack):
    return make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})


def send_bad(stack, count):
    stack.send_raw("case", [BAD] * count, 0)


def wait_parked(stack, count):
    wait_for(lambda: len(stack.parked()) == count, 30, f"{count} records are parked")


def test_a_record_that_is_read_again_counts_once(stack):
    """600 invalid records; the connection is lost three times while they are written."""
    worker = stack.start_worker()
    with contextlib.closing(stack.postgres.connect(stack.database.name)) as blocker:
        blocker.autocommit = False
        blocker.cursor().execute("LOCK TABLE gen_1.parked IN ACCESS EXCLUSIVE MODE")
        send_bad(stack, 600)
        ended = set()
        for _ in range(3):
            ask = lambda: [r for r in stack.database.query(WAITING, (blocker.info.backend_pid,)) if r[0] not in ended]  # noqa: E731
            ((pid,), *_) = wait_for(ask, 30, "a batch waits for the lock")
            stack.database.query("SELECT pg_terminate_backend(%s)", (pid,))
            ended.add(pid)
        wait_for(ask, 30, "the batch is sent once more")
        blocker.rollback()
    wait_parked(stack, 600)
    organization = events.guid()
    stack.send(*(events.queued(organization, events.guid()) for _ in range(10)))
    stack.check()
    assert stack.halt("case", 0)[0] == "live"
    assert worker.metric("caseview_parked_total") == 600


@pytest.mark.parametrize("second, halts", [(500, False), (501, True)])
@pytest.mark.parametrize("how", ["stops", "is killed"])
def test_the_next_owner_continues_counting(stack, second, halts, how):
    worker = stack.start_worker()
    organization = events.guid()
    stack.send(*(events.queued(organization, events.guid()) for _ in range(10)), partition=0)
    stack.check()
    send_bad(stack, 500)
    wait_parked(stack, 500)
    (stack.stop_worker if how == "stops" else stack.kill_worker)(worker)
    worker = stack.start_worker(ready=False)
    send_bad(stack, second)
    if halts:
        row = stack.wait_halt("case", 0, "poison-flood")
        assert row[2] == 10, "the cursor is at the first of them"
        assert not stack.parked(), "they are read again once the partition is resumed"
    else:
        wait_parked(stack, 1000)
        stack.check()
        stays_true(lambda: stack.halt("case", 0)[0] == "live", 1, "it does not halt")
