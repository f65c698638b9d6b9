"""Claims delayed from outside: an unavailable synchronous standby, a previous owner that may not be terminated."""

import contextlib
import time
import uuid

import pytest

from support import events
from support.postgres import Postgres
from support.waiting import stays_true, wait_for

SET_OWNER = """
UPDATE ctl.cursor c SET backend_pid = a.pid, backend_start = a.backend_start, owner = 'old-owner:1'
  FROM pg_stat_activity a WHERE a.pid = pg_backend_pid() AND c.topic = %s AND c.part = %s"""
LOCK = "SELECT FROM ctl.cursor WHERE topic = %s AND part = %s FOR UPDATE"


def set_standby(server, name):
    """name: a synchronous standby that is not connected, so that each commit waits for it. Empty: none."""
    server.query("postgres", f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
    server.query("postgres", "SELECT pg_reload_conf()")
    wait_for(
        lambda: server.query("postgres", "SHOW synchronous_standby_names") == [(name,)], 10, "the setting is in force"
    )


def test_claims_do_not_wait_for_a_synchronous_standby(make_stack):
    """A rolling update while the standby is unavailable: each new owner claims its partitions and folds."""
    with contextlib.closing(Postgres()) as server:
        stack = make_stack(postgres=server, partitions={"cases": 2, "agents": 1, "directory": 1})
        set_standby(server, "absent")
        organization, listed = events.guid(), 0
        for _ in range(2):
            worker = stack.start_worker()
            stack.send(*(events.queued(organization, events.guid()) for _ in range(20)))
            stack.send(events.unit_event(organization, events.guid(), 1, "Haifa"))
            stack.send_raw("case", [(b"not a guid", b"not an event", ())])
            listed += 20
            view = stack.check()
            assert len(view.active_cases) == listed
            stack.stop_worker(worker)
        set_standby(server, "")
        stack.database.drop()


@pytest.fixture
def worker_role(postgres):
    """The name of a role with which a worker can log in, and no more."""
    name = f"worker_{uuid.uuid4().hex[:8]}"
    postgres.query("postgres", f"CREATE ROLE {name} LOGIN")
    yield name
    postgres.query("postgres", f"DROP ROLE {name}")


@pytest.mark.parametrize("monitors", [True, False], ids=["sees other sessions", "sees only its own"])
def test_a_previous_owner_that_may_not_be_terminated_delays_only_its_partition(make_stack, postgres, worker_role, monitors):
    """Its session belongs to a superuser and holds the cursor row: pg_terminate_backend is refused."""
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.database.query(f"GRANT caseview_worker TO {worker_role}")
    if monitors:
        stack.database.query(f"GRANT pg_read_all_stats TO {worker_role}")
    conninfo = postgres.conninfo(stack.database.name, user=worker_role)
    stack.stop_worker(stack.start_worker("--database", conninfo))
    organization, here, there = events.guid(), events.guid(), events.guid()
    with contextlib.closing(postgres.connect(stack.database.name)) as owner:
        owner.cursor().execute(SET_OWNER, (stack.topics.case, 0))
        owner.autocommit = False
        owner.cursor().execute(LOCK, (stack.topics.case, 0))
        stack.send(events.queued(organization, there), partition=0)
        stack.send(events.queued(organization, here), partition=1)
        worker = stack.start_worker("--database", conninfo, ready=False)
        stack.wait_body(here)
        claims = worker.metric("caseview_claims_total")
        slow, end = 0, time.monotonic() + 8
        while time.monotonic() < end:
            case, sent = events.guid(), time.monotonic()
            stack.send(events.queued(organization, case), partition=1)
            stack.wait_body(case)
            slow += time.monotonic() - sent > 1.5
        assert slow <= 2, f"{slow} events of the other partition waited"
        assert worker.metric("caseview_recoveries_total") == 0, "the others keep their claims and caches"
        assert worker.metric("caseview_claims_total") == claims, "no other partition is claimed again"
        assert stack.body(there) is None
        stays_true(worker.is_running, 0.5, "the worker goes on")
        owner.rollback()
    stack.wait_body(there)
    stack.check()
    stack.stop_worker(worker)
