"""One Caseview under test, with its own database and topics, and the workers that fold them."""

import contextlib
import itertools
import json
import threading
import time

from . import naive_fold, programs, tokens
from .events import key_of
from .kafka import MockBroker, fresh_topics, partition_of
from .waiting import Late, wait_for

STACK_NUMBERS = itertools.count(1)

ACTIVE_CASES = """
SELECT organization_id::text, case_id::text, user_id::text, unit_id::text,
       (extract(epoch FROM status_date) * 1000000)::bigint, (extract(epoch FROM case_timestamp) * 1000000)::bigint,
       degraded, convert_to(body, 'UTF8')
FROM caseview.active_case"""
AGENTS = "SELECT organization_id::text, user_id::text, current_unit_id::text, has_workspaces, degraded FROM caseview.agent"
APPLICATIONS = "SELECT organization_id::text, application_id::text, client_id, roles, enabled FROM caseview.application"
PARKED = """
SELECT topic, partition, "offset", reason, organization_id::text, key, value, headers,
       (extract(epoch FROM record_timestamp) * 1000)::bigint, text
FROM caseview.parked"""
PROGRESS = "SELECT topic, partition, next_offset, complete_at, state FROM caseview.progress"
HALT = "SELECT state, reason, next_offset FROM ctl.cursor WHERE topic = %s AND part = %s"


def told_apart(one, other):
    """The two rows; where both have a JSON body, only the members that differ."""
    if one is None or other is None or len(one) != len(other):
        return one, other
    cut = [], []
    for a, b in zip(one, other):
        if isinstance(a, bytes) and isinstance(b, bytes) and a != b:
            with contextlib.suppress(ValueError):
                objects = json.loads(a), json.loads(b)
                keys = [k for k in objects[0] if objects[0][k] != objects[1].get(k)]
                a, b = ({k: o.get(k) for k in keys} or o for o in objects)
        cut[0].append(a)
        cut[1].append(b)
    return cut


def difference(what, expected, found, limit=5):
    lines = []
    for key in sorted(set(expected) | set(found), key=str):
        if expected.get(key) != found.get(key):
            one, other = told_apart(expected.get(key), found.get(key))
            lines.append(f"{what} {key}:\n  expected {one!r}\n  found    {other!r}")
    if len(lines) > limit:
        lines = lines[:limit] + [f"… and {len(lines) - limit} more"]
    return lines


def batches_of(records):
    """Environment of a worker whose batches hold so many records at most (programs built with the tests)."""
    return {"CASEVIEW_TEST_BATCH_RECORDS": str(records)}


