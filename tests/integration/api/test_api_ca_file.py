"""A key set behind a private certificate authority, which is renewed while the API runs (option ca-file)."""

import ssl

import pytest

from support import programs
from support.tls import Authority, https_server

API = ["--issuer", "i", "--audience", "a", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]


def test_key_set_of_a_private_authority_that_is_renewed(own, keys):
    first, second = Authority(own.folder, "first"), Authority(own.folder, "second")
    ca_file = own.folder / "ca.pem"
    ca_file.write_bytes(b"\xef\xbb\xbf# written by hand\r\n" + first.path.read_bytes())
    key_set = keys.set()
    with https_server(key_set) as server:
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
