"""Records that no producer should send."""

from support import events


def test_a_flood_of_another_organizations_events_halts(make_stack):
    """Parked is parked, also where only folding can tell."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    case, other = events.guid(), events.guid()
    stack.send(events.queued(events.guid(), case))
    stack.check()
    foreign = [events.case_event(other, case, n, {"CasePositionChanged": {"rank": 2.0}}) for n in range(2, 1600)]
    stack.send(*foreign)
    row = stack.wait_halt("case", 0, "poison-flood")
    assert row[2] == 1, "back at the first one"
    assert not stack.parked(), "what was parked is taken back"
    stack.check()