class Stack:
    def __init__(self, postgres, broker, schemas, folder, topics=None, registry=None, options=(), own_group=False):
        self.number = next(STACK_NUMBERS)
        self.postgres, self.broker, self.schemas, self.folder = postgres, broker, schemas, folder
        self.registry = registry
        self.options = list(options)
        self.topics = topics or fresh_topics()
        self.workers = []  # and apis
        self.halted = set()
        self.watch = None
        self.database = postgres.create_database()
        # On a broker for several stacks: dead static members of another one stay in their group until their session ends.
        self.group = self.database.name if own_group else None
        self.worker_numbers = itertools.count()

    # --- life

    def migrate(self):
        programs.caseview("migrate", "--database", self.database.conninfo, check=0)
        return self

    def create_topics(self):
        self.broker.create_topics(self.topics)
        return self

    def names(self):
        return [item for role in naive_fold.ROLES for item in (f"--{role}-topic", self.topics.name(role))]

    def kafka(self, **properties):
        properties = {"bootstrap.servers": self.broker.bootstrap, **properties}
        return [item for k, v in properties.items() for item in ("--kafka", f"{k}={v}")]

    def start_worker(self, *extra, instance=None, ready=True, properties=(), environment=(), cgroup=None):
        # Short, so that tests with frozen and killed members do not wait long.
        kafka = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500, **dict(properties)}
        given = {
            "--database": self.database.conninfo, "--schema-dir": self.schemas.folder, "--admin-listen": "127.0.0.1:0",
            "--log-format": "text",
        }  # fmt: skip
        if self.registry:
            given["--schema-registry"] = self.registry.url
        if instance:
            given["--group-instance-id"] = instance
        chosen = [*self.options, *extra]
        given.update(zip(chosen[::2], chosen[1::2], strict=True))
        if self.group:
            given.setdefault("--group-id", f"{self.group}-g{given.get('--generation', 1)}")
        argv = [programs.binary("caseview"), "worker", *self.kafka(**kafka), *self.names()]
        argv += [item for pair in given.items() for item in pair]
        worker = programs.Served(f"worker-{self.number}-{next(self.worker_numbers)}", argv, self.folder, environment, cgroup)
        self.workers.append(worker)
        if ready:
            worker.wait_ready()
        return worker

    def start_api(self, keys, *extra):
        """The endpoint over this stack's database; keys: tokens.Keys."""
        argv = [
            programs.binary("caseview-api"), "--database", self.database.conninfo, "--listen", "127.0.0.1:0",
            "--admin-listen", "127.0.0.1:0", "--jwks", keys.write(self.folder / f"jwks-{self.number}.json"),
            "--issuer", tokens.ISSUER, "--audience", tokens.AUDIENCE, "--log-format", "text", *extra,
        ]  # fmt: skip
        api = programs.Api(f"api-{self.number}", argv, self.folder)
        self.workers.append(api)
        api.wait_ready()
        return api

    def dev(self, command, *args, **options):
        """`caseview-dev` with this stack's broker, topics and schemas."""
        kafka = [*self.kafka(), *self.names(), "--schema-dir", self.schemas.folder]
        registry = ["--schema-registry", self.registry.url] if self.registry else []
        return programs.run("caseview-dev", command, *kafka, *registry, *args, **{"check": 0, **options})

    def stop_worker(self, worker):
        self.workers.remove(worker)
        worker.stop()

    def kill_worker(self, worker):
        self.workers.remove(worker)
        worker.kill()

    def close(self):
        """Stops what still runs; fails unless all exit with 0 and without a sanitizer report."""
        failures = []
        if self.watch:
            self.watch.stop()
        for worker in self.workers:
            try:
                worker.stop()
            except AssertionError as failure:
                worker.process.kill()
                failures.append(str(failure))
        self.workers = []
        self.database.drop()
        assert not failures, "\n".join(failures)

    # --- topics

    def grow(self, **counts):
        """grow(case=4): partitions are added up to this number."""
        for role, partitions in counts.items():
            self.broker.grow_topic(self.topics.name(role), partitions)
            self.topics.partitions[role] = partitions

    def trim(self, role, partition=0):
        """Retention removes all records that the partition has."""
        topic = self.topics.name(role)
        self.broker.delete_records(topic, partition, self.broker.ends(self.topics)[topic, partition][1])

    # --- producing

    def send_raw(self, role, items, partition=None):
        """items: (key, value bytes or None, headers). Returns (partition, offset) of each."""
        return self.broker.send([self.record(role, *item, partition) for item in items])

    def record(self, role, key, value, headers, partition=None):
        if partition is None:
            partition = partition_of(key, self.topics.partitions[role])
        return self.topics.name(role), partition, key, value, headers

    def encode(self, role, value):
        return None if value is None else self.schemas.encode(role, value)

    def send(self, *events, partition=None):
        """events: (role, value) as the makers of events.py return them."""
        return self.send_items([(role, key_of(role, value), value) for role, value in events], partition)

    def send_items(self, items, partition=None, choose=None):
        """items: (role, key, value or None). choose(role, key): the partition of each record."""
        return self.broker.send([
            self.record(role, key, self.encode(role, value), (), choose(role, key) if choose else partition)
            for role, key, value in items
        ])  # fmt: skip

    # --- the state of the database

    def progress(self):
        rows = self.database.query(PROGRESS)
        return {(t, p): (offset, complete, state) for t, p, offset, complete, state in rows}

    def halt(self, role, partition):
        rows = self.database.query(HALT, (self.topics.name(role), partition))
        return rows[0] if rows else None

    def wait_halt(self, role, partition, reason, deadline_s=30):
        def halted():
            row = self.halt(role, partition)
            return row if row and row[0] == "halted" else None

        row = wait_for(halted, deadline_s, f"{role}/{partition} halts")
        assert row[1] == reason
        self.halted.add((self.topics.name(role), partition))
        return row

    def behind(self):
        """The partitions whose cursor is not at the end, without those that are known to have halted."""
        progress, out = self.progress(), {}
        for where, (_, end) in self.broker.ends(self.topics).items():
            offset, complete, state = progress.get(where, (None, None, None))
            if where not in self.halted and (offset is None or offset < end or complete is None):
                out[where] = (offset, end, state)
        return out

    def wait_caught_up(self, deadline_s=60):
        last = {}

        def caught_up():
            for worker in self.workers:
                if not worker.frozen:
                    worker.check_running()
            last["behind"] = self.behind()
            return not last["behind"]

        try:
            wait_for(caught_up, deadline_s, "all is read", poll_s=0.05)
        except Late:
            raise AssertionError(f"partitions stay behind (cursor, end, state): {last.get('behind')}") from None

    def active_cases(self):
        return {(r[0], r[1]): (*r[2:7], bytes(r[7])) for r in self.database.query(ACTIVE_CASES)}

    def agents(self):
        return {(r[0], r[1]): (r[2], r[3], r[4]) for r in self.database.query(AGENTS)}

    def applications(self):
        return {(r[0], r[1]): (r[2], r[3], r[4]) for r in self.database.query(APPLICATIONS)}

    def parked(self):
        return {(r[0], r[1], r[2]): r[3:] for r in self.database.query(PARKED)}

    def body(self, case_id):
        """The Case object of one case, None when it is not listed."""
        rows = self.database.query("SELECT body FROM caseview.active_case WHERE case_id = %s", (case_id,))
        return rows[0][0] if rows else None

    def wait_body(self, case_id, condition=bool, deadline_s=20):
        return wait_for(
            lambda: condition(self.body(case_id)) and self.body(case_id), deadline_s, f"case {case_id} is as it should"
        )

    def metric(self, name, **labels):
        """The sum over all workers."""
        return sum(worker.metric(name, **labels) for worker in self.workers)

    def status(self, *args):
        return programs.status(self.database, *self.kafka(), *self.names(), *args)

    # --- the check

    def expected(self):
        """The view of the whole log; of a halted partition only what is before its cursor."""
        records, progress = self.broker.read_all(self.topics), self.progress()
        for role in records:
            records[role] = [
                r
                for r in records[role]
                if (r.topic, r.partition) not in self.halted or r.offset < progress[r.topic, r.partition][0]
            ]
        return naive_fold.fold(records, naive_fold.Decoder(self.schemas, self.registry))

    def differences(self, view):
        lines = difference("active_case", view.active_cases, self.active_cases())
        lines += difference("agent", view.agents, self.agents())
        lines += difference("application", view.applications, self.applications())
        return lines + difference("parked", *self.parked_pair(view))

    def parked_pair(self, view):
        """(expected, found) parked rows. The expected reason may have alternatives: `a|b`."""
        found = {
            where: (row[0], row[2] and bytes(row[2]), row[3] and bytes(row[3]), row[4] or [], row[5])
            for where, row in self.parked().items()
        }
        expected = {}
        for where, (reason, _, record) in view.parked.items():
            have = found.get(where, (None,))[0]
            reason = have if have in reason.split("|") else reason
            headers = naive_fold.headers_json(record.headers)
            expected[where] = (reason, record.key, record.value, headers, record.timestamp_ms)
        return expected, found

    def check(self, deadline_s=60, settle_s=10):
        """Waits until everything is read and the rows equal the naive fold of the log. Names may arrive a moment later."""
        self.wait_caught_up(deadline_s)
        view, last = self.expected(), {}

        def equal():
            last["lines"] = self.differences(view)
            return not last["lines"]

        with contextlib.suppress(Late):
            wait_for(equal, settle_s, "rows equal the naive fold", poll_s=0.1)
            return view
        raise AssertionError("the rows differ from the naive fold of the log:\n" + "\n".join(last["lines"]))

    # --- cursors

    def watch_cursors(self):
        self.watch = CursorWatch(self)
        return self.watch


