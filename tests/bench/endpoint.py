"""The endpoint under load, compared with PostgreSQL alone and CivetWeb alone on the same machine, in turn.

- caseview-api: wrk asks for many agents, each with a valid token of its organization's client.
- pgbench: the same agents' cases as a bare query, prepared, over the unix socket, as a reader of the views.
- CivetWeb, and lib/http.c over it: a constant answer of the same size to the same requests; nothing is looked up or
  checked.
"""

import json
import random
import re
import statistics
import uuid

import rig as rigs
from measure import Cpu, Row, medians, percentile
from support import page_sample, programs
from support.tokens import ROLE

CONNECTIONS = (1, 8, 32, 128)
TARGETS = {8: 0.55, 32: 0.7}  # × pgbench
AGENTS = 10_000
ORGANIZATIONS = 4
TOKENS = 1_000
LISTED = 2
READER = "caseview_bench_reader"
SAMPLED = 0.05  # of pgbench's transactions are logged for its percentiles
CONSTANT_THREADS = 160
ANSWERS = re.compile(r"BENCH (.*)")
TPS = re.compile(r"tps = ([\d.]+) \(without initial connection time\)")
TRANSACTIONS = re.compile(r"number of transactions actually processed: (\d+)")

# Ids are made of the agent's number, so that pgbench can make them, too.
FILL = """
INSERT INTO gen_1.directory (kind, organization_id, entity_id, status, version, change_no, name, detail, roles, enabled)
SELECT 9, ('aaaaaaaa-0000-4000-8000-1' || lpad(o::text, 11, '0'))::uuid,
       ('cccccccc-0000-4000-8000-1' || lpad(o::text, 11, '0'))::uuid, 1, 1, o + 1, 'bench', 'client-' || o, %(roles)s, true
  FROM generate_series(0, %(organizations)s - 1) o;

INSERT INTO gen_1.agent (organization_id, user_id, rev, part, current_unit_id, has_workspaces, degraded, refs, state)
SELECT ('aaaaaaaa-0000-4000-8000-1' || lpad((n %% %(organizations)s)::text, 11, '0'))::uuid,
       ('bbbbbbbb-0000-4000-8000-1' || lpad(n::text, 11, '0'))::uuid, 1, 0,
       ('dddddddd-0000-4000-8000-1' || lpad((n %% 40)::text, 11, '0'))::uuid, true, false, '', ''
  FROM generate_series(0, %(agents)s - 1) n ORDER BY random();

INSERT INTO gen_1.active_case (organization_id, case_id, user_id, unit_id, status_date, case_timestamp, degraded, part, refs,
                               body)
WITH c AS MATERIALIZED (SELECT a.*, n, gen_random_uuid() AS case_id FROM gen_1.agent a, generate_series(1, %(listed)s) n)
SELECT organization_id, case_id, user_id, current_unit_id, '2024-04-11T11:13:38Z'::timestamptz + n * interval '1 s',
       '2024-04-11T11:13:53Z', false, 0, '\\x00',
       replace(replace(%(body)s, %(case)s, case_id::text), %(user)s, user_id::text)
  FROM c ORDER BY random();
"""

# What one answer needs from the database, in its simplest form. pgbench knows only numbers, from which the ids are made.
QUERY = """
\\set agent random(100000000000, {last})
\\set organization 100000000000 + (:agent - 100000000000) % {organizations}
SELECT c.body
  FROM caseview.agent a
  JOIN caseview.active_case c ON c.organization_id = a.organization_id AND c.user_id = a.user_id
                             AND c.unit_id = a.current_unit_id
 WHERE a.organization_id = ('aaaaaaaa-0000-4000-8000-' || :organization::text)::uuid
   AND a.user_id = ('bbbbbbbb-0000-4000-8000-' || :agent::text)::uuid
 ORDER BY c.status_date, c.case_id;
"""
# The settings of the API's own connection (api/sql/setup.sql): pgbench is given the same advantages.
PGOPTIONS = " ".join(
    f"-c {setting}"
    for setting in (
        "plan_cache_mode=force_generic_plan", "enable_hashjoin=off", "enable_material=off", "enable_mergejoin=off", "enable_seqscan=off", "jit=off",
        "max_parallel_workers_per_gather=0", "default_transaction_read_only=on",
    )
)  # fmt: skip


def identifier(kind, n):
    return f"{kind * 8}-0000-4000-8000-1{n:011d}"


