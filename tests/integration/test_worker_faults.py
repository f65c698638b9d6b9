"""Processes die, freeze and resume, services are unavailable: rows agree with the log, and no cursor moves back."""

import contextlib
import signal
import threading

from support import avro_codec, events
from support.postgres import Postgres
from support.random_history import History
from support.waiting import stays_true, wait_for


class Load(threading.Thread):
    """Sends a history in slices, one every few milliseconds, so that faults occur in the middle of it."""

    def __init__(self, stack, seed, cases=600, slice_size=40):
        super().__init__(daemon=True)
        self.stack, self.slice_size = stack, slice_size
        self.items = History(seed, organizations=3, cases=cases).items
        self.sent, self.error = 0, None
        self._ended = threading.Event()
        self.start()

    def run(self):
        try:
            while self.sent < len(self.items) and not self._ended.wait(0.02):
                self.stack.send_items(self.items[self.sent : self.sent + self.slice_size])
                self.sent += self.slice_size
        except Exception as error:
            self.error = error

    def wait_share(self, share):
        wait_for(lambda: self.error or self.sent >= share * len(self.items), 60, f"{share:.0%} of the load is sent")
        assert self.error is None

    def finish(self):
        self.join(60)
        assert self.error is None and not self.is_alive(), f"the load did not end: {self.error!r}"


def cursor_sum(stack):
    return sum(offset for offset, _, _ in stack.progress().values())


def test_killed_in_the_middle_of_a_load(make_stack):
    stack = make_stack()
    watch = stack.watch_cursors()
    workers = {name: stack.start_worker(instance=name, ready=False) for name in ("one", "two")}
    for worker in workers.values():
        worker.wait_ready()
    load = Load(stack, 101, cases=700)
    for share, name in ((0.2, "one"), (0.6, "two")):
        load.wait_share(share)
        stack.kill_worker(workers[name])
        workers[name] = stack.start_worker(instance=name, ready=False)
    load.finish()
    stack.check()
    watch.check()


def test_frozen_past_its_session_and_thawed(make_stack):
    """A zombie that still considers itself the owner must not write a row."""
    stack = make_stack()
    watch = stack.watch_cursors()
    zombie = stack.start_worker(instance="zombie", ready=False)
    other = stack.start_worker(instance="other")
    zombie.wait_ready()
    load = Load(stack, 102)
    load.wait_share(0.3)
    zombie.freeze()
    load.finish()
    # The group gives the frozen one's partitions to the other once its session is over.
    stack.wait_caught_up(60)
    middle = cursor_sum(stack)
    zombie.thaw()
    stack.send_items(History(103, cases=200).items)
    stack.check()
    assert cursor_sum(stack) > middle
    assert zombie.is_running() and other.is_running(), "both go on"
    assert "consumer group (group-id)" not in zombie.log() + other.log()
    watch.check()


def test_two_groups_that_both_own_all_partitions(make_stack):
    """Kafka's group may have two owners of a partition (here always); the database decides for each batch."""
    stack = make_stack()
    watch = stack.watch_cursors()
    one, other = (stack.start_worker("--group-id", name, ready=False) for name in ("one", "other"))
    load = Load(stack, 108, cases=500)
    load.wait_share(0.7)
    stack.stop_worker(other)
    load.finish()
    stack.check()
    assert one.metric("caseview_fenced_total") > 0, "the two groups must have conflicted"
    one.wait_log(rf"claimed by other@\S+:{other.process.pid}, a worker of another consumer group \(group-id\)")
    assert ("one",) in stack.database.query("SELECT split_part(owner, '@', 1) FROM ctl.cursor")
    watch.check()


def test_worker_joins_and_leaves(make_stack):
    stack = make_stack()
    watch = stack.watch_cursors()
    first = stack.start_worker()
    load = Load(stack, 104, cases=900)
    load.wait_share(0.2)
    second = stack.start_worker(ready=False)
    load.wait_share(0.5)
    wait_for(lambda: second.metric("caseview_claims_total") > 0, 40, "the second worker gets partitions")
    stack.stop_worker(first)
    load.finish()
    stack.check()
    assert second.metric("caseview_claims_total") >= sum(stack.topics.partitions.values()), "it owns all of them"
    watch.check()


