"""Silent clients, too many connections, and the Keep-Alive field."""

import contextlib
import socket
import subprocess
import threading
import time

import pytest
import requests

from support.api_views import EXPECTED, check_problem
from support.programs import binary, clean_environment, run
from support.waiting import PATIENCE, wait_for


class Silent:
    """Silent connections that are reopened as soon as the server closes them."""

    def __init__(self, address, count, first=b""):
        host, port = address.rsplit(":", 1)
        self.to, self.first = (host, int(port)), first
        self.ended = threading.Event()
        self.opened = 0
        self.threads = [threading.Thread(target=self._run, args=(count // 4,), daemon=True) for _ in range(4)]
        for thread in self.threads:
            thread.start()

    def _open(self):
        conn = socket.create_connection(self.to, timeout=5)
        if self.first:
            conn.sendall(self.first)
        conn.setblocking(False)
        self.opened += 1
        return conn

    def _run(self, count):
        conns = []
        while not self.ended.is_set():
            with contextlib.suppress(OSError):
                while len(conns) < count:
                    conns.append(self._open())
            kept = []
            for conn in conns:
                try:
                    closed = conn.recv(1) == b""
                except BlockingIOError:
                    closed = False
                except OSError:
                    closed = True
                if closed:
                    conn.close()
                else:
                    kept.append(conn)
            conns = kept
            time.sleep(0.01)
        for conn in conns:
            conn.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ended.set()
        for thread in self.threads:
            thread.join(20)


@pytest.mark.parametrize("first", [b"", b"G", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_thousand_silent_clients_do_not_delay_requests(own, token, first):
    api = own()
    api.wait_ready()
    with Silent(api.address, 1000, first) as silent:
        wait_for(lambda: silent.opened >= 900, 30, "they have come")
        times = []
        for _ in range(200):
            begin = time.monotonic()
            assert api.call(token).text == EXPECTED
            times.append(time.monotonic() - begin)
        times.sort()
        assert times[197] < 0.1 * PATIENCE, f"p99 {times[197]:.3f} s"
        assert api.metric("caseview_api_connections_active") < 10


@pytest.mark.parametrize("first", [b"", b"GET /live HTTP/1.1\r\nHost: x\r\n", b"POST /live HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"])
def test_probes_answer_within_a_second_under_attack(own, token, first):
    api = own()
    api.wait_ready()
    with Silent(api.admin, 400, first) as silent:
        wait_for(lambda: silent.opened >= 300, 30, "they have come")
        for path in ("/live", "/ready") * 20:
            begin = time.monotonic()
            assert requests.get(f"http://{api.admin}{path}", timeout=10).status_code == 200
            assert time.monotonic() - begin < 1 * PATIENCE


def test_exhausted_descriptors_are_logged_once_without_spinning(own, token, monkeypatch):
    real = subprocess.Popen

    def limited(argv, **options):
        if "caseview-api" not in argv[0]:
            return real(argv, **options)
        return real(["prlimit", "--nofile=160:160", *argv], **options)

    monkeypatch.setattr(subprocess, "Popen", limited)
    api = own("--threads", "40")
    monkeypatch.undo()
    api.wait_ready()
    with Silent(api.address, 400) as silent:
        wait_for(lambda: silent.opened >= 300, 30, "more than there are descriptors")
        wait_for(lambda: api.metric("caseview_api_connections_shed_total") > 0, 10, "the oldest make room")

        def is_answered():
            with contextlib.suppress(requests.ConnectionError):  # with so few descriptors this connection may be closed, too
                return api.call(token).text == EXPECTED

        for _ in range(20):
            wait_for(is_answered, 10, "a request gets through")
        before, begin = api.metric("process_cpu_seconds_total"), time.monotonic()
        assert api.metric("caseview_api_connections") <= 64
        silent.ended.set()
        time.sleep(2)
        assert api.metric("process_cpu_seconds_total") - before < 0.8 * (time.monotonic() - begin)


def test_more_threads_than_open_files_is_exit_2(tmp_path, keys):
    done = subprocess.run(
        ["prlimit", "--nofile=200:200", str(binary("caseview-api")), "--jwks", keys.write(tmp_path / "k.json"), "--issuer",
         "i", "--audience", "a", "--admin-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"],
        capture_output=True, text=True, timeout=60, check=False, env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 2
    assert "160 threads need a limit of at least 256 open files, it is 200" in done.stderr


def test_the_keep_alive_field_is_true(own, token):
    api = own("--keep-alive-s", "2", "--threads", "2")
    api.wait_ready()
    sessions = [requests.Session() for _ in range(20)]  # ten times the threads
    for turn in range(3):
        for session in sessions:
            answer = session.get(api.url(), headers={"Authorization": f"Bearer {token}"}, timeout=10)
            assert answer.text == EXPECTED
            assert answer.headers["Keep-Alive"] == "timeout=2" and "Connection" not in answer.headers
        time.sleep(1)
    assert api.metric("caseview_api_connections") == 20, "the same connections all the time"
    wait_for(lambda: api.metric("caseview_api_connections") == 0, 10, "then they are closed")
    answer = sessions[0].get(api.url(), headers={"Authorization": f"Bearer {token}", "Connection": "close"}, timeout=10)
    assert answer.headers["Connection"] == "close" and "Keep-Alive" not in answer.headers


class Busy(threading.Thread):
    """A client that asks again as soon as it has its answer, on one connection."""

    def __init__(self, api, token, ended):
        super().__init__(daemon=True)
        self.api, self.token, self.ended = api, token, ended
        self.answers, self.longest_s, self.failure = 0, 0.0, None

    def run(self):
        with requests.Session() as session:
            while not self.ended.is_set():
                begin = time.monotonic()
                try:
                    answer = session.get(self.api.url(), headers={"Authorization": f"Bearer {self.token}"}, timeout=30)
                    assert answer.text == EXPECTED and "Connection" not in answer.headers
                except (requests.RequestException, AssertionError) as failure:
                    self.failure = failure
                    return
                self.answers += 1
                self.longest_s = max(self.longest_s, time.monotonic() - begin)


def test_busy_connections_take_turns(own, token):
    """Twice as many connections as threads, all busy without a pause."""
    api = own("--threads", "2")
    api.wait_ready()
    ended = threading.Event()
    clients = [Busy(api, token, ended) for _ in range(4)]
    for client in clients:
        client.start()
    time.sleep(4)
    ended.set()
    for client in clients:
        client.join(40)
    assert [client.failure for client in clients] == [None] * 4
    assert min(client.answers for client in clients) >= 20, [client.answers for client in clients]
    assert max(client.longest_s for client in clients) < 2 * PATIENCE, [client.longest_s for client in clients]
    assert api.metric("caseview_api_connections_unserved_total") == 0


def test_pipelined_requests_do_not_keep_a_thread_from_others(own, token):
    api = own("--threads", "1")
    api.wait_ready()
    host, port = api.address.split(":")
    heard = []
    with socket.create_connection((host, int(port)), timeout=20) as greedy:

        def ask():
            with contextlib.suppress(OSError):
                while True:
                    greedy.sendall(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n" * 100)

        def hear():
            with contextlib.suppress(OSError):
                while block := greedy.recv(65536):
                    heard.append(len(block))

        threads = [threading.Thread(target=run, daemon=True) for run in (ask, hear)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(heard) > 10, 10, "it is served")
        begin = time.monotonic()
        assert api.call(token).text == EXPECTED
        assert time.monotonic() - begin < 5 * PATIENCE
        with contextlib.suppress(OSError):
            greedy.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(20)


@pytest.mark.parametrize("listen", ["[::1]:0", "[::]:0"])
def test_ipv6(own, token, listen):
    api = own("--listen", listen, "--admin-listen", listen)
    port = api.wait_log(r"listening on http://\[::1?\]:(\d+)")[1]
    admin = api.wait_log(r"admin port: http://\[::1?\]:(\d+)")[1]
    hosts = ["[::1]", "127.0.0.1"] if listen.startswith("[::]") else ["[::1]"]
    path = "/" + "/".join(["aaaaaaaa-0000-4000-8000-00000000000a", "agents", "bbbbbbbb-0000-4000-8000-000000000001", "activeCases"])
    for host in hosts:
        wait_for(lambda host=host: requests.get(f"http://{host}:{admin}/ready", timeout=5).status_code == 200, 20, "ready")
        answer = requests.get(f"http://{host}:{port}{path}", headers={"Authorization": f"Bearer {token}"}, timeout=10)
        assert answer.text == EXPECTED


def test_both_families_on_one_port_is_exit_2(tmp_path, keys):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    done = run(
        "caseview-api", "--jwks", keys.write(tmp_path / "k.json"), "--issuer", "i", "--audience", "a", "--admin-listen",
        "127.0.0.1:0", "--listen", f"[::]:{port},0.0.0.0:{port}", check=2,
    )  # fmt: skip
    assert f"0.0.0.0:{port}" in done.stderr


def test_a_tab_is_white_space_in_a_field(api, token):
    def ask(field):
        return api.path(api.url().split(api.address)[1], extra=field)

    assert ask(f"Authorization:\tBearer {token}\r\n").text == EXPECTED
    assert ask(f"Authorization: Bearer {token}\t\r\n").text == EXPECTED
    check_problem(ask(f"Authorization: Bearer\t{token}\r\n"), 401, "invalid-token")
    check_problem(ask("Authorization: Bearer\t\r\n"), 401, "no-token")
    assert ask(f"X-Note: a\tb\r\nX-Request-Id: abc\t\r\nAuthorization: Bearer {token}\r\n").headers["X-Request-Id"] == "abc"
