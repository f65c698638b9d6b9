"""Unavailable services and overload: 503, and recovery without a restart."""

import collections
import contextlib
import os
import signal
import socket
import threading
import time

import pytest
import requests

from support.api_views import APP, EXPECTED, SCHEMA, USER, USER_IDLE, add_cases, case_id, check_problem, list_of
from support.postgres import process_tree
from support.waiting import stays_true, wait_for

END_BACKENDS = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'caseview-api'"


def end_backends(server, database):
    server.query(database.name, END_BACKENDS)


def test_starts_without_database_and_recovers(own, server, token):
    server.stop()
    api = own()
    wait_for(lambda: api.get("/ready").status_code == 503, 20, "alive but not ready")
    assert "database" in api.get("/ready").text and api.get("/live").status_code == 200
    begin = time.monotonic()
    check_problem(api.call(token), 503, "unavailable")
    assert time.monotonic() - begin < 4, "refused at once: a look-up waits for 5 s"
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
    assert time.monotonic() - begin < 15, "requests do not pile up while it is away"
    wait_for(lambda: api.get("/ready").status_code == 503, 10, "not ready while it is away")
    server.start()
    wait_for(lambda: api.call(token).status_code == 200, 15, "answers again by itself")
    assert api.call(token).text == EXPECTED


def test_restart_between_two_requests_is_not_noticed(own, server, token):
    api = own()
    api.wait_ready()
    assert api.call(token).status_code == 200
    end_backends(server, own.database)
    assert api.call(token).text == EXPECTED


def backends(server, name):
    return [pid for (pid,) in server.query(name, "select pid from pg_stat_activity where application_name = 'caseview-api'")]


def test_frozen_backend_is_replaced(own, server, token):
    api = own()
    api.wait_ready()
    frozen = backends(server, own.database.name)
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    try:
        begin = time.monotonic()
        assert api.call(token).status_code in (200, 503)
        assert time.monotonic() - begin < 12, "a request has a deadline"
        wait_for(lambda: api.call(token).status_code == 200, 20, "a new connection takes over")
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)


def test_frozen_database_is_503_until_it_resumes(own, server, token):
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
        assert time.monotonic() - begin < 10, "known to be away: refused at once"
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    wait_for(lambda: api.call(token).status_code == 200, 20, "answers again")


class Held:
    """Locks the view's table, so that look-ups wait."""

    def __init__(self, server, database):
        self.connection = server.connect(database.name)
        self.connection.autocommit = False
        self.cursor = self.connection.cursor()
        self.cursor.execute("lock table caseview.active_case in access exclusive mode")

    def waiting(self):
        self.cursor.execute("select count(*) from pg_locks where not granted")
        return self.cursor.fetchone()[0]

    def end_others(self):
        self.cursor.execute(END_BACKENDS)

    def release(self):
        self.connection.rollback()
        self.connection.close()


@contextlib.contextmanager
def request_in_flight(server, database, api, token):
    """A request that waits in the database until the end of the block, and is then answered."""
    held = Held(server, database)
    answers = []
    asking = threading.Thread(target=lambda: answers.append(api.call(token)))
    asking.start()
    try:
        wait_for(held.waiting, 10, "the request waits in the database")
        yield
    finally:
        held.release()
        asking.join()
    assert answers[0].text == EXPECTED


def test_too_many_waiting_are_503_at_once(own, server, token):
    api = own("--max-waiting", "1")
    api.wait_ready()
    with request_in_flight(server, own.database, api, token):
        begin = time.monotonic()
        check_problem(api.call(token), 503, "unavailable")
        assert time.monotonic() - begin < 4


def test_sigterm_answers_requests_in_flight(own, server, token):
    api = own()
    api.wait_ready()
    with request_in_flight(server, own.database, api, token):
        api.signal(signal.SIGTERM)
        host, port = api.address.split(":")

        def is_closed():
            with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1) as late:
                late.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return late.recv(10) == b""
            return True

        wait_for(is_closed, 10, "new connections are refused")
    assert api.wait() == 0


