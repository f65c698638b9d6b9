"""A row that PostgreSQL refuses permanently (SQLSTATE classes 22, 23 and 54): its record is parked with the server's
text, and all others are folded. Triggers of the test refuse the rows."""

import pytest

from support import events, programs
from support.refused_rows import REASON, TEXT, allow, fold_without, refuse
from support.waiting import stays_true, wait_for


@pytest.fixture
def stack(make_stack):
    return make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})


def places(stack, role, where):
    return [(stack.topics.name(role), partition, offset) for partition, offset in where]


def check(stack, refused, settle_s=20):
    """The rows are those of the log without the refused records. Only these are parked."""
    stack.wait_caught_up(60)
    view = fold_without(stack, stack.broker.read_all(stack.topics), set(refused))
    last = []

    def equal():
        last[:] = stack.differences(view)
        return not last

    try:
        wait_for(equal, settle_s, "the rows are as expected", poll_s=0.1)
    except AssertionError:
        raise AssertionError("\n".join(last)) from None


def metric(worker):
    return worker.metric("caseview_parked_total", reason=REASON)


def good(organization, count=30):
    return [events.queued(organization, events.guid()) for _ in range(count)]


def select_unit(organization, agent, sequence=1):
    return events.agent_event(organization, agent, sequence, {"AgentCurrentUnitSelected": {"unitId": events.guid()}})


TABLES = {
    "case_state": ("case_id", "case", events.queued),
    "active_case": ("case_id", "case", events.queued),
    "agent": ("user_id", "agent", select_unit),
    "directory": ("entity_id", "directory", lambda organization, id: events.unit_event(organization, id, 1, "Haifa")),
}


@pytest.mark.parametrize("table, sqlstate", zip(TABLES, ["22023", "23514", "54000", "23505"], strict=True))
def test_one_row_is_refused(stack, table, sqlstate):
    column, role, make = TABLES[table]
    organization, bad = events.guid(), events.guid()
    refuse(stack, table, column, sqlstate, bad)
    worker = stack.start_worker()
    stack.send(*good(organization), partition=0)
    where = stack.send(make(organization, bad), partition=0)
    stack.send(*good(organization), partition=0)
    stack.send(*good(organization), partition=1)
    stack.send(*(select_unit(organization, events.guid()) for _ in range(5)))
    stack.send(*(events.unit_event(organization, events.guid(), 1, "Leeds") for _ in range(5)))
    refused = places(stack, role, where)
    check(stack, refused)
    row = stack.parked()[refused[0]]
    assert row[1] == organization and TEXT in row[-1]
    assert metric(worker) == 1
    assert worker.is_ready()


def test_a_check_constraint_refuses(stack):
    bad = events.guid()
    stack.database.query(f"ALTER TABLE gen_1.active_case ADD CONSTRAINT not_this CHECK (case_id <> '{bad}') NOT VALID")
    worker = stack.start_worker()
    organization = events.guid()
    stack.send(*good(organization), partition=0)
    refused = places(stack, "case", stack.send(events.queued(organization, bad), partition=0))
    stack.send(*good(organization), partition=0)
    check(stack, refused)
    assert "not_this" in stack.parked()[refused[0]][-1] and metric(worker) == 1


def test_some_of_many_are_refused(stack):
    """In a backlog: large batches contain several refused rows, adjacent and far apart."""
    organization, made = events.guid(), [events.guid() for _ in range(3000)]
    bad = [*made[:2], *made[700:703], made[1500], made[2998], made[2999]]
    where = stack.send(*(events.queued(organization, case) for case in made))
    refused = places(stack, "case", [place for case, place in zip(made, where, strict=True) if case in bad])
    refuse(stack, "case_state", "case_id", "22023", *bad)
    worker = stack.start_worker(ready=False)
    check(stack, refused)
    assert metric(worker) == len(bad)


def test_later_events_of_the_same_case(stack):
    """Each refused event is parked by itself; the others are folded, and the case is degraded."""
    worker = stack.start_worker()
    organization, case = events.guid(), events.guid()
    stack.send(events.queued(organization, case), partition=0)
    stack.check()
    refuse(stack, "case_state", "case_id", "22023", case)
    changes = [events.case_event(organization, case, n, {"CasePositionChanged": {"rank": float(n)}}) for n in (2, 3)]
    refused = []
    for count, change in enumerate(changes, 1):
        refused += places(stack, "case", stack.send(change, partition=0))
        wait_for(lambda count=count: metric(worker) == count, 20, f"change {count} is parked")
    check(stack, refused)
    allow(stack, "case_state")
    stack.send(events.case_event(organization, case, 4, {"CasePositionChanged": {"rank": 4.0}}), partition=0)
    check(stack, refused)
    assert stack.database.value("SELECT degraded FROM caseview.active_case WHERE case_id = %s", (case,)) is True


def test_retry_folds_it_when_the_database_accepts_it(stack):
    organization, bad = events.guid(), events.guid()
    refuse(stack, "case_state", "case_id", "23514", bad)
    stack.start_worker()
    refused = places(stack, "case", stack.send(events.queued(organization, bad), partition=0))
    check(stack, refused)
    retry = [
        "parked", "retry", "--database", stack.database.conninfo, *stack.names(), "--schema-dir", stack.schemas.folder,
    ]  # fmt: skip
    programs.run("caseview", *retry, check=1, deadline_s=60)
    check(stack, refused)
    allow(stack, "case_state")
    programs.run("caseview", *retry, check=0, deadline_s=60)
    stack.check()
    assert stack.body(bad) is not None


@pytest.mark.parametrize("sqlstate", ["53100", "42501", "57014"])
def test_other_errors_do_not_park_records(stack, sqlstate):
    """A full disk, a missing grant, a cancelled statement: retried until it works, and no record is parked."""
    organization, bad = events.guid(), events.guid()
    refuse(stack, "case_state", "case_id", sqlstate, bad)
    worker = stack.start_worker()
    stack.send(events.queued(organization, bad), partition=0)
    worker.wait_log(TEXT)
    stays_true(lambda: worker.is_running() and not stack.parked(), 3, "it is tried again")
    allow(stack, "case_state")
    stack.check()
    assert metric(worker) == 0
