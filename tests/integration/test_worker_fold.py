"""The worker's fold of valid events of cases: order, duplicates, gaps, lists (contract, sections 3, 4)."""

import copy

import pytest

from support import events
from support.one_case import Case, check_whole_log, counts, phone, rank, status
from support.waiting import stays_true, wait_for


@pytest.fixture(scope="module")
def stack(one_worker):
    return one_worker


def test_duplicates_are_counted_and_change_nothing(stack, org):
    case = Case(stack, org).send((1, {}), (2, rank(2.0)), (3, rank(3.0)))
    before = stack.metric("caseview_duplicates_total")
    body = stack.body(case.id)
    case.send((2, rank(20.0)), (1, {}), (3, rank(30.0)), (2, rank(200.0)))
    assert stack.body(case.id) == body
    wait_for(lambda: stack.metric("caseview_duplicates_total") == before + 4, 5, "four duplicates are counted")


def test_stale_directory_version_changes_nothing(stack, org):
    case = Case(stack, org).send((1, {}))
    unit = case.body["unitId"]

    def name(version, text):
        return events.directory_event(org, unit, version, {"UnitUpserted": {"name": text}})

    stack.send(name(5, "five"), name(4, "four"), name(5, "other five"))
    stack.wait_caught_up()
    stack.wait_body(case.id, lambda body: '"unitName":"five"' in body)
    stays_true(lambda: case.body["unitName"] == "five", 0.3, "stale versions are without effect")


def test_gap_is_degraded_until_the_late_event_arrives(stack, org):
    degraded, incomplete = counts(stack)
    alarms = stack.workers[0].log().count("missing")
    case = Case(stack, org).send((1, {}), (2, rank(2.0)), (4, phone("4")), (5, rank(5.0)))
    assert case.degraded and case.body["rank"] == 5 and case.body["contactPhoneNumber"] == "4"
    assert counts(stack) == (degraded + 1, incomplete)
    wait_for(lambda: stack.metric("caseview_degraded") == degraded + 1, 5, "the metric counts it")
    wait_for(lambda: stack.metric("caseview_gap_alarms") >= 1, 10, "the alarm is raised after gap-alarm-s")
    wait_for(lambda: stack.workers[0].log().count("missing") > alarms, 5, "and logged")
    case.send((3, {"CaseUpdated": {"contactPhoneNumber": {"value": "3"}, "contactEmail": {"value": "three"}}}))
    assert not case.degraded
    assert (case.body["contactPhoneNumber"], case.body["contactEmail"]) == ("4", "three")
    assert counts(stack) == (degraded, incomplete)
    wait_for(lambda: stack.metric("caseview_degraded") == degraded, 5, "the metric forgets it")
    wait_for(lambda: stack.metric("caseview_gap_alarms") == 0, 10, "the alarm ends")


def test_incomplete_until_the_snapshot_arrives(stack, org):
    degraded, incomplete = counts(stack)
    case = Case(stack, org).send((2, {"CaseServiceStarted": {"status": "Active", "lockedBy": events.user()}}), (3, rank(7.0)))
    assert case.row is None
    assert counts(stack) == (degraded, incomplete + 1)
    wait_for(lambda: stack.metric("caseview_incomplete") == incomplete + 1, 5, "the metric counts it")
    assert not [row for row in stack.parked().values() if row[1] == org]
    case.send((1, {}))
    assert case.body["rank"] == 7 and not case.degraded
    assert counts(stack) == (degraded, incomplete)


def test_gaps_below_a_snapshot_do_not_matter(stack, org):
    case = Case(stack, org).send((3, rank(9.0)), (10, {}), (11, rank(11.0)))
    assert not case.degraded and case.body["rank"] == 11
    case.send((13, rank(13.0)))
    assert case.degraded
    case.send((20, {}))
    assert not case.degraded and case.body["rank"] == 1.5


def test_many_gaps_stay_degraded_until_a_newer_snapshot(stack, org):
    case = Case(stack, org).send((1, {}), *((2 * i + 1, rank(float(i))) for i in range(1, 50)))
    assert case.degraded and case.body["rank"] == 49
    case.send(*((2 * i, rank(1000.0)) for i in range(1, 50)))
    assert case.body["rank"] == 49, "late ones lose"
    case.send((100, {}))
    assert not case.degraded


