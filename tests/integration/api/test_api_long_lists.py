"""Lists of any length: short ones share statements, long ones do not delay them, and too long ones are refused."""

import os
import signal
import socket
import threading
import time

import pytest

from support.api_views import APP, EXPECTED, ORG, USER_IDLE, add_cases, check_problem, list_of
from support.waiting import wait_for

OTHER_APP = "aaaaaaaa-0000-4000-8000-0000000000ff"


def problem_of(answer):
    return answer.json()["type"].rsplit(":", 1)[1] if answer.status_code == 503 else answer.status_code


@pytest.mark.parametrize(
    "count, body_bytes",
    [(32, 1000), (33, 1000), (32, 4096), (1, 4097), (2000, 1000), (2000, 4193), (1, 8388605), (1, 8388606)],
)
def test_a_list_within_the_limits_is_complete_and_in_order(own, token, count, body_bytes):
    """Lists around the limits of a shared statement (32 cases of 4 KiB) and of a list (2,000 rows, 8 MiB)."""
    add_cases(own.database, USER_IDLE, count, body_bytes)
    api = own()
    api.wait_ready()
    for _ in range(2):  # the second time its length is cached
        answer = api.call(token, user=USER_IDLE)
        assert answer.status_code == 200, answer.text[:300]
        assert answer.text == list_of(count, body_bytes)
    etag = answer.headers["ETag"]
    assert api.call(token, user=USER_IDLE, headers={"If-None-Match": etag}).status_code == 304
    head = api.call(token, user=USER_IDLE, method="HEAD")
    assert head.headers["Content-Length"] == str(len(answer.content)) and not head.content
    assert api.call(token).text == EXPECTED


# 2,000 bodies with 1,999 commas and two brackets: 4,193 bytes each are just below 8 MiB, 4,194 just above it
@pytest.mark.parametrize("count, body_bytes", [(2001, 100), (2000, 4194), (1, 8 * 1024 * 1024)])
def test_a_list_beyond_the_limits_is_refused_for_a_while(own, token, count, body_bytes):
    add_cases(own.database, USER_IDLE, count, body_bytes)
    api = own()
    api.wait_ready()
    answer = api.call(token, user=USER_IDLE)
    check_problem(answer, 503, "list-too-long")
    assert answer.headers["Retry-After"] == "60"
    own.database.query("delete from caseview.active_case where user_id = %s", (USER_IDLE,))
    for _ in range(20):  # cached: the database, which could answer now, is not queried
        check_problem(api.call(token, user=USER_IDLE), 503, "list-too-long")
    assert api.log().count("its requests get 503") == 1, "one line a minute"
    assert api.metric("caseview_api_long_lists_total") == 21
    assert api.call(token).text == EXPECTED, "other users are not concerned"
    wait_for(lambda: api.call(token, user=USER_IDLE).text == "[]", 20, "asked again")


def test_an_unauthorized_caller_does_not_learn_of_a_long_list(own, token, keys):
    add_cases(own.database, USER_IDLE, 3000, 100)
    api = own()
    api.wait_ready()
    check_problem(api.call(token, user=USER_IDLE), 503, "list-too-long")
    check_problem(api.call(keys.token("another-client"), user=USER_IDLE), 403, "application-refused")
    own.database.query("update caseview.agent set has_workspaces = false where user_id = %s", (USER_IDLE,))
    wait_for(lambda: api.call(token, user=USER_IDLE).status_code == 409, 20, "the gate counts again")


def test_equal_look_ups_are_sent_once(own, server, token):
    api = own()
    api.wait_ready()
    lock = server.connect(own.database.name)
    lock.autocommit = False
    cursor = lock.cursor()
    cursor.execute("lock table caseview.active_case in access exclusive mode")
    before = api.metric("caseview_api_batched_requests_total")
    answers = []
    asking = [threading.Thread(target=lambda: answers.append(api.call(token))) for _ in range(40)]
    for thread in asking:
        thread.start()
    wait_for(lambda: api.metric("caseview_api_connections") == 40, 10, "all have come")
    time.sleep(0.3)  # their look-ups are queued, too
    lock.rollback()
    for thread in asking:
        thread.join()
    lock.close()
    assert [answer.text for answer in answers] == [EXPECTED] * 40
    assert api.metric("caseview_api_batched_requests_total") - before <= 4, "three statements in flight, and a last one"


