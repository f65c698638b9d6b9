"""Caseview's programs as child processes: started, watched, frozen, killed; their logs are kept and shown on failure."""

import contextlib
import ctypes
import json
import os
import pathlib
import re
import shlex
import signal
import subprocess

import requests

from .waiting import PATIENCE, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
SANITIZER = re.compile(r"ERROR: AddressSanitizer|runtime error:|ERROR: LeakSanitizer|WARNING: ThreadSanitizer|DEADLYSIGNAL")


def binary(name):
    """CASEVIEW_BIN_DIR/name; without the variable the newest build of the presets."""
    folders = [os.environ.get("CASEVIEW_BIN_DIR"), ROOT / "build/asan/bin", ROOT / "build/dev/bin"]
    for folder in filter(None, folders):
        path = pathlib.Path(folder) / name
        if path.exists():
            return path
        if folder is folders[0]:
            break
    raise FileNotFoundError(f"no program {name}: build it and name its folder in CASEVIEW_BIN_DIR")


def clean_environment(extra=()):
    """The tests' environment without variables that configure Caseview or libpq."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("CASEVIEW_", "PG"))}
    kept.setdefault("ASAN_OPTIONS", "abort_on_error=0:exitcode=99:detect_leaks=1:handle_abort=1")
    kept.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1:exitcode=99")
    kept.setdefault("LSAN_OPTIONS", "exitcode=99")
    kept.setdefault("TSAN_OPTIONS", f"exitcode=99:suppressions={ROOT}/tests/support/tsan_suppressions")
    return {**kept, **dict(extra)}


LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def end_with_parent():
    """Runs in the child, which ends with the tests, even if they are killed."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


