"""caseview-api against a real PostgreSQL: the contract's section 1, row by row, and what happens when services go away.

The five views are plain tables here, filled by hand: what the workers put there is tested elsewhere.
"""

import base64
import contextlib
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import threading
import time
import uuid

import pytest
import requests
from jwcrypto import jwk, jws

from support.postgres import Postgres, process_tree
from support.programs import Served, binary
from support.tokens import AUDIENCE, ISSUER, ROLE, Keys
from support.waiting import stays_true, wait_for

ORG = "11111111-0000-4000-8000-000000000001"
CLIENT = "client-1"
UNIT = "22222222-0000-4000-8000-000000000001"
OTHER_UNIT = "22222222-0000-4000-8000-000000000002"
APP = "aaaaaaaa-0000-4000-8000-00000000000a"  # enabled, no roles
APP_WITH_ROLE = "aaaaaaaa-0000-4000-8000-00000000000b"
APP_DISABLED = "aaaaaaaa-0000-4000-8000-00000000000c"
APP_FOREIGN = "aaaaaaaa-0000-4000-8000-00000000000d"  # of another organization
USER = "bbbbbbbb-0000-4000-8000-000000000001"  # three cases here, one elsewhere
USER_IDLE = "bbbbbbbb-0000-4000-8000-000000000002"
USER_NO_UNIT = "bbbbbbbb-0000-4000-8000-000000000003"
USER_NO_WORKSPACES = "bbbbbbbb-0000-4000-8000-000000000004"
UNKNOWN = "cccccccc-0000-4000-8000-000000000001"

SCHEMA = """
create schema caseview;
create table caseview.application (application_id uuid primary key, organization_id uuid, client_id text, roles text[],
    enabled boolean);
create table caseview.agent (organization_id uuid, user_id uuid, current_unit_id uuid, has_workspaces boolean,
    degraded boolean, primary key (organization_id, user_id));
create table caseview.active_case (organization_id uuid, user_id uuid, unit_id uuid, case_id uuid,
    status_date timestamptz, case_timestamp timestamptz, degraded boolean, body text,
    primary key (organization_id, case_id));
create index on caseview.active_case (organization_id, user_id, unit_id, status_date, case_id);
create table caseview.progress (topic text);
create table caseview.parked (topic text);
"""
ROLE_SPELLINGS = ["Agent Impersonator", "Agent impersonator", "AgentImpersonator", " agent IMPERSONATOR "]


def body_of(case_id):
    return '{"caseId":"%s","customer":{"displayName":"Zoë \\"Z\\" 客"},"rank":3.7090777E+37}' % case_id


def case_id(n):
    return f"dddddddd-0000-4000-8000-{n:012d}"


def fill(database):
    database.query(SCHEMA)
    for app, org, client, roles, enabled in [
        (APP, ORG, CLIENT, [], True),
        (APP_WITH_ROLE, ORG, CLIENT, ["Reader", None, "agentImpersonator"], True),
        (APP_DISABLED, ORG, CLIENT, [ROLE], False),
        (APP_FOREIGN, UNKNOWN, CLIENT, [ROLE], True),
    ]:
        database.query("insert into caseview.application values (%s, %s, %s, %s, %s)", (app, org, client, roles, enabled))
    for user, unit, workspaces in [
        (USER, UNIT, True),
        (USER_IDLE, UNIT, True),
        (USER_NO_UNIT, None, True),
        (USER_NO_WORKSPACES, UNIT, False),
    ]:
        database.query("insert into caseview.agent values (%s, %s, %s, %s, false)", (ORG, user, unit, workspaces))
    # the order of statusDate, then caseId, is not the order of insertion
    for n, unit, date in [(3, UNIT, "2024-01-02"), (2, UNIT, "2024-01-02"), (9, UNIT, "2024-01-01"), (1, OTHER_UNIT, "2024-01-01")]:
        database.query(
            "insert into caseview.active_case values (%s, %s, %s, %s, %s, %s, false, %s)",
            (ORG, USER, unit, case_id(n), date, date, body_of(case_id(n))),
        )


EXPECTED = "[" + ",".join(body_of(case_id(n)) for n in (9, 2, 3)) + "]"


