"""Changes of the directory, with many listed cases: what an entity that no case names costs PostgreSQL, how soon a new
name is shown, and how long events wait meanwhile.

One case of each agent is folded from events; the others are copies of its rows, which differ in their ids.
"""

import contextlib
import random
import threading
import time

import confluent_kafka
import latency
import rig as rigs
from measure import Cpu, Row, percentile
from support import avro_codec, events, programs
from support.kafka import fresh_topics, partition_of
from support.postgres import Postgres
from support.waiting import wait_for

ORGANIZATIONS = 50
CASES_OF_USER = 40
UNITS = 10  # of an organization; the first one has a single unit, which all its cases name
UNNAMED = 25  # upserts of each kind
EVERY_S = 0.05  # between two of them
USER_RENAMES, UNIT_RENAMES = 30, 5
USER_PAUSE_S, UNIT_PAUSE_S = 0.2, 1  # between two of them
LOAD_LIMIT_S = 300
KINDS = ("Unit", "ServiceCategory", "ServiceType", "Inbox", "Workstation", "Workspace", "User", "Customer")

COPY = (
    "CREATE TEMP TABLE copied AS SELECT organization_id, case_id AS from_id, gen_random_uuid() AS case_id "
    "FROM gen_1.active_case, generate_series(2, %s)",
    """INSERT INTO gen_1.case_state (case_id, rev, part, flags, degraded_at, over_at, state)
       SELECT c.case_id, s.rev, s.part, s.flags, s.degraded_at, s.over_at, s.state
         FROM copied c JOIN gen_1.case_state s ON s.case_id = c.from_id ORDER BY random()""",
    """INSERT INTO gen_1.active_case (organization_id, case_id, user_id, unit_id, status_date, case_timestamp, degraded, part,
                                      customer_ref, refs, body)
       SELECT a.organization_id, c.case_id, a.user_id, a.unit_id, a.status_date, a.case_timestamp, a.degraded, a.part,
              a.customer_ref, a.refs, replace(a.body, a.case_id::text, c.case_id::text)
         FROM copied c JOIN gen_1.active_case a ON a.organization_id = c.organization_id AND a.case_id = c.from_id
        ORDER BY random()""",
    "VACUUM (ANALYZE) gen_1.case_state",
    "VACUUM (ANALYZE) gen_1.active_case",
    "CHECKPOINT",
)
LOOK_UPS = """
SELECT coalesce(sum(calls) FILTER (WHERE reads), 0)::bigint, coalesce(sum(ms) FILTER (WHERE reads), 0)::float,
       coalesce(sum(ms), 0)::float
  FROM (SELECT calls, total_exec_time + total_plan_time AS ms,
               regexp_replace(query, '^(\\s*--[^\\n]*\\n)+', '') ~ '^\\s*SELECT' AS reads
          FROM pg_stat_statements JOIN pg_database d ON d.oid = dbid
         WHERE d.datname = current_database() AND query !~ 'pg_stat_statements') s"""
SHOWN = """
SELECT count(*) FROM caseview.active_case WHERE organization_id = %s AND user_id = %s AND body LIKE %s"""
OLD = "SELECT count(*) FROM caseview.active_case WHERE organization_id = %s AND body NOT LIKE %s"


class Organization:
    def __init__(self, users, units):
        self.id = events.guid()
        self.users = [events.guid() for _ in range(users)]
        self.units = [events.guid() for _ in range(units)]
        self.inboxes = [events.inbox(events.guid(), "Reception") for _ in range(units)]
        self.categories = [(events.ref(name="Inquiry"), events.ref(name="Special Inquiry")) for _ in range(20)]


class Directory:
    """Sends events of the directory, and of the first case of each agent."""

    def __init__(self, rig, topics):
        self.topics, self.schemas, self.version = topics, avro_codec.Schemas(str(rigs.SCHEMAS)), 0
        self.producer = confluent_kafka.Producer(
            {"bootstrap.servers": rig.scratch.bootstrap, "acks": "all", "linger.ms": 0, "log_level": 2}
        )

    def send(self, event):
        role, value = event
        key = events.key_of(role, value)
        partition = partition_of(key, self.topics.partitions[role])
        while True:
            try:
                self.producer.produce(self.topics.name(role), self.schemas.encode(role, value), key, partition)
                return
            except BufferError:
                self.producer.poll(0.1)

    def flush(self):
        if self.producer.flush(60):
            raise rigs.Broken("events were not delivered")

    def upsert(self, kind, organization, entity, name):
        self.version += 1
        fields = {
            "ServiceType": {"serviceCategoryId": events.guid()},
            "Inbox": {"unitId": events.guid()},
            "Workstation": {"unitId": events.guid()},
            "Workspace": {"unitId": events.guid()},
            "Customer": {"dataTableId": events.guid()},
        }.get(kind, {})
        fields["displayName" if kind in ("User", "Customer") else "name"] = name
        self.send(events.directory_event(organization, entity, self.version, {f"{kind}Upserted": fields}))
        self.producer.poll(0)


