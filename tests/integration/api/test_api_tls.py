"""HTTPS: the certificate, its renewal while the program runs, and connections that take turns."""

import os
import signal
import ssl
import threading
import time

import pytest
import requests

from support.api_views import EXPECTED
from support.certificates import certificate
from support.programs import run
from support.tls import connect_https, start_https
from support.waiting import wait_for

EXPIRY = "caseview_api_certificate_expiry_timestamp_seconds"


def shown(api):
    """The certificate that a new connection gets."""
    with connect_https(api) as conn:
        return ssl.DER_cert_to_PEM_cert(conn.getpeercert(True)).encode()


def ask(conn, token, path):
    conn.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    heard = b""
    while EXPECTED.encode() not in heard:
        block = conn.recv(65536)
        assert block, heard
        heard += block
    return heard


def replace(path, content):
    temporary = path.with_suffix(".new")
    temporary.write_bytes(content)
    os.replace(temporary, path)


def test_answers_and_kept_connections(own, token):
    api, _ = start_https(own)
    url = api.url().replace("http://", "https://")
    with pytest.warns(Warning):
        answer = requests.get(url, headers={"Authorization": f"Bearer {token}"}, verify=False, timeout=15)
    assert answer.text == EXPECTED
    with pytest.raises(requests.RequestException):
        requests.get(api.url(), timeout=5)
    path = api.url().split(api.address)[1]
    with connect_https(api) as conn:
        for pause in (0, 0.02, 0.5, 0.5):  # while a thread still has it, and after the door has it again
            time.sleep(pause)
            assert b"Keep-Alive: timeout=75\r\n" in ask(conn, token, path)


def test_a_renewed_certificate_is_taken_over_and_a_broken_one_is_not(own, token):
    first, second, third = certificate("first"), certificate("second", 2), certificate("third")
    api, pem = start_https(own, content=first)
    path = api.url().split(api.address)[1]
    assert shown(api) in first
    wait_for(lambda: abs(api.metric(EXPIRY) - time.time() - 86400) < 600, 5, "the metric says when it ends")
    with connect_https(api) as old:
        ask(old, token, path)
        replace(pem, second)
        wait_for(lambda: shown(api) in second, 10, "noticed by itself")
        wait_for(lambda: abs(api.metric(EXPIRY) - time.time() - 2 * 86400) < 600, 5, "the metric is of the second one")
        ask(old, token, path)  # a connection outlives its certificate
        replace(pem, first[: len(first) // 2])
        api.wait_log("changed tls-certificate cannot be used, the one in force stays", 10)
        time.sleep(6)
        assert api.log().count("cannot be used") == 1, "one line"
        assert shown(api) in second
        replace(pem, third)
        api.signal(signal.SIGHUP)
        wait_for(lambda: shown(api) in third, 3, "SIGHUP makes it look at once")
        assert "PRIVATE KEY" not in api.log()


@pytest.mark.parametrize("kind", ["empty", "text", "no key"])
def test_a_certificate_that_cannot_be_used_is_exit_2(tmp_path, keys, kind):
    pem = tmp_path / "bad.pem"
    whole = certificate("x")
    pem.write_bytes({"empty": b"", "text": b"no certificate", "no key": whole.split(b"-----BEGIN PRIVATE")[0]}[kind])
    done = run(
        "caseview-api", "--jwks", keys.write(tmp_path / "k.json"), "--issuer", "i", "--audience", "a", "--admin-listen",
        "127.0.0.1:0", "--listen", "127.0.0.1:0", "--tls-certificate", str(pem), check=2,
    )  # fmt: skip
    assert "tls-certificate" in done.stderr and str(pem) in done.stderr


def test_busy_connections_take_turns(own, token):
    api, _ = start_https(own, "--threads", "1")
    path = api.url().split(api.address)[1]
    ended = threading.Event()
    answers = [0, 0, 0]

    def ask_all_the_time(i):
        with connect_https(api) as conn:
            while not ended.is_set():
                ask(conn, token, path)
                answers[i] += 1

    asking = [threading.Thread(target=ask_all_the_time, args=(i,)) for i in range(3)]
    for thread in asking:
        thread.start()
    try:
        wait_for(lambda: min(answers) >= 20, 5, f"all are answered: {answers}")
    finally:
        ended.set()
        for thread in asking:
            thread.join(20)
    assert not any(thread.is_alive() for thread in asking)
