"""A private PostgreSQL cluster in a temporary folder, that can be stopped, killed and started again."""

import contextlib
import glob
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid

import psycopg2

from .programs import end_with_parent
from .waiting import PATIENCE, wait_for


class PostgresMissing(RuntimeError):
    """The server programs are not installed."""


def find_bin():
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda p: int(p.split("/")[4]))
    if not found:
        raise PostgresMissing("PostgreSQL's initdb is in none of /usr/lib/postgresql/*/bin: install postgresql")
    return pathlib.Path(found[-1]).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def process_tree(pid):
    """pid and all its descendants."""
    children = {}
    for stat in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError):
            child, _, rest = pathlib.Path(stat).read_text().partition(" ")
            children.setdefault(int(rest.rpartition(") ")[2].split()[1]), []).append(int(child))
    out, pending = [], [pid]
    while pending:
        out.append(pending.pop())
        pending += children.get(out[-1], [])
    return out


class Postgres:
    def __init__(self, settings=()):
        self.bin = find_bin()
        self.port = free_port()
        # PostgreSQL refuses to run as root.
        self.account = "postgres" if os.geteuid() == 0 else None
        self.user = "postgres"
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="caseview-pg-"))
        self.log = self.folder / "log"
        self.process = None
        if self.account:
            entry = pwd.getpwnam(self.account)
            os.chown(self.folder, entry.pw_uid, entry.pw_gid)
        self._run("initdb", "-D", str(self.folder / "data"), "-U", self.user, "-A", "trust", "-E", "UTF8",
                  "--locale=C", "--no-sync", "--no-instructions")  # fmt: skip
        self.settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "full_page_writes": "off",
            "max_connections": 60,
            "shared_buffers": "32MB",
            "timezone": "UTC",
            "log_min_duration_statement": 2000,
            "deadlock_timeout": "200ms",
            **dict(settings),
        }
        self.start()

    def _as_account(self):
        return {"user": self.account, "group": self.account, "extra_groups": []} if self.account else {}

    def _run(self, program, *args):
        done = subprocess.run(
            [self.bin / program, *args], cwd="/", capture_output=True, text=True, timeout=60 * PATIENCE, **self._as_account()
        )
        assert done.returncode == 0, f"{program}: {done.stderr}"

    def start(self):
        assert self.process is None
        options = [item for k, v in self.settings.items() for item in ("-c", f"{k}={v}")]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.folder / "data", *options],
                stdout=log, stderr=log, cwd="/", start_new_session=True, preexec_fn=end_with_parent,
                **self._as_account(),
            )  # fmt: skip
        wait_for(self._answers, 30, f"PostgreSQL of {self.folder} answers")

    def _answers(self):
        assert self.process.poll() is None, f"PostgreSQL ended: {self.log.read_text()[-2000:]}"
        with contextlib.suppress(psycopg2.OperationalError):
            self.connect("postgres").close()
            return True
        return False

    def stop(self, how=signal.SIGINT):
        """SIGINT: fast shutdown; SIGQUIT: immediate shutdown, as after a crash."""
        if self.process:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def kill(self):
        """kill -9 of each process of the server: WAL that is not written yet is lost."""
        pids = process_tree(self.process.pid)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(30)
        self.process = None
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), 10, "the killed server has ended")

    def close(self):
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def conninfo(self, database, user=None):
        return f"host={self.folder} port={self.port} dbname={database} user={user or self.user} connect_timeout=5"

    def connect(self, database, user=None):
        connection = psycopg2.connect(self.conninfo(database, user))
        connection.autocommit = True
        return connection

    def query(self, database, sql, args=(), user=None):
        """Rows of one statement over its own connection; no rows: []."""
        with contextlib.closing(self.connect(database, user)) as connection, connection.cursor() as cursor:
            cursor.execute(sql, args)
            return cursor.fetchall() if cursor.description else []

    def create_database(self):
        name = f"t_{uuid.uuid4().hex[:12]}"
        self.query("postgres", f"CREATE DATABASE {name}")
        return Database(self, name)


class Database:
    """One database of a cluster."""

    def __init__(self, postgres, name):
        self.postgres = postgres
        self.name = name
        self._connection = None

    @property
    def conninfo(self):
        return self.postgres.conninfo(self.name)

    def query(self, sql, args=()):
        """Rows of one statement over a cached connection, which is reopened after a failure."""
        for attempt in (1, 2):
            try:
                if self._connection is None:
                    self._connection = self.postgres.connect(self.name)
                with self._connection.cursor() as cursor:
                    cursor.execute(sql, args)
                    return cursor.fetchall() if cursor.description else []
            except (psycopg2.OperationalError, psycopg2.InterfaceError):
                self.close()
                if attempt == 2:
                    raise
        return []

    def value(self, sql, args=()):
        ((value,),) = self.query(sql, args)
        return value

    def close(self):
        if self._connection:
            self._connection.close()
            self._connection = None

    def drop(self):
        self.close()
        if self.postgres.process:
            self.postgres.query("postgres", f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