class Api(Served):
    LISTENING = re.compile(r"listening on https?://(127\.0\.0\.1:\d+)")

    def __init__(self, folder, database, jwks, *args, name="caseview-api"):
        super().__init__(
            name,
            [binary("caseview-api"), "--database", database, "--jwks", jwks, "--issuer", f"other,{ISSUER}",
             "--audience", f"{AUDIENCE},second", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
             "--connect-timeout-s", "2", "--log-format", "text", *args],
            folder,
        )  # fmt: skip

    @property
    def address(self):
        if not hasattr(self, "_address"):
            self._address = self.wait_log(self.LISTENING)[1]
        return self._address

    def url(self, app=APP, user=USER):
        return f"http://{self.address}/{app}/agents/{user}/activeCases"

    def call(self, token=None, app=APP, user=USER, method="GET", headers=(), **options):
        fields = {**({"Authorization": f"Bearer {token}"} if token else {}), **dict(headers)}
        return requests.request(method, self.url(app, user), headers=fields, timeout=15, **options)

    def raw(self, data, deadline_s=15):
        """Sends bytes; everything that comes back until the server closes."""
        host, port = self.address.split(":")
        with socket.create_connection((host, int(port)), timeout=deadline_s) as conn:
            conn.sendall(data)
            heard = b""
            with contextlib.suppress(ConnectionResetError):
                while block := conn.recv(65536):
                    heard += block
            return heard

    def path(self, path, token=None, method="GET", extra=""):
        """Status of a request whose target is sent as it is."""
        auth = f"Authorization: Bearer {token}\r\n" if token else ""
        heard = self.raw(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{auth}{extra}\r\n".encode("latin-1"))
        return parse(heard)


class Answer:
    def __init__(self, head, body):
        line, *fields = head.split("\r\n")
        self.status_code = int(line.split(" ")[1])
        self.headers = requests.structures.CaseInsensitiveDict(f.split(": ", 1) for f in fields)
        self.content = body
        self.text = body.decode()

    def json(self):
        return json.loads(self.text)


def parse(heard):
    head, _, body = heard.partition(b"\r\n\r\n")
    return Answer(head.decode("latin-1"), body)


def check_problem(answer, status, name, error_code=None):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"urn:caseview:problem:{name}", problem
    assert problem["status"] == status
    assert problem["title"] and problem["detail"]
    assert problem.get("errorCode") == error_code
    assert set(problem) == {"type", "title", "status", "detail"} | ({"errorCode"} if error_code else set())
    assert answer.headers["X-Request-Id"]
    assert not re.search(r"\bselect\s+\w+,|caseview\.|SQLSTATE|eyJ|\.c:\d", answer.text), "no SQL, token or stack in a body"
    if status == 401:
        wanted = "Bearer" if name == "no-token" else 'Bearer error="invalid_token"'
        assert answer.headers["WWW-Authenticate"] == wanted
    else:
        assert "WWW-Authenticate" not in answer.headers
    assert ("Retry-After" in answer.headers) == (status == 503)


@pytest.fixture(scope="module")
def server():
    postgres = Postgres()
    yield postgres
    postgres.close()


@pytest.fixture(scope="module")
def database(server):
    database = server.create_database()
    fill(database)
    yield database
    database.drop()


@pytest.fixture(scope="module")
def keys():
    return Keys()


@pytest.fixture(scope="module")
def api(tmp_path_factory, database, keys):
    folder = tmp_path_factory.mktemp("api")
    api = Api(folder, database.conninfo, keys.write(folder / "jwks.json"))
    api.wait_ready()
    yield api
    api.stop()


@pytest.fixture
def own(tmp_path, server, keys):
    """An API with a database and a key file of its own, to break."""
    database = server.create_database()
    fill(database)
    started = []

    def start(*args, conninfo=None, jwks=None):
        path = jwks or keys.write(tmp_path / "jwks.json")
        api = Api(tmp_path, conninfo or database.conninfo, path, *args, name=f"caseview-api-{len(started)}")
        started.append(api)
        return api

    start.database = database
    start.folder = tmp_path
    yield start
    for api in started:
        if api.is_running():
            api.stop()
    if not server.process:
        server.start()
    database.drop()


@pytest.fixture(scope="module")
def token(keys):
    return keys.token(CLIENT)


# --- row 10 -----------------------------------------------------------------------------------------------------------


def test_success_lists_the_cases_of_the_current_unit_in_order(api, token):
    answer = api.call(token)
    assert answer.status_code == 200
    assert answer.text == EXPECTED
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert re.fullmatch(r'"[^"]+"', answer.headers["ETag"])
    assert str(uuid.UUID(answer.headers["X-Request-Id"])) == answer.headers["X-Request-Id"]


def test_success_without_cases_is_an_empty_array(api, token):
    assert api.call(token, user=USER_IDLE).text == "[]"


def test_ids_are_taken_in_either_case_and_percent_encoded(api, token):
    assert api.path(f"/{APP.upper()}/agents/{USER.upper()}/activeCases", token).text == EXPECTED
    escaped = "".join(f"%{ord(c):02x}" for c in USER)
    assert api.path(f"/{APP}/%61gents/{escaped}/active%43ases", token).text == EXPECTED


def test_head_has_the_same_fields_and_no_body(api, token):
    get, head = api.call(token), api.call(token, method="HEAD")
    assert head.status_code == 200 and head.content == b""
    for name in ("Content-Length", "Content-Type", "ETag", "Cache-Control"):
        assert head.headers[name] == get.headers[name]
    refused = api.call(None, method="HEAD")
    assert refused.status_code == 401 and refused.content == b"" and int(refused.headers["Content-Length"]) > 0


def test_many_at_once_each_get_their_own(api, token):
    wanted = {USER: (200, EXPECTED), USER_IDLE: (200, "[]"), USER_NO_UNIT: (403, None), USER_NO_WORKSPACES: (409, None)}
    failures = []

    def ask(offset):
        with requests.Session() as session:
            for i in range(60):
                user = list(wanted)[(i + offset) % 4]
                answer = session.get(api.url(user=user), headers={"Authorization": f"Bearer {token}"}, timeout=15)
                status, text = wanted[user]
                if answer.status_code != status or (text and answer.text != text):
                    failures.append((user, answer.status_code, answer.text))

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]
    batches, asked = api.metric("caseview_api_batches_total"), api.metric("caseview_api_batched_requests_total")
    assert asked > batches, "requests that wait at one moment share a statement"