def test_late_event_takes_its_place_in_every_group(stack, org):
    late, early = Case(stack, org), Case(stack, org)
    started = {"CaseServiceStarted": {"status": "Active", "lockedBy": events.user(name="A"), "workstation": events.ref()}}
    moved = {
        "CaseMoved": {
            "status": "Active", "inbox": events.inbox(name="I"), "unit": events.ref(name="U"), "rank": 3.0,
            "lockedBy": events.user(name="B"),
        }
    }  # fmt: skip
    history = [(2, started), (3, {"CaseUserAssigned": {"assignedTo": events.user(name="C")}}), (4, moved),
               (5, {"CaseUserUnassigned": {}}), (6, phone(None)), (7, {"CaseTicketPrinted": {}}),
               (8, {"CaseOnlineMeetingSet": {"onlineMeeting": '{"a":1}'}})]  # fmt: skip
    snapshot = events.snapshot(contactPhoneNumber="1")
    for case, order in ((early, history), (late, history[::-1])):
        first = events.case_event(org, case.id, 1, {"CaseQueued": {"case": snapshot}})
        stack.send(*([first] if order is history else []), *(case.event(*item) for item in order))
        stack.send(*([] if order is history else [first]))
    stack.wait_caught_up()
    bodies = [copy.deepcopy(case.body) for case in (early, late)]
    for body in bodies:
        body.pop("caseId")
        assert (body["lockedBy"]["displayName"], body["assignedTo"], body["workstationId"]) == ("B", None, None)
        assert (body["contactPhoneNumber"], body["printedTicket"], body["onlineMeeting"]) == (None, True, {"a": 1})
    different = {k for k in bodies[0] if bodies[0][k] != bodies[1][k]}
    assert different <= {"caseTimestamp", "statusDate"}, "the same events in another order"


@pytest.mark.parametrize(
    "ending",
    [{"CaseClosed": {}}, {"QueueAbandoned": {"status": "Abandoned"}}, {"AppointmentCancelled": {"status": "Active"}}],
    ids=lambda ending: next(iter(ending)),
)
def test_over_is_never_listed_again(stack, org, ending):
    case = Case(stack, org).send((1, {}))
    assert case.row
    case.send((3, ending))
    assert case.row is None
    case.send((2, rank(2.0)), (4, {}), (5, status("Active")))
    assert case.row is None, "later and late events"
    first = Case(stack, org).send((5, ending), (9, {}))
    assert first.row is None, "over came before anything else was known"


@pytest.mark.parametrize("value", ["active", "Active ", "", "Waiting"])
def test_only_exactly_active_is_listed(stack, org, value):
    case = Case(stack, org).send((1, {}))
    started = {"CaseServiceStarted": {"status": value, "lockedBy": events.user()}}
    case.send((2, started))
    assert case.row is None
    case.send((3, {"CaseServiceStarted": {"status": "Active", "lockedBy": events.user()}}))
    assert case.row


def test_unlocking_takes_the_case_off_the_list(stack, org):
    case = Case(stack, org).send((1, {}))
    case.send((2, status("Waiting")))
    assert case.row is None
    case.send((3, status("Active")))
    assert case.row is None, "Active, but not locked by a user"
    case.send((4, {"CaseMoved": {"status": "Active", "inbox": events.inbox(), "unit": events.ref(), "rank": 1.0,
                                 "lockedBy": events.user(name="N")}}))  # fmt: skip
    assert case.body["lockedBy"]["displayName"] == "N"


def test_guids_of_either_letter_case_come_out_lower(stack, org):
    _, value = events.queued(org.upper(), events.guid().upper(), unit=events.ref(events.guid().upper()))
    stack.send_items([("case", value["caseId"].encode(), value)])
    stack.wait_caught_up()
    body = stack.body(value["caseId"].lower())
    assert f'"caseId":"{value["caseId"].lower()}"' in body
    assert (org, value["caseId"].lower()) in stack.active_cases()


def test_the_whole_log_folded_again(stack):
    """Last in this file: everything that the tests above sent."""
    check_whole_log(stack)
