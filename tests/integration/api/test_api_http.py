"""Requirements of HTTP: bodies, ambiguous headers, slow clients."""

import contextlib
import re
import socket

import pytest
import requests

from support.api_views import APP, EXPECTED, USER, check_problem, parse
from support.waiting import wait_for


def test_query_is_ignored(api, token):
    assert api.path(f"/{APP}/agents/{USER}/activeCases?a=/b?c=%zz", token).text == EXPECTED
    assert api.path(f"/{APP}/agents/{USER}/activeCases?", token).text == EXPECTED


def test_http_1_0_and_absolute_form(api, token):
    auth = f"Authorization: Bearer {token}\r\n"
    path = f"/{APP}/agents/{USER}/activeCases"
    for line in (f"GET {path} HTTP/1.0\r\n", f"GET http://{api.address}{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n",
                 f"GET http://caseview.example{path}?x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n",
                 f"GET https://caseview.example:444{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"):  # fmt: skip
        answer = parse(api.raw((line + auth + "\r\n").encode()))
        assert (answer.status_code, answer.text) == (200, EXPECTED), line


def test_http_1_1_without_host_is_400(api, token):
    path = f"/{APP}/agents/{USER}/activeCases"
    check_problem(parse(api.raw(f"GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n".encode())), 400, "bad-request")


def test_body_is_ignored_up_to_64_kib(api, token):
    def chunks(n):
        yield b"x" * n

    for size, status in ((0, 200), (1, 200), (65536, 200), (65537, 413), (300000, 413)):
        for data in (b"x" * size, chunks(size) if size else None):
            answer = api.call(token, data=data)
            assert answer.status_code == status, size
            if status == 413:
                check_problem(answer, 413, "body-too-large")
    # before row 1
    assert requests.post(f"http://{api.address}/x", data=b"x" * 70000, timeout=15).status_code == 413
    assert requests.post(f"http://{api.address}/x", data=b"x" * 60000, timeout=15).status_code == 404


def test_answers_keep_the_connection_whatever_the_method_and_target(api, token):
    path = f"/{APP}/agents/{USER}/activeCases"
    fields = f"Host: x\r\nAuthorization: Bearer {token}\r\n"
    lines = {
        f"FOO {path} HTTP/1.1": b"405", f"PROPFIND {path} HTTP/1.1": b"405", f"TRACE {path} HTTP/1.1": b"405",
        "OPTIONS * HTTP/1.1": b"404", f"GET http://other.example:81{path} HTTP/1.1": b"200",
        "GET /%zz HTTP/1.1": b"404", f"GET /x/agents/{USER}/activeCases HTTP/1.1": b"400",
    }  # fmt: skip
    heard = api.raw(("".join(f"{line}\r\n{fields}\r\n" for line in lines) + f"GET {path} HTTP/1.0\r\n\r\n").encode())
    assert re.findall(rb"HTTP/1.1 (\d+)", heard) == [*lines.values(), b"401"]


def test_white_space_after_a_value_is_not_part_of_it(api, token):
    path = f"/{APP}/agents/{USER}/activeCases"
    heard = api.raw(
        f"POST {path} HTTP/1.1\r\nHost: x \t\r\nContent-Length: 2\t\r\n\r\nhi"
        f"GET {path} HTTP/1.0\r\nAuthorization: Bearer {token}\t \r\nX-Request-Id: mine \t\r\n\r\n".encode()
    )
    assert re.findall(rb"HTTP/1.1 (\d+)", heard) == [b"405", b"200"]
    assert b"\r\nX-Request-Id: mine\r\n" in heard


def test_a_body_never_becomes_a_request(api, token):
    path = f"/{APP}/agents/{USER}/activeCases"
    hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
    heard = api.raw(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nContent-Length: {len(hidden)}\r\n\r\n{hidden}"
        f"GET {path} HTTP/1.0\r\n\r\n".encode()
    )
    assert re.findall(rb"HTTP/1.1 (\d+)", heard) == [b"200", b"401"]


@pytest.mark.parametrize(
    "fields",
    ["Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
     "Content-Length: 5, 5\r\n", "Content-Length: 5\r\nContent-Length: 5\r\n", "Content-Length: -1\r\n", "Content-Length:\r\n",
     "Transfer-Encoding: gzip, chunked\r\n", "Transfer-Encoding : chunked\r\n", "X: a\r\n Content-Length: 5\r\n", "X: a\nY: b\r\n",
     "".join(f"X{i}: y\r\n" for i in range(64)), "X: " + "y" * 8000 + "\r\n"],
)  # fmt: skip
def test_ambiguous_header_blocks_are_400_and_end_the_connection(api, token, fields):
    path = f"/{APP}/agents/{USER}/activeCases"
    heard = api.raw(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n{fields}\r\n0\r\n\r\nGET {path} HTTP/1.0\r\n\r\n".encode()
    )
    assert re.findall(rb"HTTP/1.1 (\d+)", heard) in ([b"400"], []), heard
    assert b"200 OK" not in heard


def test_a_request_ends_where_its_bytes_end(own):
    """Not in what an earlier request on the same thread has left in the buffer: the first one's body."""
    api = own("--threads", "1")
    api.wait_ready()
    body = b"secret" * 200 + b"\r\n\r\n"
    first = b"GET / HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert api.raw(first + body).startswith(b"HTTP/1.1 404")
    heard = api.raw(b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100 + b"\r\nX-Request-Id: ")
    assert b"secret" not in heard and re.findall(rb"HTTP/1.1 (\d+)", heard) == [b"400"]


def test_slow_and_silent_clients_are_dropped_and_delay_no_request(api, token):
    host, port = api.address.split(":")
    with contextlib.ExitStack() as stack:
        sleepers = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(60)]
        for i, sleeper in enumerate(sleepers):
            sleeper.sendall(b"GET / HTTP/1.1\r\nHo"[: i % 18])
        assert api.call(token).status_code == 200
        for sleeper in sleepers:
            sleeper.settimeout(15)
            with contextlib.suppress(ConnectionResetError):
                while sleeper.recv(4096):
                    pass
    wait_for(lambda: api.call(token).status_code == 200, 10, "all threads are free again")
