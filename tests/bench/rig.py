"""The environment of all sections: built programs, PostgreSQL, brokers, and a backlog that is produced only once."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

import measure  # noqa: F401  (the tests' folder becomes a place to import from)
from support import programs, tokens
from support.kafka import ApacheKafka, Topics
from support.postgres import Postgres
from support.registry import ApicurioRegistry

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMAS = ROOT / "schemas/avro"
PROGRAMS = (
    "caseview", "caseview-api", "caseview-dev", "bench_decode", "bench_fold", "bench_render", "bench_consume",
    "civetweb_constant", "http_constant",
)  # fmt: skip

# Durable settings, which the tests switch off for speed.
SETTINGS = {
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "max_connections": 200,
    "log_min_duration_statement": -1,
}
PARTITIONS = {"case": 4, "agent": 2, "directory": 2}
WIDE = 128  # case partitions of one backlog


class Broken(RuntimeError):
    """The benchmark failed, and has no valid figures."""


def build(folder):
    """Builds what the benchmarks need into this folder, with optimisation. Returns the folder of the programs."""
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DCASEVIEW_TESTS=ON", "-DCMAKE_INTERPROCEDURAL_OPTIMIZATION=ON"]
    steps = [
        ["cmake", "-G", "Ninja", "-S", ROOT, "-B", folder, *options],
        ["cmake", "--build", folder, "--target", *PROGRAMS],
    ]
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode:
            raise Broken(f"{' '.join(map(str, step))}:\n{(done.stdout + done.stderr)[-4000:]}")
    return folder / "bin"


def build_type(programs_folder):
    cache = programs_folder.parent / "CMakeCache.txt"
    found = re.search(r"CMAKE_BUILD_TYPE:\w+=(\w+)", cache.read_text()) if cache.exists() else None
    return found[1] if found else "unknown"


def finished(*argv, environment=()):
    """(standard output, CPU seconds) of a program that must succeed."""
    argv = [str(word) for word in argv]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, env=programs.clean_environment(environment)
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        errors.seek(0)
        text = out.read().decode()
        if process.returncode:
            raise Broken(f"{' '.join(argv)}: exit {process.returncode}\n{text}{errors.read().decode()}"[:4000])
    return text, used.ru_utime + used.ru_stime


class Backlog:
    """Three topics that a broker has ready, and what is in them."""

    def __init__(self, name, events, per_case, in_flight, seed, registry=False, case_partitions=PARTITIONS["case"]):
        self.name, self.events, self.per_case, self.in_flight, self.seed = name, events, per_case, in_flight, seed
        self.topics = Topics(f"{name}-cases", f"{name}-agents", f"{name}-directory", {**PARTITIONS, "case": case_partitions})
        self.registry = registry  # is it framed by a schema registry's ids?
        self.ends = None  # (topic, partition) → end offset
        self.broker = None

    @property
    def options(self):
        return [
            "--events", self.events, "--events-per-case", self.per_case, "--cases", self.in_flight, "--seed", self.seed,
            "--organizations", 20, "--agents", 100,
        ]  # fmt: skip

    @property
    def title(self):
        partitions = self.topics.partitions["case"]
        return (
            f"{self.per_case} event{'s' * (self.per_case > 1)} a case"
            + f", {partitions} partitions" * (partitions != PARTITIONS["case"])
            + ", schemas from a registry" * self.registry
        )

    @property
    def total(self):
        return sum(self.ends.values())

    def count(self, role):
        return sum(end for (topic, _), end in self.ends.items() if topic == self.topics.name(role))


class Rig:
    """Starts servers and programs; close() ends them all."""

    def __init__(self, programs_folder, cache, wanted, say):
        self.cache, self.wanted, self.say = cache, wanted, say
        os.environ["CASEVIEW_BIN_DIR"] = str(programs_folder)
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="caseview-bench-"))
        self.keys = tokens.Keys()
        self._exits = contextlib.ExitStack()
        self._exits.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self._postgres = self._broker = self._scratch = self._registry = None
        self._numbers = 0

    def close(self):
        for program in list(programs.Program.running):
            program.kill()
        self._exits.close()

    def program(self, name):
        return programs.binary(name)

    def number(self):
        self._numbers += 1
        return self._numbers

    # --- servers

    @property
    def postgres(self):
        if self._postgres is None:
            self._postgres = Postgres(SETTINGS)
            self._exits.callback(self._postgres.close)
        return self._postgres

    def settings_line(self):
        version = self.postgres.query("postgres", "SHOW server_version")[0][0]
        shown = ("fsync", "full_page_writes", "shared_buffers", "max_wal_size")
        return f"PostgreSQL {version}, unix socket: " + ", ".join(f"{name}={SETTINGS[name]}" for name in shown)

    def database(self):
        """A new one, migrated."""
        database = self.postgres.create_database()
        programs.caseview("migrate", "--database", database.conninfo, check=0)
        return database

    @property
    def scratch(self):
        """A broker for topics that are not kept."""
        if self._scratch is None:
            self._scratch = ApacheKafka(self.folder / "kafka")
            self._exits.callback(self._scratch.close)
        return self._scratch

    def backlogs(self):
        """name → Backlog. The broker's folder is kept: producing takes longer than most measurements."""
        w = self.wanted
        made = [
            Backlog("ten", w.events, 10, w.in_flight, 1),
            Backlog("wide", w.events, 10, w.in_flight, 1, case_partitions=WIDE),
            Backlog("one", w.single_events, 1, w.in_flight, 2),
            Backlog("registry", w.events, 10, w.in_flight, 1, registry=True),
        ]
        if self._broker is None:
            self._broker = self._start_cached(made)
        self._note_ends(self._broker, made)
        return {backlog.name: backlog for backlog in made}

    def rebuild_backlogs(self, sizes, partitions):
        """One of each size, smallest first, on a broker of their own."""
        made = [Backlog(f"rebuild{n}", n, 10, self.wanted.in_flight, 3, case_partitions=partitions) for n in sizes]
        self._note_ends(self._start_cached(made), made)
        return made

    @staticmethod
    def _note_ends(broker, made):
        for backlog in made:
            backlog.broker = broker
            backlog.ends = {where: end for where, (_, end) in broker.ends(backlog.topics).items()}

    @property
    def broker(self):
        return self._broker

    def _start_cached(self, backlogs):
        sources = [*sorted(SCHEMAS.glob("*.avsc")), *sorted((ROOT / "deploy/dev").glob("simulate*.c"))]
        recipe = json.dumps([[b.options, b.topics.partitions] for b in backlogs]) + "".join(path.read_text() for path in sources)
        folder = self.cache / f"kafka-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
        done = folder / "produced"
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        broker = ApacheKafka(folder / "broker")
        self._exits.callback(broker.close)
        self._registry = ApicurioRegistry(folder / "registry")  # its ids are in the records
        self._exits.callback(self._registry.close)
        for backlog in backlogs if not done.exists() else ():
            self.say(f"producing {backlog.events:,} events ({backlog.title}), kept in {folder}")
            broker.create_topics(backlog.topics)
            framing = ["--schema-registry", self._registry.url] if backlog.registry else []
            self.dev(broker, backlog.topics, "simulate", *backlog.options, *framing)
        done.touch()
        return broker

    # --- programs

    @staticmethod
    def kafka(broker, topics, schemas=("--schema-dir", SCHEMAS)):
        names = [word for role in PARTITIONS for word in (f"--{role}-topic", topics.name(role))]
        return ["--kafka", f"bootstrap.servers={broker.bootstrap}", *names, *schemas]

    def dev(self, broker, topics, command, *args):
        programs.run("caseview-dev", command, *self.kafka(broker, topics), *args, check=0, deadline_s=900)

    def simulate(self, broker, topics, *args):
        argv = [self.program("caseview-dev"), "simulate", *self.kafka(broker, topics), "--end-with-parent", *args]
        return programs.Program(f"simulate-{self.number()}", argv, self.folder)

    def workers(self, count, broker, topics, database, registry=False, options=()):
        """Of one group. registry: they have their schemas from there alone."""
        group = f"bench-{self.number()}-{os.getpid()}"
        # The first ones learn of the others with their next heartbeat: by default most of the work would be done before.
        more = ["--kafka", "heartbeat.interval.ms=100"] if count > 1 else []
        return [self._worker(broker, topics, database, registry, group, [*more, *options]) for _ in range(count)]

    def worker(self, broker, topics, database, more=(), cgroup=None):
        """more: options. cgroup: support.cgroup.MemoryCgroup."""
        group = f"bench-{self.number()}-{os.getpid()}"
        return self._worker(broker, topics, database, False, group, more, cgroup)

    def member(self, broker, topics, database, group, more=()):
        """One more worker of this group."""
        return self._worker(broker, topics, database, False, group, more)

    def _worker(self, broker, topics, database, registry, group, more, cgroup=None):
        number = self.number()
        schemas = ["--schema-registry", self._registry.url] if registry else ["--schema-dir", SCHEMAS]
        argv = [
            self.program("caseview"), "worker", "--database", database.conninfo, *self.kafka(broker, topics, schemas),
            "--group-id", group, "--admin-listen", "127.0.0.1:0", "--log-format", "text",
            *more, *shlex.split(self.wanted.worker),
        ]  # fmt: skip
        if self.wanted.memory and not cgroup:  # in a cgroup its limit decides
            argv += ["--memory", str(self.wanted.memory)]
        return programs.Served(f"worker-{number}", argv, self.folder, cgroup=cgroup)

    def api(self, conninfo, *options):
        number = self.number()
        argv = [
            self.program("caseview-api"), "--database", conninfo, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
            "--jwks", self.keys.write(self.folder / "jwks.json"), "--issuer", tokens.ISSUER,
            "--audience", tokens.AUDIENCE, "--log-format", "text", *options,
        ]  # fmt: skip
        api = programs.Api(f"api-{number}", argv, self.folder)
        api.wait_ready()
        return api


def java_pid(broker):
    return int((broker.folder / "kafka.pid").read_text())


def sleep_until(moment):
    time.sleep(max(0.0, moment - time.monotonic()))


def progress(text):
    print(f"   {text} …", file=sys.stderr, flush=True)
