"""Events of one case, and its row."""

import json

from . import events


class Case:
    """Sends events of one case and reads its row."""

    def __init__(self, stack, organization):
        self.stack, self.organization, self.id = stack, organization, events.guid()

    def send(self, *numbered):
        """(sequence, payload) each; a payload {} is a snapshot."""
        self.stack.send(*(self.event(*item) for item in numbered))
        self.stack.wait_caught_up()
        return self

    def event(self, sequence, payload):
        if not payload:
            return events.queued(self.organization, self.id, sequence)
        return events.case_event(self.organization, self.id, sequence, payload)

    @property
    def row(self):
        rows = self.stack.database.query("SELECT degraded, body FROM caseview.active_case WHERE case_id = %s", (self.id,))
        return (rows[0][0], json.loads(rows[0][1])) if rows else None

    @property
    def degraded(self):
        return self.row[0]

    @property
    def body(self):
        return self.row[1]


def rank(value):
    return {"CasePositionChanged": {"rank": value}}


def status(value):
    return {"CaseStatusChanged": {"status": value}}


def phone(value):
    return {"CaseUpdated": {"contactPhoneNumber": {"value": value}}}


def counts(stack):
    report = stack.status()
    return report["degraded"], report["incomplete"]


def check_whole_log(stack):
    view = stack.check()
    assert len(view.active_cases) + len(view.agents) > 3
    report = stack.status()
    assert (report["degraded"], report["incomplete"], report["parked"]) == (view.degraded, view.incomplete, len(view.parked))