# --- the other rows, and their order ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    ["/", "//", "/x", "/{a}", "/{a}/agents/{u}", "/{a}/agents/{u}/activeCases/", "//{a}/agents/{u}/activeCases",
     "/{a}/agents/{u}/activecases", "/{a}/Agents/{u}/activeCases", "/{a}/agents//activeCases", "//agents/{u}/activeCases",
     "/{a}/agents/./activeCases", "/{a}/agents/../activeCases", "/%2e%2E/agents/{u}/activeCases", "/{a}/agents/%2e/activeCases",
     "/{a}/./agents/{u}/activeCases", "/x/../{a}/agents/{u}/activeCases", "/{a}%2Fagents/{u}/activeCases",
     "/{a}/agents/{u}%2factiveCases", "/{a}/agents/{u}%2Fx/activeCases", "/{a}/agents%00/{u}/activeCases",
     "/{a}/%zzagents/{u}/activeCases", "/{a}/%2561gents/{u}/activeCases", "/{a}/agents/{u}/activeCases/x", "/{a}/agents/{u}/activeCases;x"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "BREW"])
def test_row_1_another_path_is_404_whatever_else_is_wrong(api, path, method):
    check_problem(api.path(path.format(a=APP, u=USER), method=method), 404, "not-found")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW", "get", "PROPFIND", "M-SEARCH"])
def test_row_2_another_method_is_405_before_the_token_is_asked_for(api, method):
    answer = api.path(f"/{APP}/agents/{USER}/activeCases", method=method)
    check_problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_options_needs_no_token(api):
    answer = api.call(None, user="not-a-guid", method="OPTIONS")
    assert (answer.status_code, answer.headers["Allow"], answer.content) == (204, "GET, HEAD, OPTIONS", b"")
    assert "Content-Length" not in answer.headers and answer.headers["X-Request-Id"]


@pytest.mark.parametrize("field", [None, "", "Bearer", "Bearer  ", "Basic abc", "Bearertoken", "token"])
def test_row_3_no_bearer_token_is_401_before_the_ids_are_looked_at(api, field):
    extra = "" if field is None else f"Authorization: {field}\r\n"
    check_problem(api.path("/x/agents/y/activeCases", extra=extra), 401, "no-token")