class CursorWatch(threading.Thread):
    """Samples the cursors continuously: none may step back."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack = stack
        self.samples = 0
        self.steps_back = []
        self.error = None
        self._stop_now = threading.Event()
        self.start()

    def run(self):
        last = {}
        try:
            with contextlib.closing(self.stack.postgres.connect(self.stack.database.name)) as connection:
                cursor = connection.cursor()
                while not self._stop_now.wait(0.01):
                    cursor.execute(PROGRESS)
                    for topic, partition, offset, _, _ in cursor.fetchall():
                        before = last.get((topic, partition))
                        if before is not None and (offset is None or offset < before):
                            self.steps_back.append((time.time(), topic, partition, before, offset))
                        if offset is not None:
                            last[topic, partition] = offset
                    self.samples += 1
        except Exception as error:
            self.error = error

    def stop(self):
        self._stop_now.set()
        self.join(10)

    def check(self):
        self.stop()
        assert self.error is None, f"the cursors could not be watched: {self.error!r}"
        assert self.samples > 10, f"only {self.samples} samples"
        assert not self.steps_back, f"cursors stepped back: {self.steps_back[:5]}"


@contextlib.contextmanager
def mock_stack(postgres, schemas, folder, partitions=None, migrate=True, **options):
    """A stack with a migrated database and its own mock broker; the test starts workers."""
    topics = fresh_topics(**(partitions or {}))
    broker = MockBroker(folder, topics)
    try:
        stack = Stack(postgres, broker, schemas, folder, topics, **options)
        if migrate:
            stack.migrate()
        try:
            yield stack
        finally:
            stack.close()
    finally:
        broker.close()
