"""The platform on Apache Kafka: simulated organizations, names and gates over HTTP, transactions, growth and compaction."""

import random

import pytest

from support import events
from support.answers import check_answers
from support.random_history import History
from support.tokens import Keys
from support.waiting import stays_true, wait_for


@pytest.mark.parametrize(("workers", "framing"), [(1, "registry"), (2, "single-object")])
def test_simulated_organizations(make_kafka_stack, request, tmp_path, workers, framing):
    """Thousands of simulated events: rows equal the naive fold, answers equal the simulator's manifest."""
    stack = make_kafka_stack(registry=request.getfixturevalue("registry") if framing == "registry" else None)
    watch = stack.watch_cursors()
    seed = random.SystemRandom().randrange(10**6)
    manifest = tmp_path / "manifest.json"
    for _ in range(workers):
        stack.start_worker(ready=False)
    stack.dev("simulate", "--events", 12_000, "--seed", seed, "--manifest", manifest, deadline_s=60)
    view = stack.check()
    assert len(view.active_cases) > 10 and not view.parked, f"seed {seed}"
    watch.check()
    if workers == 2:
        wait_for(lambda: all(w.metric("caseview_claims_total") > 0 for w in stack.workers), 20, "both had partitions")

    keys = Keys()
    answers = check_answers(manifest, keys, stack.start_api(keys).active_cases, f"seed {seed}")
    assert answers[200] > 5


class Desk:
    """One agent of an organization that serves cases, and an application that may call."""

    def __init__(self, stack, keys, cases):
        self.stack, self.organization, self.user = stack, events.guid(), events.guid()
        self.unit, self.application, self.workspace = events.guid(), events.guid(), events.guid()
        self.cases = [events.guid() for _ in range(cases)]
        self.token = keys.token("client")
        self.versions = {}
        self.api = stack.start_api(keys)
        application = {"clientId": "client", "name": "n", "roles": [], "enabled": True}
        self.directory(self.application, {"ApplicationUpserted": application})
        spaces = {"unitId": self.unit, "workspaceIds": [self.workspace]}
        stack.send(
            events.agent_event(self.organization, self.user, 1, {"AgentCurrentUnitSelected": {"unitId": self.unit}}),
            events.agent_event(self.organization, self.user, 2, {"AgentWorkspacesSelected": spaces}),
            *(
                events.queued(
                    self.organization, case, unit=events.ref(self.unit, "Old"), lockedBy=events.user(self.user)
                )
                for case in self.cases
            ),
        )

    def directory(self, entity, payload):
        self.versions[entity] = self.versions.get(entity, 0) + 1
        self.stack.send(events.directory_event(self.organization, entity, self.versions[entity], payload))

    def get(self):
        return self.api.active_cases(self.application, self.user, self.token)

    def answers(self, status, deadline_s=1, error_code=None):
        def so():
            answer = self.get()
            return answer.status_code == status and (error_code is None or answer.json()["errorCode"] == error_code)

        wait_for(so, deadline_s, f"the answer is {status}")


def test_names_and_gates_within_a_second(make_kafka_stack):
    stack, keys = make_kafka_stack(), Keys()
    stack.start_worker()
    desk = Desk(stack, keys, cases=60)
    stack.check()
    assert [c["caseId"] for c in desk.get().json()] == sorted(desk.cases)

    def all_named(name):
        return lambda: {c["unitName"] for c in desk.get().json()} == {name}

    assert all_named("Old")()
    desk.directory(desk.unit, {"UnitUpserted": {"name": "New"}})
    wait_for(all_named("New"), 1, "every listed case shows the new name")
    desk.directory(desk.unit, {"EntityRemoved": {"kind": "unit"}})
    desk.answers(403)
    desk.directory(desk.unit, {"UnitUpserted": {"name": "Back"}})
    desk.answers(200)
    wait_for(all_named("Back"), 1, "and its name is shown")
    stack.send_items([("directory", events.directory_key("unit", desk.organization, desk.unit), None)])
    wait_for(all_named("Old"), 1, "a forgotten unit: names fall back, the gate stays open")
    desk.directory(desk.workspace, {"EntityRemoved": {"kind": "workspace"}})
    desk.answers(409, error_code=1011)
    desk.directory(desk.workspace, {"WorkspaceUpserted": {"unitId": desk.unit, "name": "w"}})
    desk.answers(200)
    stack.send_items([("directory", events.directory_key("application", desk.organization, desk.application), None)])
    desk.answers(403)
    application = {"clientId": "client", "name": "n", "roles": [], "enabled": True}
    desk.directory(desk.application, {"ApplicationUpserted": application})
    desk.answers(200)
    stack.check()


def test_broker_restarts_and_is_away_at_the_start(make_kafka_stack, kafka):
    stack = make_kafka_stack()
    watch = stack.watch_cursors()
    items = History(201, cases=300).items
    stack.send_items(items[:800])
    kafka.stop()
    worker = stack.start_worker(ready=False, properties={"reconnect.backoff.max.ms": 500})
    stays_true(lambda: worker.is_running() and not worker.is_ready(), 1, "it waits for the broker")
    kafka.start()
    stack.check()
    kafka.stop()
    stays_true(worker.is_running, 1, "it waits again")
    kafka.start()
    stack.send_items(items[800:])
    stack.check()
    watch.check()