def test_database_killed_and_restarted(make_stack, schemas, tmp_path):
    """Commits are asynchronous: a crash may lose the last ones, rows and cursor together."""
    server = Postgres()
    with contextlib.closing(server):
        stack = make_stack(postgres=server)
        worker = stack.start_worker()
        load = Load(stack, 105, cases=700)
        for share in (0.2, 0.5):
            load.wait_share(share)
            server.kill()
            wait_for(lambda: not worker.is_ready(), 10, "the worker is not ready without its database")
            assert worker.get("/live").status_code == 200
            server.start()
            worker.wait_ready()
        load.finish()
        stack.check()
        assert worker.is_running()
        assert worker.metric("caseview_recoveries_total") > 0
        stack.stop_worker(worker)
        stack.database.drop()


def test_backend_terminated(make_stack):
    """An administrator terminates the worker's backends: it reconnects by itself."""
    stack = make_stack()
    worker = stack.start_worker()
    load = Load(stack, 106, cases=400)
    for share in (0.2, 0.4, 0.6, 0.8):
        load.wait_share(share)
        stack.database.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    load.finish()
    stack.check()
    assert worker.metric("caseview_recoveries_total") > 0


def test_waits_for_database_and_schema(make_stack, tmp_path):
    server = Postgres()
    with contextlib.closing(server):
        stack = make_stack(postgres=server, migrate=False)
        server.stop()
        worker = stack.start_worker(ready=False)
        wait_for(lambda: "database" in worker.get("/ready").text, 10, "/ready says what it waits for")
        server.start()
        stays_true(lambda: worker.is_running() and not worker.is_ready(), 1, "it waits for the schema too")
        stack.migrate()
        stack.send(events.queued(events.guid(), events.guid()))
        stack.check()
        worker.wait_ready()
        stack.stop_worker(worker)
        stack.database.drop()


def test_broker_unreachable_at_the_start_and_later(make_stack):
    stack = make_stack()
    organization = events.guid()
    stack.send(*(events.queued(organization, events.guid()) for _ in range(50)))
    stack.broker.freeze()
    worker = stack.start_worker(ready=False, properties={"reconnect.backoff.max.ms": 500})
    stays_true(lambda: worker.is_running() and not worker.is_ready(), 2, "it waits for the broker")
    stack.broker.thaw()
    stack.check()
    stack.broker.freeze()
    # Longer than the session: the group has to be joined again.
    stays_true(worker.is_running, 8, "it waits")
    stack.broker.thaw()
    stack.send(*(events.queued(organization, events.guid()) for _ in range(50)))
    view = stack.check()
    assert len(view.active_cases) == 100


def test_registry_unreachable(make_stack, registry):
    """Records that need it wait, none is parked, other partitions continue. Four ways to be unreachable."""
    stack = make_stack(registry=registry)
    worker = stack.start_worker()
    organization, listed = events.guid(), 0
    for mode in ("off", "error", "hang", "moved"):
        # An id that the worker has not seen yet: it does not request known ones.
        schema = avro_codec.Schema({**stack.schemas.by_role["case"].json, "doc": mode})
        schema_id = registry.register(schema.text)
        if mode == "off":
            registry.stop()
        registry.behave(mode)
        held = stack.progress()[stack.topics.case, 0][0]
        made = [events.queued(organization, events.guid()) for _ in range(10)]
        stack.send_raw("case", [(events.key_of(*e), schema.registry_framed(schema_id, e[1]), ()) for e in made], 0)
        for _ in range(2):
            stack.send(*(events.queued(organization, events.guid()) for _ in range(10)), partition=1)
            listed += 10
            wait_for(lambda: len(stack.active_cases()) == listed, 15, f"{mode}: the other partition goes on")
        waits = lambda: not stack.parked() and stack.progress()[stack.topics.case, 0][0] == held  # noqa: B023, E731
        stays_true(waits, 0.5, f"{mode}: the first one waits")
        if mode == "moved":
            worker.wait_log(f"path in schema-registry may be wrong: {registry.url}/schemas/ids/{schema_id}")
        registry.behave("slow")
        if mode == "off":
            registry.start()
        listed += 10
        view = stack.check()
        assert len(view.active_cases) == listed and not view.parked