@pytest.mark.parametrize("option", ["--max-waiting", "--threads"])
def test_an_application_may_use_half_of_the_queue(own, server, token, option):
    """Requests of other applications wait in the other half and are answered. By its default max-waiting bounds nothing."""
    own.database.query("insert into caseview.application values (%s, %s, 'client-1', '{}', true)", (OTHER_APP, ORG))
    api = own(option, "8")
    api.wait_ready()
    lock = server.connect(own.database.name)
    lock.autocommit = False
    lock.cursor().execute("lock table caseview.active_case in access exclusive mode")
    answers = {APP: [], OTHER_APP: []}

    def ask(app):
        answers[app].append(api.call(token, app=app, headers={"Connection": "close"}))

    asking = [threading.Thread(target=ask, args=(APP,)) for _ in range(10)]
    for thread in asking:
        thread.start()
    wait_for(lambda: len(answers[APP]) == 6, 10, "six of ten are refused: at once, or when the database is slow")
    asking += [threading.Thread(target=ask, args=(OTHER_APP,)) for _ in range(4)]
    for thread in asking[10:]:
        thread.start()
    wait_for(lambda: api.metric("caseview_api_connections") == 8, 10, "the other application waits, too")
    lock.rollback()
    for thread in asking:
        thread.join()
    lock.close()
    assert sorted(answer.status_code for answer in answers[APP]) == [200] * 4 + [503] * 6
    assert [answer.status_code for answer in answers[OTHER_APP]] == [200] * 4


def backend_of_long_lists(own, server):
    """Its process id; a long list has been looked up."""
    busy = "select pid from pg_stat_activity where application_name = 'caseview-api' and position('a long list' in query) > 0"
    pids = [pid for (pid,) in server.query(own.database.name, busy)]
    assert len(pids) == 1
    return pids[0]


def test_an_application_may_use_half_of_the_threads_for_long_lists(own, server, token):
    """Half of its requests give up their threads, those that wait for a place to read a list included."""
    add_cases(own.database, USER_IDLE, 1500, 2000)
    api = own("--threads", "8")
    api.wait_ready()
    assert api.call(token, user=USER_IDLE).status_code == 200
    pid = backend_of_long_lists(own, server)
    answers = []
    asking = [threading.Thread(target=lambda: answers.append(api.call(token, user=USER_IDLE))) for _ in range(8)]
    os.kill(pid, signal.SIGSTOP)
    try:
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join(30)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [503] * 4
    reasons = {answer.json()["detail"] for answer in answers if answer.status_code == 503}
    assert reasons == {"Too many requests of this application are waiting for the database."}


def test_short_lists_do_not_wait_for_long_ones(own, server, token):
    """The statement of the long list is blocked; short ones are answered meanwhile."""
    add_cases(own.database, USER_IDLE, 1500, 2000)
    api = own()
    api.wait_ready()
    assert api.call(token, user=USER_IDLE).status_code == 200
    pid = backend_of_long_lists(own, server)
    os.kill(pid, signal.SIGSTOP)
    try:
        slow = threading.Thread(target=lambda: api.call(token, user=USER_IDLE))
        slow.start()
        for _ in range(20):
            begin = time.monotonic()
            assert api.call(token).text == EXPECTED
            assert time.monotonic() - begin < 4
    finally:
        os.kill(pid, signal.SIGCONT)
    slow.join()


def test_many_readers_of_a_long_list_share_its_memory(own, token):
    """120 connections for a list of 8 MB: below 256 MiB, and each answer is complete or a proper 503."""
    add_cases(own.database, USER_IDLE, 2000, 4000)
    api = own()
    api.wait_ready()
    expected = list_of(2000, 4000)
    found = []

    def ask():
        for _ in range(3):
            answer = api.call(token, user=USER_IDLE)
            found.append(problem_of(answer) if answer.status_code != 200 else answer.text == expected)

    asking = [threading.Thread(target=ask) for _ in range(120)]
    for thread in asking:
        thread.start()
    highest = 0
    while any(thread.is_alive() for thread in asking):
        highest = max(highest, api.metric("process_resident_memory_bytes"))
        time.sleep(0.05)
    assert set(found) <= {True, "unavailable"} and found.count(True) >= 8, found
    if not any(f"{sanitizer}san" in api.argv[0] for sanitizer in "at"):  # sanitizers need several times the memory
        assert highest < 256 * 1024 * 1024


def test_a_slow_reader_of_a_long_list_is_dropped(own, token):
    """A list of 6 MB may take 43 s; read at 2 KiB a second it would take most of an hour."""
    add_cases(own.database, USER_IDLE, 2000, 3000)
    api = own("--threads", "2")
    api.wait_ready()
    host, port = api.address.split(":")
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect((host, int(port)))
        path = api.url(user=USER_IDLE).split(api.address)[1]
        slow.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        assert slow.recv(100).startswith(b"HTTP/1.1 200")
        wait_for(lambda: api.metric("caseview_api_connections") == 1, 10, "it is counted")
        begin = time.monotonic()

        def is_dropped():
            slow.recv(2048)
            return api.metric("caseview_api_connections") == 0

        wait_for(is_dropped, 55, "the connection is closed", poll_s=1)
        assert time.monotonic() - begin > 20, "only at its deadline"
