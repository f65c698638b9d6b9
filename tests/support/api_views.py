"""The five views as tables that the test fills, and an API that reads them. No worker runs here."""

import base64
import contextlib
import json
import re
import socket
import time

import requests

from support.programs import Served, binary
from support.tokens import AUDIENCE, ISSUER, ROLE


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
    for n, user, unit, date in [
        (3, USER, UNIT, "2024-01-02"),
        (2, USER, UNIT, "2024-01-02"),
        (9, USER, UNIT, "2024-01-01"),
        (1, USER, OTHER_UNIT, "2024-01-01"),
        (4, USER_NO_WORKSPACES, UNIT, "2024-01-01"),
    ]:
        database.query(
            "insert into caseview.active_case values (%s, %s, %s, %s, %s, %s, false, %s)",
            (ORG, user, unit, case_id(n), date, date, body_of(case_id(n))),
        )


EXPECTED = "[" + ",".join(body_of(case_id(n)) for n in (9, 2, 3)) + "]"


def add_cases(database, user, count, body_bytes, first=100000):
    """Cases of one agent, in the order of their number."""
    database.query(
        """insert into caseview.active_case select %s, %s, %s, md5(%s || g::text)::uuid,
           '2024-06-01'::timestamptz + g * interval '1s', now(), false, '"' || lpad(g::text, %s, 'x') || '"'
           from generate_series(%s, %s) g""",
        (ORG, user, UNIT, user, body_bytes - 2, first, first + count - 1),
    )


def list_of(count, body_bytes, first=100000):
    return "[" + ",".join('"%s"' % str(n).rjust(body_bytes - 2, "x") for n in range(first, first + count)) + "]"


class Api(Served):
    LISTENING = re.compile(r"listening on https?://(127\.0\.0\.1:\d+)")

    def __init__(self, folder, database, jwks, *args, name="caseview-api", log_format="text"):
        listen = [item for option in ("--listen", "--admin-listen") if option not in args for item in (option, "127.0.0.1:0")]
        super().__init__(
            name,
            [binary("caseview-api"), "--database", database, "--jwks", jwks, "--issuer", f"other,{ISSUER}",
             "--audience", f"{AUDIENCE},second", "--connect-timeout-s", "2", "--log-format", log_format, *listen, *args],
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
        """Sends bytes and returns everything received until the server closes."""
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


def b64(data):
    return base64.urlsafe_b64encode(data if isinstance(data, bytes) else data.encode()).rstrip(b"=").decode()


def claims(**changes):
    body = {"iss": ISSUER, "aud": AUDIENCE, "exp": time.time() + 600, "azp": CLIENT, "roles": [ROLE], **changes}
    return {k: v for k, v in body.items() if v is not None}


def sign(key, header, payload):
    """Signs any header and payload text."""
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