class Program:
    """One running program, which logs to folder/<name>.log."""

    running = []
    shown = []  # logs of the test at hand

    def __init__(self, name, argv, folder, environment=(), cgroup=None):
        """cgroup: a cgroup.MemoryCgroup to run in."""
        self.name = name
        self.argv = [str(a) for a in argv]
        under = shlex.split(os.environ.get("CASEVIEW_TEST_UNDER", ""))
        self.log_path = pathlib.Path(folder) / f"{name}.log"
        self.expected = None
        self.frozen = False
        with open(self.log_path, "ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(
                under + self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(environment),
                start_new_session=True, preexec_fn=lambda: (cgroup and cgroup.join(), end_with_parent()),
            )  # fmt: skip
        Program.running.append(self)
        Program.shown.append(self.log_path)

    def resident_bytes(self):
        """(now, the most so far)"""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return tuple(int(re.search(rf"(?m)^{name}:\s+(\d+) kB$", status)[1]) << 10 for name in ("VmRSS", "VmHWM"))

    def log(self):
        with open(self.log_path, "rb") as file:
            file.seek(self.log_start)
            return file.read().decode("utf-8", "replace")

    def is_running(self):
        return self.process.poll() is None

    def check_running(self):
        assert self.is_running(), f"{self.name} ended with {self.process.returncode}:\n{self.log()[-3000:]}"

    def wait_log(self, pattern, deadline_s=20):
        """The first match of the pattern in the log."""

        def look():
            found = re.search(pattern, self.log())
            if not found:
                self.check_running()
            return found

        return wait_for(look, deadline_s, f"{self.name} logs {pattern!r}")

    def signal(self, number):
        self.process.send_signal(number)

    def freeze(self):
        self.signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self):
        self.signal(signal.SIGCONT)
        self.frozen = False

    def kill(self):
        """kill -9."""
        self.process.kill()
        self.process.wait(20)
        self._ended()

    def wait(self, deadline_s=30):
        try:
            code = self.process.wait(deadline_s * PATIENCE)
        except subprocess.TimeoutExpired:
            self._abort_with_stack()
            raise AssertionError(f"{self.name} does not end; its log:\n{self.log()[-6000:]}") from None
        self._ended()
        return code

    def _abort_with_stack(self):
        """Aborts the program; the sanitizer writes the stack of the main thread to the log."""
        self.signal(signal.SIGABRT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(20)

    def stop(self, deadline_s=30):
        """SIGTERM drains: exit 0."""
        if not self.is_running():
            code = self.process.returncode
            self._ended()
            raise AssertionError(f"{self.name} had ended with {code}:\n{self.log()[-3000:]}")
        if self.frozen:
            self.thaw()
        self.signal(signal.SIGTERM)
        code = self.wait(deadline_s)
        assert code == 0, f"{self.name} ended with {code} after SIGTERM:\n{self.log()[-3000:]}"

    def _ended(self):
        if self in Program.running:
            Program.running.remove(self)
        found = SANITIZER.search(self.log())
        assert not found, f"{self.name}: sanitizer report:\n{self.log()[max(0, found.start() - 200):][:5000]}"


class Served(Program):
    """A program with an admin port, whose address it logs."""

    # Text: "… admin … 127.0.0.1:PORT"; the api's other address is logged by another line.
    ADDRESS = re.compile(r"(?im)^.*\badmin\b.*?(127\.0\.0\.1:\d+)")

    @property
    def admin(self):
        if not hasattr(self, "_admin"):
            self._admin = self.wait_log(self.ADDRESS)[1]
        return self._admin

    def get(self, path, **options):
        return requests.get(f"http://{self.admin}{path}", timeout=10, **options)

    def is_ready(self):
        self.check_running()
        with contextlib.suppress(requests.ConnectionError):
            return self.get("/ready").status_code == 200
        return False

    def wait_ready(self, deadline_s=40):
        wait_for(self.is_ready, deadline_s, f"{self.name} is ready")

    def metrics(self):
        return parse_metrics(self.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"}).text)

    def metric(self, name, **labels):
        """The sum of the series with these labels, 0 when there is none."""
        series = self.metrics()
        return sum(v for (n, ls), v in series.items() if n == name and set(labels.items()) <= set(ls))


class Api(Served):
    LISTENING = re.compile(r"listening on (https?://127\.0\.0\.1:\d+)")

    @property
    def url(self):
        if not hasattr(self, "_url"):
            self._url = self.wait_log(self.LISTENING)[1]
        return self._url

    def active_cases(self, application, user, token, method="GET", **headers):
        headers = {"Authorization": f"Bearer {token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        return requests.request(method, f"{self.url}/{application}/agents/{user}/activeCases", headers=headers, timeout=10)


SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: (\S+))?(?: # .*)?")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')


def parse_metrics(page):
    """(name, ((label, value), …)) → number; fails on anything that OpenMetrics does not allow."""
    lines = page.split("\n")
    assert lines[-1] == "" and lines[-2] == "# EOF", f"the page must end with # EOF: {page[-100:]!r}"
    out, types, finished, family = {}, {}, set(), None
    for line in lines[:-2]:
        if line.startswith("#"):
            mark, word, name, rest = line.split(" ", 3)
            assert mark == "#" and word in ("TYPE", "HELP", "UNIT"), line
            if name != family:
                assert name not in finished, f"family {name} in two places"
                finished.add(name)
                family = name
            if word == "TYPE":
                assert rest in ("counter", "gauge", "histogram", "info", "stateset", "summary", "unknown"), line
                assert name not in types, f"two types of {name}"
                types[name] = rest
            continue
        match = SAMPLE.fullmatch(line)
        assert match, f"not a sample: {line!r}"
        name, labels, number = match[1], match[2] or "", float(match[3])
        assert family and name.startswith(family), f"{name} outside its family {family}"
        suffix, kind = name[len(family) :], types.get(family)
        allowed = {"counter": ("_total", "_created"), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count", "_created")}
        assert suffix in allowed.get(kind, (suffix,)), f"{name} is no {kind}"
        pairs, at = [], 0
        while at < len(labels):
            label = LABEL.match(labels, at)
            assert label, f"bad labels in {line!r}"
            pairs.append((label[1], label[2]))
            at = label.end()
        key = (name, tuple(sorted(pairs)))
        assert key not in out, f"series twice: {line!r}"
        out[key] = number
    return out


def run(name, *args, environment=(), deadline_s=30, check=None, text_input=None):
    """Runs a program that ends by itself. check: its expected exit code."""
    argv = [str(binary(name)), *map(str, args)]
    done = subprocess.run(
        argv, capture_output=True, text=True, env=clean_environment(environment), timeout=deadline_s * PATIENCE,
        input=text_input if text_input is not None else "",
    )  # fmt: skip
    assert not SANITIZER.search(done.stderr), f"{argv}: sanitizer report:\n{done.stderr[:5000]}"
    if check is not None:
        assert done.returncode == check, f"{argv}: exit {done.returncode}, not {check}\n{done.stdout}{done.stderr}"
    return done


def caseview(command, *args, **options):
    return run("caseview", command, *args, **options)


def status(database, *args):
    done = caseview("status", "--database", database.conninfo, "--json", *args, check=0)
    return json.loads(done.stdout)
