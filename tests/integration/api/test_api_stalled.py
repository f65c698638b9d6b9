"""Clients that stop in the middle of a handshake, a header block or a body, or go on byte by byte: without a token, and
more of them than there are threads."""

import contextlib
import socket
import ssl
import threading
import time

import pytest

from support.api_views import APP, EXPECTED, USER_IDLE, add_cases
from support.tls import connect_https, start_https, trusting_client
from support.waiting import wait_for

THREADS = "2"
PAUSING = 6  # clients that go on before their time-out of 5 s
TRICKLING = 40
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"
BLOCK = HEAD + b"\r\n"


@pytest.fixture(params=["plain", "tls"])
def api(request, own):
    if request.param == "plain":
        api = own("--threads", THREADS)
        api.wait_ready()
        api.connect = lambda: connect_plain(api)
    else:
        api, _ = start_https(own, "--threads", THREADS)
        api.connect = lambda: connect_https(api)
    return api


def connect_plain(api):
    host, port = api.address.split(":")
    return socket.create_connection((host, int(port)), timeout=15)


class Records:
    """A TLS client whose records the test sends, in parts if it likes."""

    def __init__(self, conn):
        self.conn = conn
        self.arrived, self.sent = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = trusting_client().wrap_bio(self.arrived, self.sent)

    def hello(self):
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.sent.read()

    def finish(self):
        """What follows on the server's flight, after the hello was sent."""
        while True:
            try:
                self.tls.do_handshake()
                return self.sent.read()
            except ssl.SSLWantReadError:
                self.receive()

    def request(self, text):
        self.tls.write(text)
        return self.sent.read()

    def answer(self):
        """Its first block of data, which has the whole header."""
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                self.receive()

    def receive(self):
        block = self.conn.recv(65536)
        assert block, "the connection was closed"
        self.arrived.write(block)


def ask(api, token):
    """The body of an answer, over a new connection."""
    path = api.url().split(api.address)[1]
    heard = b""
    with api.connect() as conn:
        conn.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n".encode())
        while block := conn.recv(65536):
            heard += block
    return heard.partition(b"\r\n\r\n")[2].decode()


def check_others_are_answered(api, token, times=5):
    """They would get 503 after 10 s if each client held a thread until its time-out."""
    for _ in range(times):
        assert ask(api, token) == EXPECTED


@contextlib.contextmanager
def crowd(api, first, count=PAUSING):
    """The connections of clients that have sent `first`."""
    with contextlib.ExitStack() as stack:
        conns = [stack.enter_context(api.connect()) for _ in range(count)]
        for conn in conns:
            conn.sendall(first)
        yield conns


def heard_by(conn, part):
    heard = b""
    while part not in heard:
        block = conn.recv(65536)
        assert block, f"closed after {heard}"
        heard += block
    return heard


def test_a_header_block_in_parts(api, token):
    """All are kept while others are answered, and get their answers when they go on. Over TLS each part is a record."""
    with crowd(api, HEAD) as conns:
        check_others_are_answered(api, token)
        for conn in conns:
            conn.sendall(b"Connection: close\r\n")
        for conn in conns:
            conn.sendall(b"\r\n")
            assert heard_by(conn, b"\r\n\r\n").startswith(b"HTTP/1.1 404")


def test_a_later_header_block_in_parts(api, token):
    """Its first part comes together with a whole request."""
    with crowd(api, BLOCK + HEAD) as conns:
        for conn in conns:
            heard_by(conn, b"\r\n\r\n")
        check_others_are_answered(api, token)
        for conn in conns:
            conn.sendall(b"X-Request-Id: later\r\n\r\n")
            heard_by(conn, b"X-Request-Id: later")


def test_a_handshake_in_parts(own, token):
    """The client's last record comes in two parts, and a thread looks for it between them."""
    api, _ = start_https(own, "--threads", THREADS)
    api.connect = lambda: connect_https(api)
    with contextlib.ExitStack() as stack:
        conns = [stack.enter_context(connect_plain(api)) for _ in range(PAUSING)]
        clients = [Records(conn) for conn in conns]
        for client in clients:
            client.conn.sendall(client.hello())
        check_others_are_answered(api, token)
        rest = {}
        for client in clients:
            flight = client.finish() + client.request(BLOCK)
            client.conn.sendall(flight[:20])
            rest[client] = flight[20:]
        assert ask(api, token) == EXPECTED
        for client, flight in rest.items():
            client.conn.sendall(flight)
        for client in clients:
            assert client.answer().startswith(b"HTTP/1.1 404")


def looks_like_a_record(part):
    """It seems to begin with a record's header, of a record that is longer than the part."""
    return 20 <= part[0] <= 24 and 5 + int.from_bytes(part[3:5], "big") > len(part)


@pytest.mark.parametrize("places", [range(5, 6), range(6, 5000)], ids=["after its header", "anywhere"])
def test_a_record_in_two_parts(own, places):
    """The first part comes while a thread waits for the next request, the second one after that."""
    api, _ = start_https(own)
    for _ in range(1000):
        with connect_plain(api) as conn:
            client = Records(conn)
            conn.sendall(client.hello())
            conn.sendall(client.finish() + client.request(BLOCK))
            assert client.answer().startswith(b"HTTP/1.1 404")
            record = client.request(HEAD + b"X: " + b"x" * 5000 + b"\r\n\r\n")
            cut = next((place for place in places if looks_like_a_record(record[place:])), None)
            if cut is not None:
                conn.sendall(record[:cut])
                time.sleep(0.5)
                conn.sendall(record[cut:])
                assert client.answer().startswith(b"HTTP/1.1 404")
                return
    raise AssertionError("no record could be cut so")


def test_answers_that_are_not_read(api, own, token):
    """Clients with a token ask again and again and read nothing."""
    add_cases(own.database, USER_IDLE, 30, 3000)
    request = f"GET /{APP}/agents/{USER_IDLE}/activeCases HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    with crowd(api, request.encode() * 200):
        check_others_are_answered(api, token)


TRICKLES = {
    "body": (HEAD + b"Content-Length: 65536\r\n\r\n", b"x"),
    "chunk": (HEAD + b"Transfer-Encoding: chunked\r\n\r\nf000\r\n", b"x"),
    "chunk size": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
    "refused body": (HEAD + b"Content-Length: 1000000\r\n\r\n", b"x"),
    "header": (HEAD, b"G"),
    "next header": (BLOCK, b"G"),
}


def trickle(conn, byte, ended):
    """Sends a byte now and then until the server closes the connection."""
    conn.settimeout(0.2)
    with contextlib.suppress(OSError):
        while not ended.is_set():
            conn.sendall(byte)
            with contextlib.suppress(TimeoutError):
                while conn.recv(65536):
                    pass
                return


@pytest.mark.parametrize("what", TRICKLES)
def test_trickling_clients(api, token, what):
    first, byte = TRICKLES[what]
    ended = threading.Event()
    with crowd(api, first, TRICKLING) as conns:
        clients = [threading.Thread(target=trickle, args=(conn, byte, ended)) for conn in conns]
        for client in clients:
            client.start()
        try:
            check_others_are_answered(api, token, 20)
            wait_for(lambda: not any(client.is_alive() for client in clients), 15, "all of them are closed")
        finally:
            ended.set()
            for client in clients:
                client.join(20)
