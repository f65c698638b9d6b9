"""Private certificate authorities, and servers with certificates of theirs."""

import contextlib
import http.server
import json
import socket
import ssl
import subprocess
import threading

from .certificates import certificate


def start_https(own, *options, content=None):
    """An API, and the file with its certificate."""
    pem = own.folder / "tls.pem"
    pem.write_bytes(content or certificate("localhost"))
    api = own("--tls-certificate", str(pem), *options)
    api.wait_ready()
    return api, pem


def trusting_client():
    """The context of a client that checks no certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def connect_https(api):
    host, port = api.address.split(":")
    return trusting_client().wrap_socket(socket.create_connection((host, int(port)), timeout=15))


class Authority:
    """A private certificate authority with one server certificate."""

    def __init__(self, folder, name):
        self.path, self.server = folder / f"{name}.pem", folder / f"{name}-server.pem"
        key = folder / f"{name}.key"
        new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        self._openssl("req", "-x509", *new_key, "-subj", f"/CN={name}", "-keyout", key, "-out", self.path)
        self._openssl(
            "req", "-x509", *new_key, "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-addext", "basicConstraints=CA:FALSE", "-CA", self.path, "-CAkey", key,
            "-keyout", folder / f"{name}-server.key", "-out", self.server,
        )  # fmt: skip
        self.server.write_text(self.server.read_text() + (folder / f"{name}-server.key").read_text())

    @staticmethod
    def _openssl(*words):
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


@contextlib.contextmanager
def https_server(document):
    """Serves the document over HTTPS; `context.load_cert_chain` changes the certificate of the next connections."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.handle_error = lambda *_: None  # clients that do not trust it

    def get_request():
        connection, address = server.socket.accept()
        return server.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

    server.get_request = get_request
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


class Door:
    """Accepts connections with TLS and nothing else; `outcomes` has "ok" or the client's objection of each."""

    def __init__(self, certificate):
        self.outcomes = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.maximum_version = ssl.TLSVersion.TLSv1_2  # the client's verdict is part of the handshake
        self.context.load_cert_chain(certificate)
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                self._greet(self.socket.accept()[0])

    def _greet(self, connection):
        with connection:
            connection.settimeout(10)
            try:
                self.context.wrap_socket(connection, server_side=True).close()
                self.outcomes.append("ok")
            except OSError as error:
                self.outcomes.append(str(error))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