def load(rig, directory, database, worker):
    """The organizations of --cases listed cases."""
    users = max(1, rig.wanted.cases // ORGANIZATIONS // CASES_OF_USER)
    organizations = [Organization(users, UNITS if n else 1) for n in range(ORGANIZATIONS)]
    rig.say(f"loading {ORGANIZATIONS * users * CASES_OF_USER:,} listed cases")
    for organization in organizations:
        for n, user in enumerate(organization.users):
            place = n % len(organization.units)
            category, kind = random.choice(organization.categories)
            unit = organization.units[place]
            served = events.user(user, "Agent")
            directory.send(events.queued(
                organization.id, events.guid(), unit=events.ref(unit, "Unit"), inbox=organization.inboxes[place],
                lockedBy=served, assignedTo=served, serviceCategory=category, serviceType=kind,
                workstation=events.ref(name="Desk"), customer=events.customer(name="Customer"),
            ))  # fmt: skip
            directory.send(events.agent_event(organization.id, user, 1, {"AgentCurrentUnitSelected": {"unitId": unit}}))
    directory.flush()
    folded = "SELECT (SELECT count(*) FROM gen_1.active_case), (SELECT count(*) FROM gen_1.agent)"
    everyone = ORGANIZATIONS * users + 1  # with the probe agent, who serves no case now
    wait_for(lambda: database.query(folded)[0] == (everyone - 1, everyone), LOAD_LIMIT_S, "the first cases are folded")
    worker.check_running()
    for statement in COPY:
        database.query(statement, (CASES_OF_USER,) if "%s" in statement else ())
    return organizations


def wait_number(database, worker, at_least):
    wait_for(lambda: worker.metric("caseview_directory_number") >= at_least, 60, "the changes are shown", poll_s=0.01)


def unnamed(directory, database, worker, organizations):
    """What upserts cost of entities that no row names, in turn of each kind, one each EVERY_S."""
    number = worker.metric("caseview_directory_number")
    database.query("SELECT pg_stat_statements_reset()")
    pg = Cpu(pg=database.postgres.process.pid)
    began = time.monotonic()
    for turn in range(UNNAMED):
        for at, kind in enumerate(KINDS):
            rigs.sleep_until(began + (turn * len(KINDS) + at) * EVERY_S)
            directory.upsert(kind, random.choice(organizations).id, events.guid(), "unnamed")
    directory.flush()
    sent = UNNAMED * len(KINDS)
    wait_number(database, worker, number + sent)
    seconds, used = time.monotonic() - began, pg.used()["pg"]
    calls, read_ms, all_ms = database.query(LOOK_UPS)[0]
    idle = Cpu(pg=database.postgres.process.pid)
    time.sleep(seconds)
    return {
        "sent": sent, "calls": calls / sent, "read_ms": read_ms / sent, "all_ms": all_ms / sent,
        "cpu_ms": (used - idle.used()["pg"]) / sent * 1000,
    }  # fmt: skip


def user_renames(directory, database, organizations):
    """Seconds from produce() until all cases of the user show the name."""
    taken = []
    for n in range(USER_RENAMES):
        organization = random.choice(organizations)
        user, name = random.choice(organization.users), f"user {n}"
        began = time.perf_counter()
        directory.upsert("User", organization.id, user, name)
        wait_for(
            lambda: database.value(SHOWN, (organization.id, user, f'%"lockedBy":{{%"{name}"%')) == CASES_OF_USER,
            60, "the name is shown", poll_s=0.001,
        )  # fmt: skip
        taken.append(time.perf_counter() - began)
        time.sleep(USER_PAUSE_S)
    return taken


def unit_renames(directory, database, worker, organization):
    """Seconds from produce() until all cases of the only unit of the organization show the name."""
    taken, rows = [], len(organization.users) * (CASES_OF_USER + 1)  # and the agents
    for n in range(UNIT_RENAMES):
        before = worker.metric("caseview_rerendered_total")
        began = time.perf_counter()
        directory.upsert("Unit", organization.id, organization.units[0], f"unit {n}")
        wait_for(
            lambda: worker.metric("caseview_rerendered_total") >= before + rows, 120, "all are rendered", poll_s=0.005
        )
        taken.append(time.perf_counter() - began)
        if left := database.value(OLD, (organization.id, f'%"unitName":"unit {n}"%')):
            raise rigs.Broken(f"{left} cases do not show the new name")
        time.sleep(UNIT_PAUSE_S)
    return taken


class Events:
    """Probes events one after the other on a thread, until it is stopped."""

    def __init__(self, prober):
        self.prober, self.seconds, self.failure = prober, [], None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            while not self.stopping.is_set():
                began = time.monotonic()
                self.seconds.append((began, self.prober.probe()[0]))
        except Exception as failure:  # noqa: BLE001 - it is raised where the thread is joined
            self.failure = failure

    def stop(self):
        self.stopping.set()
        self.thread.join(60)
        if self.failure:
            raise self.failure
        return [seconds for _, seconds in self.seconds]


def probed(prober, action):
    """The result of the action, and the latencies of the events meanwhile."""
    probing = Events(prober)
    try:
        result = action()
    finally:
        latencies = probing.stop()
    return result, latencies


def latency_row(what, latencies, target=""):
    p50, p99, most = (percentile(latencies, share) * 1000 for share in (0.5, 0.99, 1))
    return Row(what, [p99], "ms", target=target, more=f"p50 {p50:.1f} ms, max {most:.1f} ms of {len(latencies)}")


def times_row(what, seconds, target):
    values = [s * 1000 for s in seconds]
    return Row(what, values, "ms", target=target, more=f"of {len(values)}")


def rows_of(rig, unnamed_, users, units, quiet, at_users, at_units):
    cases = max(1, rig.wanted.cases // ORGANIZATIONS // CASES_OF_USER) * CASES_OF_USER
    return [
        Row("an upsert that no row names: PostgreSQL's time for look-ups", [unnamed_["read_ms"]], "ms", target="≤ 5 ms",
            more=f"{unnamed_['calls']:.1f} look-ups each, polling included",
            note=f"all statements {unnamed_['all_ms']:.2f} ms, CPU beyond that of idling {unnamed_['cpu_ms']:.2f} ms, of "
                 f"{unnamed_['sent']} upserts, one each {EVERY_S * 1000:g} ms"),
        times_row(f"a user's new name: all {CASES_OF_USER} cases visible", users, "≤ 200 ms"),
        times_row(f"a unit's new name: all {cases:,} cases visible", units, "≤ 1,000 ms"),
        latency_row("an event produced → visible, p99, nothing renamed", quiet),
        latency_row("… while users are renamed", at_users, "≤ 50 ms"),
        latency_row("… while a unit is renamed", at_units, "≤ 50 ms"),
    ]  # fmt: skip


def notes(rig):
    return [
        rig.settings_line() + ", pg_stat_statements",
        f"{rig.wanted.cases:,} listed cases of {ORGANIZATIONS} organizations, {CASES_OF_USER} of each agent, one worker; "
        f"{USER_RENAMES} renames of users, {UNIT_RENAMES} of a unit; events: one probe at a time over HTTP",
    ]


def measured(rig, directory, prober, database, worker):
    organizations = load(rig, directory, database, worker)
    for _ in range(latency.WARM_PROBES):
        prober.probe()
    rig.say("renaming")
    cost = unnamed(directory, database, worker, organizations)
    _, quiet = probed(prober, lambda: time.sleep(10))
    users, at_users = probed(prober, lambda: user_renames(directory, database, organizations[1:]))
    units, at_units = probed(prober, lambda: unit_renames(directory, database, worker, organizations[0]))
    return rows_of(rig, cost, users, units, quiet, at_users, at_units)


def run(rig):
    topics = fresh_topics(**{"cases": 4, "agents": 2, "directory": 2})
    rig.scratch.create_topics(topics)
    with contextlib.closing(Postgres({**rigs.SETTINGS, "shared_preload_libraries": "pg_stat_statements",
                                      "pg_stat_statements.track_planning": "on"})) as postgres:  # fmt: skip
        database = postgres.create_database()
        database.query("CREATE EXTENSION pg_stat_statements")
        programs.caseview("migrate", "--database", database.conninfo, check=0)
        worker = rig.worker(rig.scratch, topics, database)
        worker.wait_ready()
        api = rig.api(database.conninfo)
        prober = latency.Prober(rig, topics, api)
        try:
            result = measured(rig, Directory(rig, topics), prober, database, worker)
        finally:
            prober.close()
            for program in (api, worker):
                if program.is_running():
                    program.stop()
        if database.value("SELECT count(*) FROM caseview.parked"):
            raise rigs.Broken("events were parked")
        return result
