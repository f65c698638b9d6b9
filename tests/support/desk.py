"""Readers of the endpoint next to a producer that never rests: they note errors, missing cases and steps back in time."""

import itertools
import threading

import requests

from . import events

CASES = 40


class Desk:
    """An agent with cases of which every event has a later caseTimestamp; a producer that never rests."""

    def __init__(self, stack, pause_s=0.05):
        self.stack, self.pause_s = stack, pause_s
        self.organization, self.user, self.unit, self.application = (events.guid() for _ in range(4))
        self.cases = [events.guid() for _ in range(CASES)]
        self.times = itertools.count(events.NOW + 10_000, 1000)
        spaces = {"unitId": self.unit, "workspaceIds": [events.guid()]}
        application = {"clientId": "client", "name": "n", "roles": [], "enabled": True}
        stack.send(
            events.directory_event(self.organization, self.application, 1, {"ApplicationUpserted": application}),
            events.unit_event(self.organization, self.unit, 1, "Unit 1"),
            events.agent_event(self.organization, self.user, 1, {"AgentCurrentUnitSelected": {"unitId": self.unit}}),
            events.agent_event(self.organization, self.user, 2, {"AgentWorkspacesSelected": spaces}),
            *(
                events.queued(
                    self.organization, case, unit=events.ref(self.unit, "Unit"), lockedBy=events.user(self.user),
                    caseTimestamp=next(self.times),
                )
                for case in self.cases
            ),
        )  # fmt: skip
        self.error = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._produce, daemon=True)

    def _produce(self):
        try:
            self._send_all()
        except Exception as error:
            self.error = error

    def _send_all(self):
        for number in itertools.count(2):
            if self._ended.is_set():
                return
            moved = {"rank": float(number)}
            self.stack.send(
                events.unit_event(self.organization, self.unit, number, f"Unit {number}"),
                *(
                    events.case_event(
                        self.organization, case, number, {"CasePositionChanged": {**moved, "caseTimestamp": next(self.times)}}
                    )
                    for case in self.cases
                ),
            )
            self._ended.wait(self.pause_s)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, *_):
        self._ended.set()
        self._thread.join(30)
        if kind is None:
            assert self.error is None and not self._thread.is_alive(), f"the producer stopped: {self.error!r}"


class Reader(threading.Thread):
    """Asks without a pause; notes what a reader must never see."""

    def __init__(self, desk, api, token):
        super().__init__(daemon=True)
        self.desk, self.api, self.token = desk, api, token
        self.answers, self.unchanged, self.faults = 0, 0, []
        self.latest, self.unit, self.tags = {}, 0, {}
        self.ended = threading.Event()

    def run(self):
        try:
            self.ask()
        except Exception as error:
            self.faults.append(("the reader stopped", repr(error)))

    def ask(self):
        url = f"{self.api.url}/{self.desk.application}/agents/{self.desk.user}/activeCases"
        tag = None
        with requests.Session() as session:
            session.headers["Authorization"] = f"Bearer {self.token}"
            while not self.ended.is_set():
                answer = session.get(url, headers={"If-None-Match": tag} if tag else {}, timeout=20)
                self.answers += 1
                if answer.status_code == 304:
                    self.unchanged += 1
                    continue
                if answer.status_code != 200:
                    self.faults.append((answer.status_code, answer.text[:200]))
                    continue
                tag = answer.headers["ETag"]
                if self.tags.setdefault(tag, answer.text) != answer.text:
                    self.faults.append(("one ETag of two answers", tag))
                self.look(answer.json())

    def look(self, cases):
        if len(cases) != CASES:
            self.faults.append(("cases", len(cases)))
        for case in cases:
            before = self.latest.get(case["caseId"], "")
            if case["caseTimestamp"] < before:
                self.faults.append(("step back", case["caseId"], before, case["caseTimestamp"]))
            self.latest[case["caseId"]] = case["caseTimestamp"]
        names = {int(case["unitName"].split()[1]) for case in cases}
        if min(names) < self.unit:
            self.faults.append(("name steps back", self.unit, names))
        # Other rows may show the name a moment later.
        self.unit = min(names)
