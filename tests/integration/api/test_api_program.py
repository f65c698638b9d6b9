"""The program around the endpoint: probes, metrics, TLS, configuration, and the description of the API."""

import json
import pathlib
import re
import socket
import time

import pytest
import requests

from support.api_views import EXPECTED, USER_NO_WORKSPACES, claims, sign
from support.waiting import stays_true, wait_for


def test_metrics_and_probes(api, token):
    before = api.metric("caseview_api_requests_total", status="200")
    api.call(token)
    assert api.metric("caseview_api_requests_total", status="200") == before + 1
    names = {name for name, _ in api.metrics()}
    assert {"caseview_api_request_seconds_count", "caseview_api_batches_total", "caseview_api_waiting",
            "caseview_api_database_errors_total", "caseview_api_remembered_tokens", "caseview_api_key_set_age_seconds"} <= names  # fmt: skip
    assert api.metric("caseview_build_info", program="api") == 1 and api.metric("caseview_ready") == 1
    assert api.metric("caseview_api_threads") == 160 and api.metric("caseview_api_waiting_max") == 160
    assert abs(api.metric("caseview_clock_seconds") - time.time()) < 5
    assert "caseview_api_certificate_expiry_timestamp_seconds" not in names, "it has no certificate"
    assert api.get("/live").status_code == 200 and api.get("/ready").status_code == 200
    assert api.get("/other").status_code == 404
    assert requests.post(f"http://{api.admin}/live", timeout=5).status_code == 405
    assert requests.post(f"http://{api.admin}/live", data="x", timeout=5).status_code == 413
    page = api.get("/metrics", headers={"Accept": "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"})
    assert page.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8" and "# EOF" not in page.text
    assert "# TYPE caseview_api_requests_total counter\n" in page.text
    page = api.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})
    assert page.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert "# TYPE caseview_api_requests counter\n" in page.text and page.text.endswith("# EOF\n")


def test_remembered_tokens_expire(api, keys):
    token = sign(keys.keys["rsa"], '{"alg":"RS256","kid":"rsa"}', json.dumps(claims(exp=time.time() - 57)))
    assert api.call(token).status_code == 200
    wait_for(lambda: api.call(token).status_code == 401, 15, "expires though remembered")
    stays_true(lambda: api.call(token).status_code == 401, 0.3, "stays expired")


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


def test_a_failed_start_does_not_wait_for_the_database(tmp_path, keys):
    """The port is in use, and the server at the database's address never answers."""
    from support.programs import run

    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as silent:
        ports = [server.getsockname()[1] for server in (taken, silent)]
        done = run(
            "caseview-api", "--jwks", keys.write(tmp_path / "k.json"), "--issuer", "i", "--audience", "a", "--admin-listen",
            "127.0.0.1:0", "--listen", f"127.0.0.1:{ports[0]}", "--connect-timeout-s", "60",
            "--database", f"host=127.0.0.1 port={ports[1]} dbname=x", check=2, deadline_s=20,
        )  # fmt: skip
    assert f"127.0.0.1:{ports[0]}" in done.stderr


# --- the API description ----------------------------------------------------------------------------------------------


def test_openapi_names_every_answer(api, token):
    import yaml

    text = (pathlib.Path(__file__).resolve().parents[3] / "schemas/openapi/active-cases.yaml").read_text()
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
    # the actual answers agree
    for call, status in (({"token": None}, 401), ({"token": token, "user": USER_NO_WORKSPACES}, 409)):
        problem = api.call(**call).json()
        examples = answers[str(status)]["content"]["application/problem+json"]["examples"].values()
        assert problem in [e["value"] for e in examples]
