"""A worker that drains a backlog stays within `memory`: in a container it is not killed, and after a peak it gives the
memory back. With programs built as they are shipped, since sanitizers need several times the memory."""

import fcntl
import os
import pathlib
import subprocess

import pytest

from support import programs
from support.kafka import fresh_topics
from support.stack import Stack
from support.waiting import wait_for

MIB = 1 << 20
LIMIT = 192 * MIB  # of the cgroup
OUTSIDE = 48 * MIB  # what a worker may need besides `memory`: program, libraries, stacks, the allocator
IDLE = 100 * MIB  # what it may keep a minute after the peak
EVENTS = 300_000
SHAPE = ["--events-per-case", 10, "--cases", 20_000, "--organizations", 20, "--agents", 100, "--seed", 1]
STATES = "SELECT count(*) FROM gen_1.case_state"


@pytest.fixture(scope="module")
def shipped():
    """The folder of programs built by the preset `release`."""
    build = programs.ROOT / "build"
    build.mkdir(exist_ok=True)
    with open(build / ".quickstart.lock", "w") as lock:  # deploy/quickstart builds there, too
        fcntl.flock(lock, fcntl.LOCK_EX)
        for step in (["--preset", "release"], ["--build", "--preset", "release", "--target", "caseview", "caseview-dev"]):
            done = subprocess.run(["cmake", *step], cwd=programs.ROOT, capture_output=True, text=True)
            assert done.returncode == 0, f"cmake {' '.join(step)}:\n{(done.stdout + done.stderr)[-4000:]}"
    before = os.environ.get("CASEVIEW_BIN_DIR")
    os.environ["CASEVIEW_BIN_DIR"] = str(build / "release/bin")
    yield pathlib.Path(os.environ["CASEVIEW_BIN_DIR"])
    if before is None:
        del os.environ["CASEVIEW_BIN_DIR"]
    else:
        os.environ["CASEVIEW_BIN_DIR"] = before


@pytest.fixture(scope="module")
def topics(shipped, kafka, schemas):
    """With the backlog, which all tests of this file read."""
    made = fresh_topics()
    kafka.create_topics(made)
    names = [word for role in made.partitions for word in (f"--{role}-topic", made.name(role))]
    servers = ["--kafka", f"bootstrap.servers={kafka.bootstrap}", "--schema-dir", schemas.folder]
    programs.run("caseview-dev", "simulate", *servers, *names, *SHAPE, "--events", EVENTS, check=0, deadline_s=120)
    return made


@pytest.fixture
def stack(postgres, kafka, schemas, topics, tmp_path):
    stack = Stack(postgres, kafka, schemas, tmp_path, topics).migrate()
    yield stack
    stack.close()


def drain(stack, worker):
    """Returns the most memory that was resident, in bytes."""
    stack.wait_caught_up(100)
    assert stack.database.value(STATES) > EVENTS / 20 and not stack.parked()
    return worker.resident_bytes()[1]


def test_a_backlog_is_drained_under_a_container_limit(make_cgroup, stack):
    """Without the option `memory` is half of the limit. (The order of the fixtures ends the worker before the cgroup.)"""
    group = make_cgroup(LIMIT)
    worker = stack.start_worker(cgroup=group, ready=False)
    peak = drain(stack, worker)
    assert group.oom_kills() == 0
    shown = [worker.metric(f"caseview_memory_{name}_bytes") for name in ("limit", "option")]
    assert shown == [LIMIT, LIMIT / 2]
    assert peak <= LIMIT / 2 + OUTSIDE, f"{peak / MIB:.0f} MiB were resident"
    assert group.peak() <= LIMIT


def test_memory_is_bounded_and_given_back(stack):
    memory = 96 * MIB
    worker = stack.start_worker("--memory", str(memory), ready=False)
    peak = drain(stack, worker)
    assert peak <= memory + OUTSIDE, f"{peak / MIB:.0f} MiB were resident"
    wait_for(lambda: worker.resident_bytes()[0] <= IDLE, 60, "the memory is given back")