def test_transactions(make_kafka_stack):
    """Control records leave no lag; aborted records are not folded."""
    stack = make_kafka_stack()
    stack.start_worker()
    organization = events.guid()

    def records(n):
        made = [events.queued(organization, events.guid()) for _ in range(n)]
        return [stack.record("case", events.key_of(*e), stack.encode(*e), (), i % 4) for i, e in enumerate(made)]

    stack.broker.send_in_transaction(records(20))
    stack.broker.send_in_transaction(records(12), commit=False)
    stack.broker.send_in_transaction(records(8))
    view = stack.check()
    assert len(view.active_cases) == 28
    report = stack.status()
    assert {p["lag"] for p in report["partitions"]} == {0}
    assert all(p["next_offset"] > 7 for p in report["partitions"] if p["topic"] == stack.topics.case)
    # The last folded record is followed by a control record: the next claim must not take that for another log.
    stack.stop_worker(stack.workers[0])
    stack.start_worker()
    stack.broker.send_in_transaction(records(4))
    assert len(stack.check().active_cases) == 32


def test_topic_grows(make_kafka_stack):
    """New partitions are read from their beginning; the rows of keys that moved to them are right."""
    stack = make_kafka_stack(partitions={"cases": 2})
    history = History(202, cases=300)
    stack.start_worker(properties={"topic.metadata.refresh.interval.ms": 500})
    stack.start_worker(properties={"topic.metadata.refresh.interval.ms": 500}, ready=False)
    half = len(history.items) // 2
    stack.send_items(history.items[:half])
    stack.broker.grow_topic(stack.topics.case, 5)
    stack.topics.partitions["case"] = 5
    stack.send_items(history.items[half:])
    stack.check()


@pytest.mark.parametrize("refilled", [0, 5, 40])
def test_recreated_topic_halts(make_kafka_stack, refilled):
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    organization = events.guid()
    stack.send(*(events.queued(organization, events.guid()) for _ in range(20)))
    worker = stack.start_worker()
    stack.check()
    stack.stop_worker(worker)
    stack.broker.delete_topic(stack.topics.case)
    stack.broker.create_topic(stack.topics.case, 1)
    if refilled:
        stack.send(*(events.queued(organization, events.guid()) for _ in range(refilled)))
    stack.start_worker(ready=False)
    _, reason, offset = wait_for(lambda: (stack.halt("case", 0)[0] == "halted") and stack.halt("case", 0), 30, "it halts")
    assert reason == ("recreated" if refilled >= 20 else "beyond-end")
    assert offset == 20
    stack.send(events.agent_event(organization, events.guid(), 1, {"AgentCurrentUnitCleared": {}}))
    wait_for(lambda: len(stack.agents()) == 1, 10, "the other topics go on")


def test_the_first_record_of_a_trimmed_log_waits_for_its_schema(make_kafka_stack, registry):
    """A partition of which nothing was read begins where its log does, each time that it is tried again."""
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1}, registry=registry)
    text = stack.schemas.by_role["case"].text
    sent = [events.queued(events.guid(), events.guid()) for _ in range(5)]
    framed = [stack.schemas.by_role["case"].registry_framed(registry.register(text), value) for _, value in sent]
    stack.send_raw("case", [(events.key_of(*event), value, ()) for event, value in zip(sent, framed, strict=True)])
    stack.broker.delete_records(stack.topics.case, 0, 2)
    stack.start_worker()
    view = stack.check()
    assert len(view.active_cases) == 3
    assert stack.progress()[stack.topics.case, 0][0] == 5


def test_directory_topic_that_grew_halts(make_kafka_stack):
    stack = make_kafka_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.send(events.directory_event(events.guid(), events.guid(), 1, {"UnitUpserted": {"name": "x"}}))
    worker = stack.start_worker()
    stack.check()
    stack.stop_worker(worker)
    stack.broker.grow_topic(stack.topics.directory, 2)
    stack.start_worker(ready=False)
    stack.wait_halt("directory", 0, "directory-repartitioned")


def test_compacted_directory(make_kafka_stack, kafka):
    """A topic with aggressive compaction: its offsets have gaps, and the last folded record may be deleted."""
    stack = make_kafka_stack()
    name = f"{stack.topics.directory}-compact"
    kafka.topic_by_script(
        name, 1, "cleanup.policy=compact", "segment.ms=100", "min.cleanable.dirty.ratio=0.001", "max.compaction.lag.ms=100",
        "delete.retention.ms=0",
    )  # fmt: skip
    stack.topics = stack.topics.renamed(directory=name, partitions=1)
    organization, units = events.guid(), [events.guid() for _ in range(3)]
    worker = stack.start_worker()
    case = events.guid()
    stack.send(events.queued(organization, case, unit=events.ref(units[0], "own")))
    for version in range(1, 8):
        for unit in units:
            stack.send(events.directory_event(organization, unit, version, {"UnitUpserted": {"name": f"v{version}"}}))
    stack.check()
    assert '"unitName":"v7"' in stack.body(case)
    stack.stop_worker(worker)
    stack.start_worker()
    stack.send(events.directory_event(organization, units[0], 8, {"UnitUpserted": {"name": "v8"}}))
    wait_for(lambda: '"unitName":"v8"' in stack.body(case), 10, "it goes on")
