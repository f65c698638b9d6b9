"""What the programs tell systemd: a socket of the test is the service manager (sd_notify(3))."""

import contextlib
import itertools
import os
import socket
import time

import pytest

from support import programs, tokens
from support.waiting import stays_true, wait_for

NUMBERS = itertools.count(1)
NOWHERE = "host=127.0.0.1 port=1 dbname=x"  # nothing listens there


class Manager:
    """Listens at a path, or at an abstract name, which systemd writes with @."""

    def __init__(self, folder, abstract):
        self.name = f"@caseview-test-{os.getpid()}-{next(NUMBERS)}" if abstract else str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.name.replace("@", "\0", 1))
        self.socket.setblocking(False)
        self.messages = []

    def environment(self, watchdog_s=None):
        watchdog = {"WATCHDOG_USEC": str(int(watchdog_s * 1e6))} if watchdog_s else {}
        return {"NOTIFY_SOCKET": self.name, **watchdog}

    def values(self, name):
        """Of all assignments of that name so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.messages += self.socket.recv(4096).decode().splitlines()
        pairs = [line.split("=", 1) for line in self.messages]
        return [value for key, value in pairs if key == name]

    def wait_status(self, text):
        wait_for(lambda: self.values("STATUS")[-1:] == [text], 40, f"STATUS={text}")


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    manager = Manager(tmp_path, request.param == "abstract")
    yield manager
    manager.socket.close()


@pytest.fixture
def start_api(tmp_path):
    keys = tokens.Keys()
    started = []

    def start(jwks=None, **options):
        argv = [
            programs.binary("caseview-api"), "--database", NOWHERE, "--listen", "127.0.0.1:0", "--admin-listen",
            "127.0.0.1:0", "--jwks", jwks or keys.write(tmp_path / "jwks.json"), "--issuer", tokens.ISSUER, "--audience",
            tokens.AUDIENCE, "--log-format", "text",
        ]  # fmt: skip
        started.append(programs.Api(f"api-{len(started)}", argv, tmp_path, **options))
        return started[-1]

    yield start
    for api in started:
        if api in programs.Program.running:
            api.kill()


def test_a_worker_tells_its_start_its_state_and_its_end(make_stack, manager):
    """READY does not wait for the database: `systemctl start` and the boot would wait with it."""
    stack = make_stack()
    environment = manager.environment()
    lost = stack.start_worker("--database", NOWHERE, ready=False, environment=environment)
    manager.wait_status("waiting for the database")
    assert manager.values("READY") == ["1"]
    assert lost.get("/live").status_code == 200
    stack.stop_worker(lost)
    assert manager.values("STOPPING") == ["1"] and manager.values("WATCHDOG") == []
    assert manager.values("STATUS")[-1].startswith("stopping")

    worker = stack.start_worker(environment=environment)
    count = sum(stack.topics.partitions.values())
    manager.wait_status(f"ready, {count} partitions")
    stack.stop_worker(worker)
    assert manager.values("READY") == ["1", "1"] and manager.values("STOPPING") == ["1", "1"]


def test_the_api_tells_its_start_its_state_and_its_end(start_api, manager, tmp_path):
    api = start_api(jwks=tmp_path / "none.json", environment=manager.environment())
    wait_for(lambda: (manager.values("STATUS") or [""])[-1].startswith("no key set yet"), 20, "waits for keys")
    assert manager.values("READY") == ["1"] and api.url
    tokens.Keys().write(tmp_path / "none.json")
    api.signal(1)  # SIGHUP reads the keys again
    wait_for(lambda: "key set" not in manager.values("STATUS")[-1], 20, "waits for the database")
    assert manager.values("STATUS")[-1] not in ("", "ready")
    api.stop()
    assert manager.values("STOPPING") == ["1"] and manager.values("STATUS")[-1].startswith("stopping")


@pytest.mark.parametrize("program", ["worker", "api"])
def test_the_watchdog_is_fed_by_a_program_that_advances_only(make_stack, start_api, manager, program):
    """Half of the watchdog's time passes between two messages, less than all of it; none comes while it is frozen."""
    environment = manager.environment(watchdog_s=2)
    stack = make_stack() if program == "worker" else None
    one = stack.start_worker(environment=environment) if stack else start_api(environment=environment)
    for count in range(2, 5):
        wait_for(lambda count=count: len(manager.values("WATCHDOG")) >= count, 20, f"message {count}")
    one.freeze()
    before = len(manager.values("WATCHDOG"))
    stays_true(lambda: len(manager.values("WATCHDOG")) <= before, 3, "nothing while frozen")
    start = time.monotonic()
    one.thaw()
    wait_for(lambda: len(manager.values("WATCHDOG")) > before + 2, 20, "again")
    assert time.monotonic() - start > 0.9  # not with every turn
    if stack:
        stack.stop_worker(one)
    else:
        one.stop()


def test_a_service_manager_that_is_gone_stops_nothing(make_stack, tmp_path):
    stack = make_stack()
    worker = stack.start_worker(environment={"NOTIFY_SOCKET": str(tmp_path / "no-such-socket"), "WATCHDOG_USEC": "100000"})
    worker.wait_log("NOTIFY_SOCKET: ")
    assert worker.is_ready()
    stack.stop_worker(worker)
    assert worker.log().count("NOTIFY_SOCKET: ") == 1
