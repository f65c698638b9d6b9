"""The rows of the endpoint's table, in their order, and the fields of an answer (contract, section 1)."""

import pathlib
import re
import threading
import uuid

import pytest
import requests

from support.api_views import (
    APP,
    APP_DISABLED,
    APP_FOREIGN,
    APP_WITH_ROLE,
    CLIENT,
    EXPECTED,
    ROLE_SPELLINGS,
    UNKNOWN,
    USER,
    USER_IDLE,
    USER_NO_UNIT,
    USER_NO_WORKSPACES,
    case_id,
    check_problem,
)
from support.tokens import ROLE


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


def test_concurrent_requests_get_their_own_answers(api, token, keys):
    without_role = keys.token(CLIENT, roles=None)
    wanted = [
        (token, APP, USER, 200, EXPECTED), (token, APP, USER_IDLE, 200, "[]"), (token, APP, USER_NO_UNIT, 403, "no-current-unit"),
        (token, APP, USER_NO_WORKSPACES, 409, "no-current-workspaces"), (token, APP_DISABLED, USER, 403, "application-refused"),
        (without_role, APP_WITH_ROLE, USER, 200, EXPECTED), (without_role, APP, USER, 403, "role-missing"),
    ]  # fmt: skip
    failures = []

    def ask(offset):
        with requests.Session() as session:
            for i in range(70):
                its_token, app, user, status, text = wanted[(i + offset) % len(wanted)]
                answer = session.get(api.url(app, user), headers={"Authorization": f"Bearer {its_token}"}, timeout=15)
                right = answer.text == text if status == 200 else text in answer.text
                if answer.status_code != status or not right:
                    failures.append((app, user, answer.status_code, answer.text))

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
def test_row_1_another_path_is_404_before_all_other_checks(api, path, method):
    check_problem(api.path(path.format(a=APP, u=USER), method=method), 404, "not-found")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW", "get", "PROPFIND", "M-SEARCH"])
def test_row_2_another_method_is_405_before_the_token_is_checked(api, method):
    answer = api.path(f"/{APP}/agents/{USER}/activeCases", method=method)
    check_problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == "GET, HEAD, OPTIONS"


def test_options_needs_no_token(api):
    answer = api.call(None, user="not-a-guid", method="OPTIONS")
    assert (answer.status_code, answer.headers["Allow"], answer.content) == (204, "GET, HEAD, OPTIONS", b"")
    assert "Content-Length" not in answer.headers and answer.headers["X-Request-Id"]


@pytest.mark.parametrize("field", [None, "", "Bearer", "Bearer  ", "Basic abc", "Bearertoken", "token"])
def test_row_3_no_bearer_token_is_401_before_the_ids_are_checked(api, field):
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


def test_a_valid_request_id_is_kept(api, token):
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


def test_no_answer_is_sorted_by_the_database(database):
    """The index gives the order of the cases and the arrays that of the requests, so no batch needs a sort."""
    folder = pathlib.Path(__file__).resolve().parents[3] / "api/sql"
    statement = (folder / "active_cases.sql").read_text()
    arrays = f"'{{{APP}}}', '{{{USER}}}', '{{{CLIENT}}}', false"
    plan = database.query(f"{(folder / 'setup.sql').read_text()}; PREPARE p AS {statement}; EXPLAIN EXECUTE p ({arrays})")
    text = "\n".join(line for (line,) in plan)
    assert "Index" in text and "active_case" in text
    assert "Sort" not in text, text
