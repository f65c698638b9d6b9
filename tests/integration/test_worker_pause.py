"""An operator pauses a partition while a batch with only that partition's records is in flight, and later records are
folded on top. A session that locks the cursor row keeps the batch in flight for as long as the test needs."""

import contextlib

import pytest

from support import events, programs
from support.waiting import stays_true, wait_for

PAUSE = "UPDATE ctl.cursor SET state = 'paused', reason = 'maintenance', updated_at = now() WHERE topic = %s AND part = %s"
LOCK = "SELECT FROM ctl.cursor WHERE topic = %s AND part = %s FOR UPDATE"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"


@pytest.fixture
def stack(make_stack):
    return make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})


@contextlib.contextmanager
def held_cursor(stack, partition):
    """A transaction that locks the cursor row of a case partition; commit() ends it."""
    with contextlib.closing(stack.postgres.connect(stack.database.name)) as session:
        session.autocommit = False
        session.cursor().execute(LOCK, (stack.topics.case, partition))
        yield session
        session.rollback()


def wait_batch_in_flight(stack, session):
    wait_for(lambda: stack.database.value(WAITING, (session.info.backend_pid,)) > 0, 20, "a batch waits for the cursor row")


def resume(stack, partition):
    names = ("--topic", stack.topics.case, "--partition", partition)
    programs.caseview("resume", "--database", stack.database.conninfo, *names, check=0)


def is_paused(stack, partition):
    return stack.progress()[stack.topics.case, partition][2] == "paused"


def rank(organization, case, sequence):
    return events.case_event(organization, case, sequence, {"CasePositionChanged": {"rank": float(sequence)}})


class Cases:
    """Cases of one partition, listed at sequence 1. Those that end get no further events."""

    def __init__(self, stack, partition, lasting=40, ending=10):
        self.organization = events.guid()
        self.lasting, self.ending = ([events.guid() for _ in range(n)] for n in (lasting, ending))
        stack.send(*(events.queued(self.organization, case) for case in self.all), partition=partition)
        stack.check()

    @property
    def all(self):
        return self.lasting + self.ending

    def changed(self, sequence):
        return [rank(self.organization, case, sequence) for case in self.lasting]

    def closed(self, sequence):
        return [events.case_event(self.organization, case, sequence, {"CaseClosed": {}}) for case in self.ending]

    def new(self, count=10):
        """More cases, which a batch inserts."""
        made = [events.guid() for _ in range(count)]
        self.lasting += made
        return [events.queued(self.organization, case) for case in made]


def send_and_hold(stack, session, cases, others, first, followed_by):
    """A batch with one record of partition 0 waits for the cursor row; changes and ends of cached cases and new cases
    follow it, in the same partition, in the other one, or in both."""
    stack.send(cases.changed(first)[0], partition=0)
    wait_batch_in_flight(stack, session)
    if "same" in followed_by:
        stack.send(*cases.changed(first)[1:], *cases.changed(first + 1), *cases.closed(first + 1), *cases.new(), partition=0)
    if "other" in followed_by:
        stack.send(*others.changed(first + 1), *others.closed(first + 1), *others.new(), partition=1)
    progress = stack.progress()
    stays_true(lambda: stack.progress() == progress, 0.5, "nothing is committed, the next records are folded on top")


@pytest.mark.parametrize("followed_by", ["same", "other", "same and other"])
@pytest.mark.parametrize("lasts", [True, False], ids=["pause", "pause and resume at once"])
def test_pause_while_the_only_batch_is_in_flight(stack, lasts, followed_by):
    worker = stack.start_worker()
    cases, others = Cases(stack, 0), Cases(stack, 1)
    with held_cursor(stack, 0) as session:
        send_and_hold(stack, session, cases, others, 2, followed_by)
        session.cursor().execute(PAUSE, (stack.topics.case, 0))
        session.commit()
    if lasts:
        stays_true(worker.is_running, 1, "the worker goes on")
        before = stack.progress()[stack.topics.case, 0]
        stack.send(*others.new(1), partition=1)
        stack.wait_body(others.lasting[-1])
        assert stack.progress()[stack.topics.case, 0] == before and is_paused(stack, 0), "the paused one does not move"
    resume(stack, 0)
    stack.send(*cases.changed(4), partition=0)
    stack.check()
    listed = len(cases.lasting) + len(others.lasting)
    listed += len(cases.ending) * ("same" not in followed_by) + len(others.ending) * ("other" not in followed_by)
    assert len(stack.active_cases()) == listed
    worker.check_running()


def test_pauses_again_and_again(stack):
    """Each round finds another cache: the previous one evicted and rebuilt it."""
    worker = stack.start_worker()
    cases = Cases(stack, 0)
    for sequence in range(2, 14, 2):
        cases.ending = [events.guid() for _ in range(10)]
        stack.send(*(events.queued(cases.organization, case) for case in cases.ending), partition=0)
        stack.check()
        with held_cursor(stack, 0) as session:
            stack.send(*(rank(cases.organization, case, sequence) for case in cases.all), partition=0)
            wait_batch_in_flight(stack, session)
            stack.send(*(rank(cases.organization, case, sequence + 1) for case in cases.all), partition=0)
            session.cursor().execute(PAUSE, (stack.topics.case, 0))
            session.commit()
        wait_for(lambda: is_paused(stack, 0), 5, "it is paused")
        worker.check_running()
        resume(stack, 0)
        stack.check()
    assert worker.is_running()


def test_a_drain_while_a_paused_batch_is_in_flight(stack):
    """SIGTERM comes between the pause and the answer of the batch: exit 0, and the next worker has all records."""
    worker = stack.start_worker()
    cases, others = Cases(stack, 0), Cases(stack, 1)
    with held_cursor(stack, 0) as session:
        send_and_hold(stack, session, cases, others, 2, "same and other")
        worker.signal(15)
        session.cursor().execute(PAUSE, (stack.topics.case, 0))
        session.commit()
    assert worker.wait() == 0
    stack.workers.remove(worker)
    resume(stack, 0)
    stack.start_worker()
    stack.check()