def test_topic_missing_at_the_start(make_stack):
    """The other topics are read; the missing one is read once it exists."""
    stack = make_stack()
    missing = f"{stack.topics.agent}-later"
    stack.topics = stack.topics.renamed(agent=missing, partitions=4)
    worker = stack.start_worker(ready=False, properties={"topic.metadata.refresh.interval.ms": 1000})
    organization = events.guid()
    stack.send(*(events.queued(organization, events.guid()) for _ in range(20)))
    wait_for(lambda: len(stack.active_cases()) == 20, 30, "the topics that there are flow")
    worker.check_running()
    stack.broker.create_topic(missing, 4)
    stack.send(events.agent_event(organization, events.guid(), 1, {"AgentCurrentUnitSelected": {"unitId": events.guid()}}))
    view = stack.check()
    assert len(view.agents) == 1


def test_sigterm_in_the_middle_of_a_load_drains(make_stack):
    stack = make_stack()
    watch = stack.watch_cursors()
    load = Load(stack, 107, cases=500)
    for share in (0.2, 0.6):
        worker = stack.start_worker()
        load.wait_share(share)
        stack.stop_worker(worker)
        # The rows agree with the cursors that it committed.
    load.finish()
    stack.start_worker()
    stack.check()
    watch.check()


def test_second_sigterm_ends_at_once(make_stack):
    """Draining waits for a hanging database; the second signal does not."""
    stack = make_stack()
    worker = stack.start_worker()
    with contextlib.closing(stack.postgres.connect(stack.database.name)) as blocker:
        blocker.autocommit = False
        blocker.cursor().execute("LOCK TABLE gen_1.case_state IN ACCESS EXCLUSIVE MODE")
        stack.send(events.queued(events.guid(), events.guid()))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'gen_1.case_state'::regclass"
        wait_for(lambda: stack.database.value(waiting) > 0, 10, "the batch waits for the lock")
        worker.signal(signal.SIGTERM)
        stays_true(worker.is_running, 1, "it wants to finish the batch")
        worker.signal(signal.SIGTERM)
        code = worker.wait(5)
        assert code not in (70, 99), f"exit {code}"
        blocker.rollback()
    stack.workers.remove(worker)
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    wait_for(lambda: stack.database.value(others) == 0, 10, "the server has noticed")
    moved = sum(offset for (topic, _), (offset, _, _) in stack.progress().items() if topic == stack.topics.case)
    assert len(stack.active_cases()) == moved, "row and cursor, or neither"


def test_locks_and_writes_of_other_sessions(make_stack):
    """The lock of another session on a row only delays a batch."""
    stack = make_stack()
    worker = stack.start_worker()
    organization, case = events.guid(), events.guid()
    stack.send(events.queued(organization, case))
    stack.check()
    with contextlib.closing(stack.postgres.connect(stack.database.name)) as blocker:
        blocker.autocommit = False
        blocker.cursor().execute("SELECT FROM gen_1.active_case WHERE case_id = %s FOR UPDATE", (case,))
        stack.send(events.case_event(organization, case, 2, {"CasePositionChanged": {"rank": 2.0}}))
        stays_true(lambda: '"rank":1.5' in stack.body(case), 1, "the batch waits")
        blocker.rollback()
    stack.wait_body(case, lambda body: '"rank":2,' in body)

    # A row whose revision another writer changed is re-read, not overwritten from a stale cache.
    stack.database.query("UPDATE gen_1.case_state SET rev = rev + 1 WHERE case_id = %s", (case,))
    stack.send(events.case_event(organization, case, 3, {"CasePositionChanged": {"rank": 3.0}}))
    stack.check()
    assert worker.metric("caseview_refolds_total") > 0

    # Draining closes every connection to the database.
    mine = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    assert stack.database.value(mine) > 0
    stack.stop_worker(worker)
    wait_for(lambda: stack.database.value(mine) == 0, 10, "its connections are gone")