def fill(rig):
    """A migrated database with agents that serve cases, and a role that may read the views only."""
    database = rig.database()
    (sample,) = json.loads(page_sample.ANSWER.read_text())
    body = page_sample.ANSWER.read_text().strip()[1:-1]
    database.query(
        FILL,
        {
            "roles": [ROLE], "organizations": ORGANIZATIONS, "agents": AGENTS, "listed": LISTED, "body": body,
            "case": sample["caseId"], "user": sample["lockedBy"]["userId"],
        },
    )  # fmt: skip
    if not database.value("SELECT count(*) FROM pg_roles WHERE rolname = %s", (READER,)):
        database.query(f"CREATE ROLE {READER} LOGIN IN ROLE caseview_reader")
    for table in ("agent", "active_case", "directory"):
        database.query(f"VACUUM (ANALYZE) gen_1.{table}")
    database.query("CHECKPOINT")
    return database


class Target:
    """A program under load. each: connections → numbers of one run."""

    def __init__(self, rig, database):
        self.rig, self.database = rig, database
        self.seconds = rig.wanted.seconds

    def close(self):
        pass


class OverHttp(Target):
    name, address, process = None, None, None
    environment = {}  # of wrk

    def load(self, connections, seconds):
        """wrk's numbers, and its CPU seconds."""
        text, used = rigs.finished(
            "wrk", "-t", min(2, connections), "-c", connections, "-d", f"{seconds}s",
            "-s", rigs.ROOT / "tests/bench/endpoint.lua", self.address,
            environment={"BENCH_REQUESTS": self.rig.folder / "requests", **self.environment},
        )  # fmt: skip
        found = ANSWERS.search(text)
        if not found:
            raise rigs.Broken(f"wrk printed no figures:\n{text}")
        numbers = {key: int(value) for key, value in (pair.split("=") for pair in found[1].split())}
        failed = {kind: numbers[kind] for kind in ("connect", "read", "write", "status", "timeout") if numbers[kind]}
        if failed or not numbers["requests"]:
            raise rigs.Broken(f"{self.name} at {connections} connections: {numbers['requests']} answers, failures {failed}")
        return numbers, used

    def each(self, connections):
        cpu = Cpu(**{self.name: self.process.pid, "pg": self.rig.postgres.process.pid})
        numbers, used = self.load(connections, self.seconds)
        costs = cpu.each(numbers["requests"], wrk=used)
        return {
            "rate": numbers["requests"] / numbers["us"] * 1e6,
            "p50": numbers["p50_us"] / 1000, "p99": numbers["p99_us"] / 1000,
            **{f"cpu_{name}": us for name, us in costs.items()},
        }  # fmt: skip


class CaseviewApi(OverHttp):
    name = "api"

    def __init__(self, rig, database, *options):
        super().__init__(rig, database)
        self.program = rig.api(rig.postgres.conninfo(database.name, READER), *options)
        self.process, self.address = self.program.process, self.program.url
        path, token = (rig.folder / "requests").read_text().split("\n", 1)[0].split("\t")
        answer = self.get(path, token)
        if answer.status_code != 200 or len(answer.json()) != LISTED:
            raise rigs.Broken(f"the API answers {answer.status_code}: {answer.text[:300]}")
        self.size = len(answer.content)
        self.load(8, 2)  # every token is verified once

    def get(self, path, token):
        _, application, _, user, _ = path.split("/")
        return self.program.active_cases(application, user, token)

    def each(self, connections):
        before = self.program.metrics()
        numbers = super().each(connections)
        after = self.program.metrics()
        asked, statements = (
            after[name, ()] - before[name, ()]
            for name in ("caseview_api_batched_requests_total", "caseview_api_batches_total")
        )
        return {**numbers, "batch": asked / max(statements, 1)}

    def close(self):
        self.program.stop()


class Constant(OverHttp):
    """A program that answers everything with so many bytes."""

    LISTENING = re.compile(r"listening on (127\.0\.0\.1:\d+)")

    def __init__(self, rig, database, name, size):
        super().__init__(rig, database)
        self.name = name
        self.program = programs.Program(name, [rig.program(f"{name}_constant"), size, CONSTANT_THREADS], rig.folder)
        address = self.program.wait_log(self.LISTENING)[1]
        self.process, self.address = self.program.process, f"http://{address}"

    def close(self):
        self.program.stop()


