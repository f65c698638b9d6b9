"""A key set behind a private certificate authority, which is renewed while the API runs (option ca-file)."""

import contextlib
import http.server
import json
import ssl
import subprocess
import threading

import pytest

from support import programs

API = ["--issuer", "i", "--audience", "a", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]


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
def provider(key_set):
    """Serves the set over HTTPS; `context.load_cert_chain` changes the certificate of the next connections."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(key_set).encode()
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


def test_key_set_of_a_private_authority_that_is_renewed(own, keys):
    first, second = Authority(own.folder, "first"), Authority(own.folder, "second")
    ca_file = own.folder / "ca.pem"
    ca_file.write_bytes(b"\xef\xbb\xbf# written by hand\r\n" + first.path.read_bytes())
    key_set = keys.set()
    with provider(key_set) as server:
        server.context.load_cert_chain(first.server)
        url = f"https://localhost:{server.server_port}/keys?tenant=hush"
        stranger = own(jwks=url)
        api = own("--ca-file", ca_file, "--jwks-refresh-s", "5", jwks=url)
        api.wait_ready()
        stranger.wait_log("SSL peer certificate|certificate")
        assert not stranger.is_ready()

        # A broken file leaves the previous authorities in force, with one log line.
        ca_file.write_bytes(first.path.read_bytes()[:100])
        api.wait_log("not a whole certificate; the certificates read before remain trusted", 20)
        assert api.is_ready()

        # The authority and the server's certificate are replaced.
        ca_file.write_bytes(second.path.read_bytes())
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.context.load_cert_chain(second.server)
        key_set["keys"].pop()
        api.wait_log("has changed, its certificates are trusted from now on", 20)
        api.wait_log(r"1 of 1 keys of the set can be used \(version 2\)", 20)
        assert api.log().count("not a whole certificate") == 1
        assert "hush" not in api.log() + stranger.log()


@pytest.mark.parametrize("content", [None, b"", b"no certificate\n"], ids=["missing", "empty", "text"])
def test_ca_file_without_certificates_is_exit_2(tmp_path, content):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    done = programs.run("caseview-api", *API, "--jwks", "http://127.0.0.1:1/x", "--ca-file", path, check=2)
    assert "ca-file: " in done.stderr and str(path) in done.stderr
    done = programs.caseview("status", "--ca-file", path, check=2)
    assert "ca-file: " in done.stderr