def test_requests_are_accepted_during_the_drain_delay(own, server, token):
    """The first long list, which opens a second connection, and one after both connections were cut included."""
    add_cases(own.database, USER_IDLE, 40, 1000)
    api = own("--drain-delay-s", "4")
    api.wait_ready()
    kept, fields = requests.Session(), {"Authorization": f"Bearer {token}"}
    assert "Keep-Alive" in kept.get(api.url(APP, USER), headers=fields).headers
    api.signal(signal.SIGTERM)
    api.wait_log("requests are accepted for another 4 s")
    assert api.get("/ready").status_code == 503 and "stopping" in api.get("/ready").text
    assert api.get("/live").status_code == 200
    for session in (kept, kept, requests.Session()):
        answer = session.get(api.url(APP, USER), headers=fields)
        assert answer.text == EXPECTED and answer.headers["Connection"] == "close"
    assert api.call(token, user=USER_IDLE).text == list_of(40, 1000)
    end_backends(server, own.database)
    assert api.call(token, user=USER_IDLE).text == list_of(40, 1000)
    assert api.call(token).text == EXPECTED
    assert api.wait() == 0


def test_a_second_signal_ends_the_drain_delay(own):
    api = own("--drain-delay-s", "600")
    api.wait_ready()
    api.signal(signal.SIGTERM)
    api.wait_log("requests are accepted for another 600 s")
    api.signal(signal.SIGTERM)
    assert api.wait() == 128 + signal.SIGTERM


def test_a_refused_statement_is_503_and_says_why_in_the_log(own, server, token):
    api = own()
    api.wait_ready()
    assert api.call(token).status_code == 200  # the statement is prepared: PostgreSQL may miss a rename meanwhile
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


def test_a_conflict_with_recovery_is_tried_again(own, token):
    """What a standby reports (40001), once."""
    own.database.query(
        """create function caseview.conflicts() returns boolean language plpgsql as $$ begin
               if not exists (select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) then
                   perform pg_advisory_lock(1);  -- outlives the refused statement
                   raise 'canceling statement due to conflict with recovery' using errcode = '40001';
               end if;
               return false;
           end $$;
           alter table caseview.agent rename to agent_rows"""
    )
    own.database.query("create view caseview.agent as select * from caseview.agent_rows where not caseview.conflicts()")
    api = own()
    api.wait_ready()
    assert api.call(token).text == EXPECTED
    assert own.database.value("select count(*) from pg_locks where locktype = 'advisory'") == 1, "one was refused"
    assert "refuses the look-up" not in api.log()


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


class Asking:
    """Clients that send requests continuously during a fault of the database; collects their answers."""

    def __init__(self, api, token, clients=4):
        self.api, self.token = api, token
        self.answers = collections.Counter()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def _run(self):
        while not self._ended.is_set():
            try:
                answer = self.api.call(self.token)
            except requests.RequestException as error:
                self.answers[repr(error)] += 1
                continue
            right = answer.text == EXPECTED if answer.status_code == 200 else "unavailable" in answer.text
            self.answers[answer.status_code if right else f"{answer.status_code}: {answer.text[:200]}"] += 1

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self.wait_more()
        return self

    def wait_more(self):
        before = self.answers.total()
        wait_for(lambda: self.answers.total() >= before + 20, 20, "twenty more answers")

    def __exit__(self, *_):
        self._ended.set()
        for thread in self._threads:
            thread.join(20)
        assert not any(thread.is_alive() for thread in self._threads)