class Pgbench(Target):
    name = "pgbench"

    def __init__(self, rig, database):
        super().__init__(rig, database)
        self.script = rig.folder / "query.sql"
        self.script.write_text(QUERY.format(last=100_000_000_000 + AGENTS - 1, organizations=ORGANIZATIONS))

    def each(self, connections):
        logs = self.rig.folder / f"pgbench-{uuid.uuid4().hex[:8]}"
        logs.mkdir()
        cpu = Cpu(pg=self.rig.postgres.process.pid)
        text, used = rigs.finished(
            self.rig.postgres.bin / "pgbench", "-n", "-M", "prepared", "-f", self.script, "-c", connections, "-j",
            min(2, connections), "-T", self.seconds, "-l", f"--sampling-rate={SAMPLED}", f"--log-prefix={logs}/log",
            "-h", self.rig.postgres.folder, "-p", self.rig.postgres.port, "-U", READER, self.database.name,
            environment={"PGOPTIONS": PGOPTIONS},
        )  # fmt: skip
        rate, count = TPS.search(text), TRANSACTIONS.search(text)
        if not rate or not count or int(count[1]) == 0:
            raise rigs.Broken(f"pgbench printed no figures:\n{text}")
        times = [int(line.split()[2]) / 1000 for log in logs.iterdir() for line in log.read_text().splitlines()]
        costs = cpu.each(int(count[1]), pgbench=used)
        return {
            "rate": float(rate[1]), "p50": percentile(times, 0.5), "p99": percentile(times, 0.99),
            **{f"cpu_{name}": us for name, us in costs.items()},
        }  # fmt: skip


def write_requests(rig):
    """One line an agent, in random order; agents share tokens, since a token is a client's."""
    shuffled = random.Random(1)
    tokens = [rig.keys.token(f"client-{n % ORGANIZATIONS}", jti=str(n)) for n in range(TOKENS)]
    agents = list(range(AGENTS))
    shuffled.shuffle(agents)
    with open(rig.folder / "requests", "w") as file:
        for n in agents:
            application, user = identifier("c", n % ORGANIZATIONS), identifier("b", n)
            file.write(f"/{application}/agents/{user}/activeCases\t{tokens[n % TOKENS]}\n")


def figures(target, connections, samples, reference):
    middle = medians(samples)
    cpu = {key.removeprefix("cpu_"): value for key, value in middle.items() if key.startswith("cpu_") and value >= 0.05}
    row = Row(
        f"{connections:>3} connections: {target}", [s["rate"] for s in samples], "answers/s", cpu=cpu,
        more=f"p50 {middle['p50']:.2f} ms · p99 {middle['p99']:.2f} ms"
        + (f" · {middle['batch']:.1f} requests a statement" if "batch" in middle else ""),
    )  # fmt: skip
    if reference is not None:
        row.ratio, row.ratio_to = row.value / statistics.median(s["rate"] for s in reference), "pgbench"
        row.target = f"≥ {TARGETS[connections]} × pgbench" if connections in TARGETS else ""
    return row


def notes(rig):
    return [
        rig.settings_line() + f"; {AGENTS:,} agents, {LISTED} listed cases of 1.1–1.3 kB each, {TOKENS:,} RS256 tokens",
        f"runs of {rig.wanted.seconds} s in turn; the load programs (wrk, pgbench) share the machine with what they load; "
        f"pgbench's percentiles are of {SAMPLED:.0%} of its transactions; civetweb, http: a constant of the same size by "
        f"CivetWeb alone and by lib/http.c, {CONSTANT_THREADS} threads",
    ]


def run(rig):
    database = fill(rig)
    write_requests(rig)
    api = CaseviewApi(rig, database)
    constants = [Constant(rig, database, name, api.size) for name in ("civetweb", "http")]
    targets = [api, Pgbench(rig, database), *constants]
    samples = {(connections, t.name): [] for connections in CONNECTIONS for t in targets}
    try:
        for turn in range(rig.wanted.repetitions):
            for connections in CONNECTIONS:
                rig.say(f"endpoint, {connections} connections, turn {turn + 1} of {rig.wanted.repetitions}")
                # They take turns in starting, so that not always the same one runs after the pause.
                for t in targets[turn % len(targets) :] + targets[: turn % len(targets)]:
                    samples[connections, t.name].append(t.each(connections))
    finally:
        for t in targets:
            t.close()
    database.drop()
    return [
        figures(t.name, c, samples[c, t.name], samples[c, "pgbench"] if t is api else None)
        for c in CONNECTIONS
        for t in targets
    ]

