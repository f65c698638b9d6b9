"""The key set: usable keys, and changes of the set."""

import base64
import contextlib
import http.server
import json
import os
import signal
import threading
import time

from jwcrypto import jwk, jws

from support.api_views import b64, check_problem, claims, sign
from support.waiting import wait_for


def write_set(path, keys):
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"keys": keys}))
    os.replace(temporary, path)


def public(kid, **changes):
    key = jwk.JWK.generate(kty="RSA", size=2048)
    return key, {**key.export_public(as_dict=True), "kid": kid, **changes}


@contextlib.contextmanager
def key_provider(keys, status_of):
    """Serves the key set over HTTP, and yields its address; status_of(request) is called before each answer."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status_of(self))
            self.end_headers()
            with contextlib.suppress(OSError):  # the client has given up
                self.wfile.write(json.dumps({"keys": keys}).encode())

        def log_message(self, *_):
            pass

    provider = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{provider.server_port}"
    finally:
        provider.shutdown()
        provider.server_close()


def test_unusable_keys_are_refused(own):
    cases = {
        "plain": ({}, 200),
        "sig": ({"use": "sig", "alg": "RS256", "key_ops": ["verify"]}, 200),
        "enc": ({"use": "enc"}, 401),
        "ps": ({"alg": "PS256"}, 401),
        "ops": ({"key_ops": ["encrypt"]}, 401),
        "alg-number": ({"alg": 7}, 401),
        "ops-empty": ({"key_ops": []}, 200),
        "nulls": ({"use": None, "alg": None, "key_ops": None, "x5c": None, "d": None}, 200),
    }
    made_keys = {kid: public(kid, **changes) for kid, (changes, _) in cases.items()}
    shown = [p for _, p in made_keys.values()]
    private = jwk.JWK.generate(kty="RSA", size=2048, kid="private")
    shown.append(private.export(as_dict=True))
    made_keys["private"], cases["private"] = (private, None), ({}, 401)
    for twice in ("twice", "twice"):
        made_keys["twice"] = public(twice)
        shown.append(made_keys["twice"][1])
    cases["twice"] = ({}, 401)
    # one kid for encryption and for signatures, as some providers publish it
    shown.append(public("both", use="enc")[1])
    made_keys["both"] = public("both", use="sig")
    shown.append(made_keys["both"][1])
    cases["both"] = ({}, 200)
    short = jwk.JWK.generate(kty="RSA", size=1024)
    made_keys["short"], cases["short"] = (short, None), ({}, 401)
    shown.append({**short.export_public(as_dict=True), "kid": "short"})
    shown += [{"kty": "oct", "kid": "oct", "k": b64(b"x" * 32)}, {"kty": "RSA", "kid": "broken"}, "text", 7, None]
    path = own.folder / "fit.json"
    write_set(path, shown)
    api = own(jwks=path)
    api.wait_ready()
    for kid, (_, status) in cases.items():
        token = sign(made_keys[kid][0], json.dumps({"alg": "RS256", "kid": kid}), json.dumps(claims()))
        assert api.call(token).status_code == status, kid
    p384 = jwk.JWK.generate(kty="EC", crv="P-384", kid="p384")
    write_set(path, [p384.export_public(as_dict=True)])
    token = jws.JWS(json.dumps(claims()))
    token.add_signature(p384, None, json.dumps({"alg": "ES384", "kid": "p384"}))
    check_problem(api.call(token.serialize(compact=True)), 401, "invalid-token")


def test_a_new_key_is_found_and_a_withdrawn_one_refused_from_then_on(own):
    old_key, old_public = public("old")
    new_key, new_public = public("new")
    path = own.folder / "rotating.json"
    write_set(path, [old_public])
    api = own("--jwks-refresh-s", "86400", jwks=path)
    api.wait_ready()
    header = '{"alg":"RS256","kid":"%s"}'
    old_token = sign(old_key, header % "old", json.dumps(claims()))
    new_token = sign(new_key, header % "new", json.dumps(claims()))
    assert api.call(old_token).status_code == 200
    assert api.call(old_token).status_code == 200  # cached
    write_set(path, [new_public])
    assert api.call(new_token).status_code == 200, "the unknown kid makes it read the set, and this request waits for it"
    check_problem(api.call(old_token), 401, "invalid-token")
    # at most every 5 s: the next unknown kid finds nothing at first
    write_set(path, [new_public, old_public])
    check_problem(api.call(old_token), 401, "invalid-token")
    wait_for(lambda: api.call(old_token).status_code == 200, 15, "read again 5 s later")


def test_the_set_is_re_read_periodically_and_an_invalid_one_is_ignored(own):
    key, shown = public("k")
    path = own.folder / "set.json"
    write_set(path, [shown])
    api = own("--jwks-refresh-s", "5", jwks=path)
    api.wait_ready()
    token = sign(key, '{"alg":"RS256","kid":"k"}', json.dumps(claims()))
    assert api.call(token).status_code == 200
    path.write_text('{"keys": [')
    wait_for(lambda: api.metric("caseview_api_key_set_failures_total") >= 2, 30, "the bad set was read twice")
    assert api.call(token).status_code == 200
    assert api.log().count("the key set cannot be read") == 1, "one log line"
    write_set(path, [])
    wait_for(lambda: api.call(token).status_code == 401, 20, "an empty set withdraws every key")


def test_a_changed_file_is_detected_and_at_once_after_sighup(own):
    """Detected by content: Kubernetes swaps a symbolic link, and the time stamp may be older than before."""
    (old_key, old_public), (new_key, new_public) = public("old"), public("new")
    first, second, path = own.folder / "first.json", own.folder / "second.json", own.folder / "link.json"
    write_set(second, [new_public])
    write_set(first, [old_public])
    path.symlink_to(first)
    api = own("--jwks-refresh-s", "86400", jwks=path)
    api.wait_ready()
    old_token = sign(old_key, '{"alg":"RS256","kid":"old"}', json.dumps(claims()))
    new_token = sign(new_key, '{"alg":"RS256","kid":"new"}', json.dumps(claims()))
    assert api.call(old_token).status_code == 200
    swapped = own.folder / "swapped"
    swapped.symlink_to(second)
    os.replace(swapped, path)
    wait_for(lambda: api.call(old_token).status_code == 401, 10, "the old key is withdrawn")
    assert api.call(new_token).status_code == 200
    write_set(second, [new_public, old_public])
    api.signal(signal.SIGHUP)
    api.wait_log("version 3", 3)
    assert api.call(old_token).status_code == 200


def test_key_set_by_url(own):
    key, shown = public("k")
    state = {"status": 500, "auth": []}

    def status_of(request):
        state["auth"].append(request.headers.get("Authorization"))
        return state["status"]

    with key_provider([shown], status_of) as address:
        api = own(jwks=f"http://user:s3cret@{address}/jwks")
        token = sign(key, '{"alg":"RS256","kid":"k"}', json.dumps(claims()))
        api.wait_log("status 500")
        check_problem(api.call(token), 401, "invalid-token")
        answer = api.get("/ready")
        assert answer.status_code == 503 and "key set" in answer.text
        state["status"] = 200
        api.wait_ready()
        assert api.call(token).status_code == 200
        assert state["auth"][-1] == "Basic " + base64.b64encode(b"user:s3cret").decode()
        assert "s3cret" not in api.log() + answer.text


def test_unknown_kids_hold_at_most_half_of_the_threads(own):
    """The provider does not answer: each token of an unknown kid could wait 3 s for it."""
    key, shown = public("k")
    answers = threading.Event()
    answers.set()

    def status_of(_):
        answers.wait(20)
        return 200

    with key_provider([shown], status_of) as address, contextlib.ExitStack() as at_end:
        at_end.callback(answers.set)
        api = own("--threads", "2", jwks=f"http://{address}/jwks")
        api.wait_ready()
        answers.clear()
        unknown = sign(key, '{"alg":"RS256","kid":"made-up"}', json.dumps(claims()))
        times = []

        def ask():
            begin = time.monotonic()
            check_problem(api.call(unknown), 401, "invalid-token")
            times.append(time.monotonic() - begin)

        asking = [threading.Thread(target=ask) for _ in range(4)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        assert sorted(seconds > 2 for seconds in times) == [False, False, False, True], times