def test_connections_ended_under_load_are_not_noticed(own, server, token):
    """Look-ups in flight are sent once more over the next connection."""
    api = own()
    api.wait_ready()
    with Asking(api, token) as asking:
        for turn in range(1, 7):
            end_backends(server, own.database)
            wait_for(lambda turn=turn: api.log().count("connection lost, reconnecting") >= turn, 20, "it is noticed")
            asking.wait_more()
    assert set(asking.answers) == {200}, asking.answers
    assert api.log().count("connection lost, reconnecting") >= 6


def test_connections_that_break_at_once_back_off(own, server, token):
    api = own()
    api.wait_ready()
    with Asking(api, token) as asking:
        begin = time.monotonic()
        while time.monotonic() < begin + 2:
            end_backends(server, own.database)
            time.sleep(0.01)  # enough for an answer
    seconds = time.monotonic() - begin
    assert set(asking.answers) <= {200, 503}, asking.answers
    assert 0 < api.log().count("connection lost, reconnecting") <= seconds * 10 + 3
    wait_for(lambda: api.call(token).text == EXPECTED, 10, "answers again")


def test_views_swapped_under_load_are_not_noticed(own, token):
    """The columns have other types, which invalidates prepared statements."""
    own.database.query("alter schema caseview rename to first")
    own.database.query(SCHEMA.replace("body text", "body varchar"))
    for table in ("application", "agent", "active_case"):
        own.database.query(f"insert into caseview.{table} select * from first.{table}")
    assert own.database.value("select data_type from information_schema.columns where table_schema = 'caseview' and column_name = 'body'") != "text"
    api = own()
    api.wait_ready()
    with Asking(api, token) as asking:
        for turn in range(10):
            away, back = ("second", "first") if turn % 2 == 0 else ("first", "second")
            own.database.query(f"begin; alter schema caseview rename to {away}; alter schema {back} rename to caseview; commit")
            asking.wait_more()
    assert set(asking.answers) == {200}, asking.answers


def test_a_view_that_is_missing_under_load_is_named(own, server, token):
    api = own()
    api.wait_ready()
    with Asking(api, token, clients=8) as asking:
        own.database.query("alter table caseview.agent rename to other")
        end_backends(server, own.database)  # a new connection prepares the statement while it cannot be
        wait_for(lambda: asking.answers[503] > 20, 20, "refused")
        assert '"caseview.agent" does not exist' in api.get("/ready").text
        own.database.query("alter table caseview.other rename to agent")
        wait_for(lambda: api.get("/ready").status_code == 200, 20, "ready")
        asking.wait_more()
    assert set(asking.answers) == {200, 503}, asking.answers
    assert "26000" not in api.log()


def test_the_longest_client_ids_are_sent_once_more(own, server, keys):
    """Thirty look-ups of the maximum size, over a connection that ends before their answers."""
    client = "c" * 1024
    own.database.query("update caseview.application set client_id = %s where application_id = %s", (client, APP))
    api = own("--threads", "60")  # one application may have half of them
    api.wait_ready()
    token = keys.token(client)
    held = Held(server, own.database)
    api.call(token, user="x")  # the token is verified
    answers = []
    asking = [threading.Thread(target=lambda: answers.append(api.call(token))) for _ in range(30)]
    for thread in asking:
        thread.start()
    try:
        wait_for(held.waiting, 10, "they wait in the database")
        held.end_others()
        api.wait_log("connection lost, reconnecting")
    finally:
        held.release()
        for thread in asking:
            thread.join()
    assert [answer.text for answer in answers] == [EXPECTED] * 30
    for _ in range(2):  # verified, then remembered
        refused = api.call(keys.token(client + "c"))
        check_problem(refused, 403, "application-refused")
        assert "longer than 1,024 bytes" in refused.json()["detail"]


def test_an_idle_api_counts_no_statements(own, token):
    """Monitoring the connection does not count as a statement of a request."""
    api = own()
    api.wait_ready()
    api.call(token)
    before = api.metric("caseview_api_batches_total")
    assert before == 1
    stays_true(lambda: api.metric("caseview_api_batches_total") == before, 5, "one statement")