def test_scheme_is_compared_ignoring_case(api, token):
    for scheme in ("bearer", "BEARER", "bEaReR"):
        assert api.call(None, headers={"Authorization": f"{scheme} {token}"}).status_code == 200
    assert api.call(None, headers={"Authorization": f"Bearer   {token}"}).status_code == 200


def test_row_4_two_authorization_fields(api, token):
    for second in (f"Bearer {token}", "Basic x"):
        extra = f"Authorization: {second}\r\n"
        check_problem(api.path(f"/{APP}/agents/{USER}/activeCases", token, extra=extra), 401, "invalid-token")


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else data.encode()).rstrip(b"=").decode()


def claims(**changes):
    body = {"iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 600, "azp": CLIENT, "roles": [ROLE], **changes}
    return {k: v for k, v in body.items() if v is not None}


def sign(key, header, payload):
    """Any header and payload text, really signed."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

    signing = f"{b64(header)}.{b64(payload)}".encode()
    private = key.get_op_key("sign")
    alg = json.loads(header).get("alg")
    if key["kty"] == "EC":
        r, s = utils.decode_dss_signature(private.sign(signing, ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    elif alg == "PS256":
        signature = private.sign(signing, padding.PSS(padding.MGF1(hashes.SHA256()), 32), hashes.SHA256())
    else:
        signature = private.sign(signing, padding.PKCS1v15(), hashes.SHA256())
    return f"{signing.decode()}.{b64(signature)}"


@pytest.mark.parametrize("kid,alg", [("rsa", "RS256"), ("rsa", "PS256"), ("ec", "ES256")])
def test_tokens_of_each_allowed_algorithm(api, keys, kid, alg):
    assert api.call(keys.token(CLIENT, kid=kid, algorithm=alg)).status_code == 200
    own = sign(keys.keys[kid], json.dumps({"alg": alg, "kid": kid}), json.dumps(claims()))
    assert api.call(own).status_code == 200


GOOD_CLAIMS = {
    "audience in an array": {"aud": ["x", AUDIENCE]},
    "second audience": {"aud": "second"},
    "second issuer": {"iss": "other"},
    "expired within the leeway": {"exp": lambda: time.time() - 50},
    "not yet valid within the leeway": {"nbf": lambda: time.time() + 50},
    "times with fractions": {"exp": lambda: time.time() + 10.25, "nbf": lambda: time.time() - 0.5},
    "a time beyond all integers": {"exp": 1e300},
    "a huge integer elsewhere": {"x": 10**40},
    "appid": {"azp": None, "appid": CLIENT},
    "client_id": {"azp": "", "appid": 7, "client_id": CLIENT},
}
BAD_CLAIMS = {
    "expired": {"exp": lambda: time.time() - 61},
    "not yet valid": {"nbf": lambda: time.time() + 65},
    "no exp": {"exp": None},
    "exp a string": {"exp": str(2**40)},
    "exp true": {"exp": True},
    "nbf a string": {"nbf": "0"},
    "nbf null": {"nbf": "<null>"},
    "another issuer": {"iss": ISSUER + "x"},
    "issuer in an array": {"iss": [ISSUER]},
    "no issuer": {"iss": None},
    "another audience": {"aud": "x"},
    "audience in another case": {"aud": AUDIENCE.upper()},
    "no audience": {"aud": None},
    "empty audience": {"aud": []},
    "audience an object": {"aud": {AUDIENCE: AUDIENCE}},
}


def made(changes):
    return claims(**{k: v() if callable(v) else v for k, v in changes.items()})


@pytest.mark.parametrize("name", GOOD_CLAIMS)
def test_claims_that_are_accepted(api, keys, name):
    payload = json.dumps(made(GOOD_CLAIMS[name]))
    assert api.call(sign(keys.keys["rsa"], '{"alg":"RS256","kid":"rsa"}', payload)).status_code == 200


@pytest.mark.parametrize("name", BAD_CLAIMS)
def test_row_4_claims_that_are_not(api, keys, name):
    payload = json.dumps(made(BAD_CLAIMS[name])).replace('"<null>"', "null")
    check_problem(api.call(sign(keys.keys["rsa"], '{"alg":"RS256","kid":"rsa"}', payload)), 401, "invalid-token")


BAD_HEADERS = [
    '{"alg":"RS256"}',
    '{"alg":"RS256","kid":""}',
    '{"alg":"RS256","kid":7}',
    '{"alg":"RS256","kid":"RSA"}',
    '{"alg":"rs256","kid":"rsa"}',
    '{"alg":"RS384","kid":"rsa"}',
    '{"alg":"RS512","kid":"rsa"}',
    '{"alg":"none","kid":"rsa"}',
    '{"alg":"HS256","kid":"rsa"}',
    '{"alg":"ES256","kid":"rsa"}',
    '{"alg":"RS256","kid":"ec"}',
    '{"alg":["RS256"],"kid":"rsa"}',
    '{"kid":"rsa"}',
    '{"alg":"RS256","kid":"rsa","crit":["exp"]}',
    '{"alg":"RS256","kid":"rsa","crit":[]}',
    '{"alg":"RS256","kid":"rsa","b64":false}',
    '{"alg":"RS256","kid":"rsa","b64":false,"crit":["b64"]}',
    '{"alg":"RS256","kid":"rsa","kid":"rsa"}',
    '{"alg":"none","alg":"RS256","kid":"rsa"}',
    '{"alg":"RS256","kid":"rsa","x":{"a":1,"a":2}}',
    '["RS256"]',
    '{"alg":"RS256","kid":"rsa"}x',
    '{"alg":"RS256","kid":"rsa\\u0000"}',
]


@pytest.mark.parametrize("header", BAD_HEADERS)
def test_row_4_headers_that_are_refused_though_signed(api, keys, header):
    try:
        token = sign(keys.keys["rsa"], header, json.dumps(claims()))
    except (ValueError, AttributeError):
        token = keys.token(CLIENT)
        token = b64(header) + token[token.index(".") :]
    check_problem(api.call(token), 401, "invalid-token")


def test_row_4_duplicate_claims(api, keys):
    payload = json.dumps(claims())[:-1] + ',"aud":"x"}'
    check_problem(api.call(sign(keys.keys["rsa"], '{"alg":"RS256","kid":"rsa"}', payload)), 401, "invalid-token")


def test_row_4_header_keys_are_never_followed(api, keys):
    """A token that brings its own key, by value or by address."""
    stranger = jwk.JWK.generate(kty="RSA", size=2048, kid="rsa")
    for extra in ({"jwk": stranger.export_public(as_dict=True)}, {"jku": "http://127.0.0.1:1/jwks"}, {"x5u": "http://127.0.0.1:1/"}):
        header = json.dumps({"alg": "RS256", "kid": "rsa", **extra})
        check_problem(api.call(sign(stranger, header, json.dumps(claims()))), 401, "invalid-token")
        assert api.call(sign(keys.keys["rsa"], header, json.dumps(claims()))).status_code == 200


def test_row_4_public_key_as_hmac_secret(api, keys):
    secret = jwk.JWK(kty="oct", k=b64(keys.keys["rsa"].export_to_pem()))
    token = jws.JWS(json.dumps(claims()))
    token.add_signature(secret, None, json.dumps({"alg": "HS256", "kid": "rsa"}))
    check_problem(api.call(token.serialize(compact=True)), 401, "invalid-token")


def test_row_4_malformed_tokens(api, keys):
    good = keys.token(CLIENT, kid="ec")
    head, payload, signature = good.split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    flipped = signature[:10] + ("A" if signature[10] != "A" else "B") + signature[11:]
    loose_bits = signature[:-1] + last[last.index(signature[-1]) | 1]
    for bad in (
        "x", "a.b", "..", "a.b.c.d", f"{head}.{payload}.", f".{payload}.{signature}", f"{head}..{signature}",
        f"{head}=.{payload}.{signature}", f"{head}.{payload}.{signature}==", f"{head}.{payload}.{flipped}",
        f"{head}.{payload}.{signature}AA", f"{head}.{payload}.{signature[:40]}", f"{head}.{payload}.{loose_bits}",
        f"{head}.{payload} .{signature}", good + "." , good + " x", f"{head}.{b64(json.dumps(claims(azp='x')))}.{signature}",
        f"{b64('{')}.{payload}.{signature}", f"{head}.{payload}.{'+' + signature[1:]}", "A" * 6000,
        f"{head}.{payload}.{b64(b'0' * 64)}", f"{head}.{payload}.{b64(bytes(64))}", f"{head}.{payload}.{b64(bytes([255]) * 64)}",
    ):  # fmt: skip
        check_problem(api.call(bad), 401, "invalid-token")
    assert api.call(good).status_code == 200


@pytest.mark.parametrize("length", [1, 16, 255, 257, 512])
def test_row_4_signatures_of_another_length(api, keys, length):
    for alg in ("RS256", "PS256"):
        token = sign(keys.keys["rsa"], json.dumps({"alg": alg, "kid": "rsa"}), json.dumps(claims()))
        check_problem(api.call(token[: token.rindex(".") + 1] + b64(os.urandom(length))), 401, "invalid-token")


@pytest.mark.parametrize("bad", ["x", "", "{u}0", "{u}%2", "{u}%zz", "%ff{u}", "%00", "{{{u}}}", "{v}", "%E2%82%AC", "a" * 3000])
def test_row_5_no_guid_is_400_after_the_token(api, token, bad):
    bad = bad.format(u=USER, v=USER.replace("-", ""))
    if bad == "":
        return  # an empty segment is another route
    check_problem(api.path(f"/{APP}/agents/{bad}/activeCases", token), 400, "invalid-id")
    check_problem(api.path(f"/{bad}/agents/{USER}/activeCases", token), 400, "invalid-id")
    check_problem(api.path(f"/{bad}/agents/{USER}/activeCases"), 401, "no-token")


@pytest.mark.parametrize("app", [UNKNOWN, APP_DISABLED])
def test_row_6_unknown_or_disabled_application(api, keys, app):
    check_problem(api.call(keys.token(CLIENT), app=app), 403, "application-refused")
    check_problem(api.call(keys.token(CLIENT, roles=None), app=app, user=UNKNOWN), 403, "application-refused")


@pytest.mark.parametrize(
    "names", [{"azp": "client-2"}, {"azp": CLIENT.upper()}, {"azp": CLIENT + " "}, {"azp": None}, {"azp": ["client-1"]},
              {"azp": "x", "appid": CLIENT}, {"azp": "c" * 3000}],
)  # fmt: skip
def test_row_6_another_client(api, keys, names):
    check_problem(api.call(keys.token(CLIENT, **names)), 403, "application-refused")


@pytest.mark.parametrize("roles", [None, [], ["Agent"], "Agent Impersonator", {"0": ROLE}, [ROLE, 7], ["Agent\tImpersonator"]])
def test_row_7_role_missing(api, keys, roles):
    check_problem(api.call(keys.token(CLIENT, roles=roles), user=UNKNOWN), 403, "role-missing")


@pytest.mark.parametrize("role", ROLE_SPELLINGS)
def test_role_in_the_token_in_any_spelling(api, keys, role):
    assert api.call(keys.token(CLIENT, roles=["x", role])).status_code == 200


def test_role_of_the_application(api, keys):
    assert api.call(keys.token(CLIENT, roles=None), app=APP_WITH_ROLE).text == EXPECTED


def test_row_8_no_current_unit(api, token):
    for user in (USER_NO_UNIT, UNKNOWN):
        check_problem(api.call(token, user=user), 403, "no-current-unit")
    check_problem(api.call(token, app=APP_FOREIGN), 403, "no-current-unit")


def test_row_9_no_current_workspaces(api, token):
    check_problem(api.call(token, user=USER_NO_WORKSPACES), 409, "no-current-workspaces", error_code=1011)


# --- fields -----------------------------------------------------------------------------------------------------------


def test_request_id_is_kept_when_it_is_fit(api, token):
    for good in ("a", "A-b_c.~9", "x" * 128):
        assert api.call(token, headers={"X-Request-Id": good}).headers["X-Request-Id"] == good
        assert api.call(None, headers={"X-Request-Id": good}).headers["X-Request-Id"] == good
    seen = set()
    for bad in ("", "x" * 129, "a b", "a/b", "é", "a,b"):
        fresh = api.call(token, headers={"X-Request-Id": bad.encode()}).headers["X-Request-Id"]
        assert str(uuid.UUID(fresh)) == fresh and fresh not in seen
        seen.add(fresh)


def test_if_none_match(api, token):
    etag = api.call(token).headers["ETag"]
    for value in (etag, f"W/{etag}", "*", f'"x", {etag}', f'"a,b" , W/{etag},"c"', f",, {etag}"):
        for method in ("GET", "HEAD"):
            answer = api.call(token, method=method, headers={"If-None-Match": value})
            assert answer.status_code == 304, value
            assert answer.content == b"" and answer.headers["ETag"] == etag
            assert answer.headers["Cache-Control"] == "private, no-cache" and answer.headers["X-Request-Id"]
            assert "Content-Type" not in answer.headers and "Content-Length" not in answer.headers
    for value in ('"x"', etag[1:-1], f'"x{etag[1:]}', "", f"w/{etag}", f'"a"{etag}', '"*"', f"{etag[:-1]}"):
        assert api.call(token, headers={"If-None-Match": value}).status_code == 200, value
    assert api.call(token, user=USER_IDLE, headers={"If-None-Match": etag}).status_code == 200
    check_problem(api.call(token, user=USER_NO_UNIT, headers={"If-None-Match": "*"}), 403, "no-current-unit")
    two = api.path(f"/{APP}/agents/{USER}/activeCases", token, extra=f'If-None-Match: "x"\r\nIf-None-Match: {etag}\r\n')
    assert two.status_code == 304


def test_etag_follows_the_body(api, token, database):
    before = api.call(token).headers["ETag"]
    database.query("update caseview.active_case set body = body || ' ' where case_id = %s", (case_id(3),))
    after = api.call(token).headers["ETag"]
    database.query("update caseview.active_case set body = rtrim(body) where case_id = %s", (case_id(3),))
    assert before != after and api.call(token).headers["ETag"] == before


# --- HTTP itself ------------------------------------------------------------------------------------------------------


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


def test_slow_and_silent_clients_are_dropped_and_hold_nobody_up(api, token):
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


# --- keys -------------------------------------------------------------------------------------------------------------


def write_set(path, keys):
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps({"keys": keys}))
    os.replace(temporary, path)


def public(kid, **changes):
    key = jwk.JWK.generate(kty="RSA", size=2048)
    return key, {**key.export_public(as_dict=True), "kid": kid, **changes}


def test_keys_that_do_not_fit_are_refused(own):
    cases = {
        "plain": ({}, 200),
        "sig": ({"use": "sig", "alg": "RS256", "key_ops": ["verify"]}, 200),
        "enc": ({"use": "enc"}, 401),
        "ps": ({"alg": "PS256"}, 401),
        "ops": ({"key_ops": ["encrypt"]}, 401),
        "alg-number": ({"alg": 7}, 401),
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
    assert api.call(old_token).status_code == 200  # remembered
    write_set(path, [new_public])
    assert api.call(old_token).status_code == 200, "nothing has made it read the set again"
    assert api.call(new_token).status_code == 200, "the unknown kid has, and this request waited for it"
    check_problem(api.call(old_token), 401, "invalid-token")
    # at most every 5 s: the next unknown kid finds nothing at first
    write_set(path, [new_public, old_public])
    check_problem(api.call(old_token), 401, "invalid-token")
    wait_for(lambda: api.call(old_token).status_code == 200, 15, "read again 5 s later")


def test_the_set_is_read_again_by_itself_and_a_bad_one_changes_nothing(own):
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


def test_key_set_by_url(own):
    key, shown = public("k")
    state = {"status": 200, "auth": []}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state["auth"].append(self.headers.get("Authorization"))
            self.send_response(state["status"])
            self.end_headers()
            self.wfile.write(json.dumps({"keys": [shown]}).encode())

        def log_message(self, *_):
            pass

    provider = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=provider.serve_forever, daemon=True).start()
    try:
        state["status"] = 500
        api = own(jwks=f"http://user:s3cret@127.0.0.1:{provider.server_port}/jwks")
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
    finally:
        provider.shutdown()
        provider.server_close()


# --- services that go away --------------------------------------------------------------------------------------------


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


# --- the program ------------------------------------------------------------------------------------------------------


def test_metrics_and_probes(api, token):
    before = api.metric("caseview_api_requests_total", status="200")
    api.call(token)
    assert api.metric("caseview_api_requests_total", status="200") == before + 1
    names = {name for name, _ in api.metrics()}
    assert {"caseview_api_request_seconds_count", "caseview_api_batches_total", "caseview_api_waiting",
            "caseview_api_database_errors_total", "caseview_api_remembered_tokens", "caseview_api_key_set_age_seconds"} <= names  # fmt: skip
    assert api.get("/live").status_code == 200 and api.get("/ready").status_code == 200
    assert api.get("/other").status_code == 404
    assert requests.post(f"http://{api.admin}/live", timeout=5).status_code == 405


def test_remembered_tokens_expire(api, keys):
    token = sign(keys.keys["rsa"], '{"alg":"RS256","kid":"rsa"}', json.dumps(claims(exp=time.time() - 57)))
    assert api.call(token).status_code == 200
    wait_for(lambda: api.call(token).status_code == 401, 15, "expires though remembered")
    stays_true(lambda: api.call(token).status_code == 401, 0.3, "stays expired")


def test_tls(own, token):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    import datetime

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.utcnow()
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
        .not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = own.folder / "tls.pem"
    pem.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    api = own("--tls-certificate", str(pem))
    api.wait_ready()
    url = api.url().replace("http://", "https://")
    with pytest.warns(Warning):
        answer = requests.get(url, headers={"Authorization": f"Bearer {token}"}, verify=False, timeout=15)
    assert answer.text == EXPECTED
    with pytest.raises(requests.RequestException):
        requests.get(api.url(), timeout=5)


def test_wrong_configuration_is_exit_2(tmp_path, keys):
    from support.programs import run

    jwks = keys.write(tmp_path / "k.json")
    good = ["--jwks", jwks, "--issuer", "i", "--audience", "a", "--admin-listen", "127.0.0.1:0"]
    for bad in (["--listen", "127.0.0.1:99999"], ["--nonsense", "1"], ["--max-waiting", "0"], ["word"], ["--listen", "192.0.2.1:8080"]):
        done = run("caseview-api", *good, *bad, check=2)
        assert len(done.stderr.strip().splitlines()) == 1 or "192.0.2.1" in done.stderr, done.stderr
    for missing in ("--jwks", "--issuer", "--audience"):
        at = good.index(missing)
        done = run("caseview-api", *good[:at], *good[at + 2 :], check=2)
        assert missing[2:] in done.stderr
    assert "--jwks" in run("caseview-api", "--help", check=0).stdout
    assert re.fullmatch(r"caseview-api \d+\.\d+\.\d+\n", run("caseview-api", "--version", check=0).stdout)


# --- the API description ----------------------------------------------------------------------------------------------


def test_openapi_names_every_answer(api, token):
    import yaml

    text = (pathlib.Path(__file__).resolve().parents[2] / "schemas/openapi/active-cases.yaml").read_text()
    document = yaml.safe_load(text)
    assert document["openapi"].startswith("3.1")
    (path,) = document["paths"]
    assert path == "/{applicationId}/agents/{userId}/activeCases"
    answers = document["paths"][path]["get"]["responses"]
    assert set(answers) == {"200", "304", "400", "401", "403", "404", "405", "409", "413", "503"}
    shown = set()
    for status, answer in answers.items():
        for example in answer.get("content", {}).get("application/problem+json", {}).get("examples", {}).values():
            assert example["value"]["status"] == int(status)
            shown.add(example["value"]["type"].removeprefix("urn:caseview:problem:"))
    assert shown >= {"not-found", "method-not-allowed", "no-token", "invalid-token", "invalid-id", "application-refused",
                     "role-missing", "no-current-unit", "no-current-workspaces", "unavailable", "body-too-large"}  # fmt: skip
    case = document["components"]["schemas"]["Case"]
    assert len(case["properties"]) == 31 and case["required"] == list(case["properties"])
    # the real answers say the same
    for call, status in (({"token": None}, 401), ({"token": token, "user": USER_NO_WORKSPACES}, 409)):
        problem = api.call(**call).json()
        examples = answers[str(status)]["content"]["application/problem+json"]["examples"].values()
        assert problem in [e["value"] for e in examples]
