"""Services that go away, and too much work: 503 and back by itself."""

import contextlib
import os
import signal
import socket
import threading
import time

import pytest

from support.api_views import EXPECTED, SCHEMA, case_id, check_problem
from support.postgres import process_tree
from support.waiting import wait_for


def test_starts_without_database_and_recovers(own, server, token):
    server.stop()
    api = own()
    wait_for(lambda: api.get("/ready").status_code == 503, 20, "alive but not ready")
    assert "database" in api.get("/ready").text and api.get("/live").status_code == 200
    begin = time.monotonic()
    check_problem(api.call(token), 503, "unavailable")
    assert time.monotonic() - begin < 1, "refused at once"
    check_problem(api.call(token, user="x"), 400, "invalid-id")
    check_problem(api.call(None), 401, "no-token")
    server.start()
    api.wait_ready()
    assert api.call(token).text == EXPECTED


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT, "kill"])
def test_database_restart_costs_some_503_and_nothing_else(own, server, token, how):
    api = own()
    api.wait_ready()
    assert api.call(token).status_code == 200
    server.kill() if how == "kill" else server.stop(how)
    begin = time.monotonic()
    for _ in range(20):
        check_problem(api.call(token), 503, "unavailable")
    assert time.monotonic() - begin < 5, "requests do not pile up while it is away"
    wait_for(lambda: api.get("/ready").status_code == 503, 10, "not ready while it is away")
    server.start()
    wait_for(lambda: api.call(token).status_code == 200, 15, "answers again by itself")
    assert api.call(token).text == EXPECTED


def test_restart_between_two_requests_is_not_noticed(own, server, token):
    api = own()
    api.wait_ready()
    assert api.call(token).status_code == 200
    server.query(own.database.name, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'caseview-api'")
    assert api.call(token).text == EXPECTED


def backends(server, name):
    return [pid for (pid,) in server.query(name, "select pid from pg_stat_activity where application_name = 'caseview-api'")]


def test_frozen_backend_is_left_behind(own, server, token):
    api = own()
    api.wait_ready()
    frozen = backends(server, own.database.name)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        assert api.call(token).status_code in (200, 503)
        assert time.monotonic() - begin < 6, "a request has a deadline"
        wait_for(lambda: api.call(token).status_code == 200, 20, "a new connection takes over")
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)


def test_frozen_database_is_503_and_back(own, server, token):
    api = own("--threads", "40")
    api.wait_ready()
    pids = process_tree(server.process.pid)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        wait_for(lambda: api.call(token).status_code == 503, 20, "503 while it is frozen")
        wait_for(lambda: api.get("/ready").status_code == 503, 20, "not ready")
        begin = time.monotonic()
        for _ in range(10):
            check_problem(api.call(token), 503, "unavailable")
        assert time.monotonic() - begin < 3, "known to be away: refused at once"
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: api.call(token).status_code == 200, 20, "answers again")


class Held:
    """The view's table locked, so that look-ups wait."""

    def __init__(self, server, database):
        self.connection = server.connect(database.name)
        self.connection.autocommit = False
        self.cursor = self.connection.cursor()
        self.cursor.execute("lock table caseview.active_case in access exclusive mode")

    def waiting(self):
        self.cursor.execute("select count(*) from pg_locks where not granted")
        return self.cursor.fetchone()[0]

    def release(self):
        self.connection.rollback()
        self.connection.close()


def test_too_many_waiting_are_503_at_once(own, server, token):
    api = own("--max-waiting", "1")
    api.wait_ready()
    held = Held(server, own.database)
    answers = []
    first = threading.Thread(target=lambda: answers.append(api.call(token)))
    first.start()
    try:
        wait_for(held.waiting, 10, "the first request waits in the database")
        begin = time.monotonic()
        check_problem(api.call(token), 503, "unavailable")
        assert time.monotonic() - begin < 1
    finally:
        held.release()
        first.join()
    assert answers[0].text == EXPECTED


def test_sigterm_answers_what_is_under_way(own, server, token):
    api = own()
    api.wait_ready()
    held = Held(server, own.database)
    answers = []
    first = threading.Thread(target=lambda: answers.append(api.call(token)))
    first.start()
    try:
        wait_for(held.waiting, 10, "the request waits in the database")
        api.signal(signal.SIGTERM)
        host, port = api.address.split(":")

        def is_closed():
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1) as late:
                late.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return late.recv(10) == b""
            return True

        wait_for(is_closed, 10, "new connections are refused")
    finally:
        held.release()
        first.join()
    assert answers[0].text == EXPECTED
    assert api.wait() == 0


def test_a_refused_statement_is_503_and_says_why_in_the_log(own, server, token):
    api = own()
    api.wait_ready()
    own.database.query("alter schema caseview rename to away")
    check_problem(api.call(token), 503, "unavailable")
    api.wait_log("refuses the look-up")
    assert api.get("/ready").status_code == 503
    late = own()
    late.wait_log("refuses the look-up")  # without a request
    assert late.get("/ready").status_code == 503 and "refuses" in late.get("/ready").text
    own.database.query("alter schema away rename to caseview")
    wait_for(lambda: api.call(token).status_code == 200, 10, "answers again")
    api.wait_ready()
    late.wait_ready()


def test_swapped_views_are_read_from_the_next_request_on(own, token):
    api = own()
    api.wait_ready()
    assert api.call(token).text == EXPECTED
    connection = own.database.postgres.connect(own.database.name)
    connection.autocommit = False
    with connection.cursor() as cursor:
        cursor.execute("alter schema caseview rename to caseview_1")
        cursor.execute(SCHEMA)
        cursor.execute("insert into caseview.application select * from caseview_1.application")
        cursor.execute("insert into caseview.agent select * from caseview_1.agent")
    connection.commit()
    connection.close()
    assert api.call(token).text == "[]"


def test_answer_above_the_ceiling_is_503(own, token):
    own.database.query("update caseview.active_case set body = '{\"x\":\"' || repeat('y', 3000000) || '\"}'")
    api = own()
    api.wait_ready()
    check_problem(api.call(token), 503, "unavailable")
    api.wait_log("are more than")
    own.database.query("delete from caseview.active_case where case_id = %s", (case_id(3),))
    assert len(api.call(token).content) > 6000000
