"""Claims when the log does not match the cursor, or when the database delays them."""

import contextlib
import signal
import socket
import time

from support import events
from support.waiting import wait_for


def test_records_lost_behind_an_empty_partition_are_noticed(make_stack):
    """The partition was read to its end at offset 0, and later records are gone: it is not a new partition."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    wait_for(lambda: stack.progress()[stack.topics.case, 0][1], 20, "the empty partition is complete")
    stack.stop_worker(worker)
    # The mock cluster keeps a few megabytes.
    organization, meeting = events.guid(), '{"notes":"' + "x" * 60_000 + '"}'
    stack.send(*(events.queued(organization, events.guid(), onlineMeeting=meeting) for _ in range(150)))
    low, _ = stack.broker.ends(stack.topics)[stack.topics.case, 0]
    assert low > 0
    stack.start_worker(ready=False)
    row = stack.wait_halt("case", 0, "retention-gap")
    assert row[2] == 0


def test_a_cursor_locked_by_another_session_delays_only_its_partition(make_stack):
    """An operator's open transaction holds the lock, so there is no previous owner to terminate."""
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.stop_worker(stack.start_worker())
    organization, here, there = events.guid(), events.guid(), events.guid()
    stack.send(events.queued(organization, there), partition=0)
    stack.send(events.queued(organization, here), partition=1)
    with contextlib.closing(stack.postgres.connect(stack.database.name)) as operator:
        operator.autocommit = False
        operator.cursor().execute(
            "SELECT FROM ctl.cursor WHERE topic = %s AND part = 0 FOR UPDATE", (stack.topics.case,)
        )
        stack.start_worker(ready=False)
        stack.wait_body(here)
        assert stack.body(there) is None
        operator.rollback()
    stack.wait_body(there)
    stack.check()


def test_a_query_that_no_broker_answers_is_not_repeated_all_the_time(make_stack):
    """The mock cluster never reports whether a topic is compacted: its partition waits without delaying the others."""
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    organization = events.guid()
    stack.send(*(events.queued(organization, events.guid()) for _ in range(10)), partition=0)
    worker = stack.start_worker()
    stack.check()
    stack.stop_worker(worker)
    stack.database.query(
        "UPDATE ctl.cursor SET last_record_offset = 10 WHERE topic = %s AND part = 0", (stack.topics.case,)
    )
    worker = stack.start_worker(ready=False)
    worker.wait_log("cannot be read yet")
    end = time.monotonic() + 15
    slow = 0
    while time.monotonic() < end:
        case, sent = events.guid(), time.monotonic()
        stack.send(events.queued(organization, case), partition=1)
        stack.wait_body(case)
        slow += time.monotonic() - sent > 1
    assert slow <= 5, f"{slow} of the other partition's events waited"
    assert worker.metric("caseview_claims_total") < 15


def test_sigterm_does_not_wait_for_a_silent_database(make_stack):
    """Its port accepts the connection and never answers."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as mute:
        address = f"host=127.0.0.1 port={mute.getsockname()[1]} user=x dbname=x"
        worker = stack.start_worker("--database", address, ready=False)
        mute.settimeout(20)
        connection, _ = mute.accept()
        worker.signal(signal.SIGTERM)
        assert worker.wait(10) == 0
        connection.close()
        stack.workers.remove(worker)
