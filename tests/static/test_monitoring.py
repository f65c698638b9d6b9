"""What is monitored is really exported: a worker and the API, scraped by a Prometheus that has the rules."""

import contextlib
import json
import math
import pathlib
import re
import subprocess
import threading

import pytest
import requests
import yaml

from support import events
from support.cgroup import CgroupMissing, MemoryCgroup
from support.certificates import certificate
from support.kafka import free_ports
from support.programs import Program
from support.stack import mock_stack
from support.tokens import Keys
from support.waiting import wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy/monitoring"
RULES = yaml.safe_load((MONITORING / "rules.yaml").read_text())
BOARDS = {path.name: json.loads(path.read_text()) for path in sorted((MONITORING / "dashboards").glob("*.json"))}
LIMIT = 1 << 30

pytestmark = [
    pytest.mark.xdist_group("monitoring"),  # one Prometheus
    pytest.mark.filterwarnings("ignore:Unverified HTTPS"),  # the certificate is self-signed
]


def panels(board):
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def queries():
    for name, board in BOARDS.items():
        for panel in panels(board):
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}: {target['refId']}", target["expr"], target["instant"]


def filled_in(expr):
    for variable in ("namespace", "job", "topic"):
        expr = expr.replace(f"${variable}", ".*")
    return expr.replace("$__rate_interval", "1m")


WORDS = {"and", "or", "unless", "group_left", "group_right", "bool", "offset"}


def metrics_of(expr):
    """The names of the metrics in an expression of ours."""
    expr = re.sub(r'"[^"]*"', "", expr)
    expr = re.sub(r"\{[^}]*\}|\[[^]]*\]", "", expr)
    expr = re.sub(r"\b(?:by|on|without|ignoring|group_left|group_right)\s*\([^)]*\)", "", expr)
    names = re.findall(r"[a-zA-Z_:][a-zA-Z0-9_:]*(?!\w|\s*\(|:)", re.sub(r"\b\d[\w.]*", "", expr))
    return {name for name in names if name not in WORDS}


RECORDS = {rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule}
USED = {name for group in RULES["groups"] for rule in group["rules"] for name in metrics_of(rule["expr"])}
USED |= {name for _, expr, _ in queries() for name in metrics_of(expr)}


def family(name):
    return re.sub(r"_(bucket|sum|count)$", "", name)


# --- files


def test_metrics_are_found_in_expressions():
    expr = 'max by (a, b) (x_seconds{s="y_total",j=~"$job"} and on (i) (z == 1)) / ignoring (k) group_left sum(rate(v_total{}[5m])) > 1e3 or r:q_s:max'
    assert metrics_of(expr) == {"x_seconds", "z", "v_total", "r:q_s:max"}


def test_dashboards_are_current_and_strictly_valid(tmp_path):
    def generate(*args):
        done = subprocess.run([MONITORING / "generate", *args], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    generate("dashboards", tmp_path)
    generate("check", *sorted((MONITORING / "dashboards").glob("*.json")))
    for name in ("worker.json", "api.json"):
        assert (tmp_path / name).read_text() == (MONITORING / "dashboards" / name).read_text(), "run deploy/monitoring/generate"
    wrong = BOARDS["api.json"] | {"__inputs": []}
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    done = subprocess.run([MONITORING / "generate", "check", tmp_path / "wrong.json"], capture_output=True, text=True)
    assert done.returncode == 1 and "__inputs" in done.stderr
    wrong = json.loads(json.dumps(BOARDS["api.json"]))
    panels(wrong)[0]["fieldConfig"]["defaults"]["units"] = "s"
    (tmp_path / "wrong.json").write_text(json.dumps(wrong))
    done = subprocess.run([MONITORING / "generate", "check", tmp_path / "wrong.json"], capture_output=True, text=True)
    assert done.returncode == 1 and "units" in done.stderr


@pytest.mark.parametrize("name", BOARDS)
def test_a_dashboard_can_be_provisioned(name):
    board = BOARDS[name]
    assert "__inputs" not in board and board["uid"] == f"caseview-{name.removesuffix('.json')}"
    variables = [variable["name"] for variable in board["templating"]["list"]]
    assert variables == ["datasource", "namespace", "job"] + ["topic"] * (name == "worker.json")
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    places = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & places and at["x"] + at["w"] <= 24, f"{panel['title']} covers another panel"
        places |= cells
    for panel in panels(board):
        assert panel["description"].endswith((".", "…")) and panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"][0]["value"] is None
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert not re.search(r"\[\d+[smh]\]", target["expr"]) or "increase" in target["expr"], "rates use $__rate_interval"
            for series in re.findall(r"(?:caseview|process)_\w+(\{[^}]*\})?", target["expr"]):
                assert 'namespace=~"$namespace",job=~"$job"' in series, target["expr"]


# --- running


class Prometheus:
    def __init__(self, folder, targets):
        port = free_ports(1)[0]
        self.url = f"http://127.0.0.1:{port}/api/v1/"
        scrape = [
            {"job_name": job, "static_configs": [{"targets": [address], "labels": {"namespace": "here"}}]}
            for job, address in targets.items()
        ]
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "scrape_configs": scrape,
            "rule_files": [str(MONITORING / "rules.yaml")],
        }
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        self.program = Program("prometheus", [
            "prometheus", f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/prometheus",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
        ], folder)  # fmt: skip

    def get(self, path, **parameters):
        answer = requests.get(self.url + path, params=parameters, timeout=30).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expr, **parameters):
        return self.get("query", query=expr, **parameters)["result"]

    def has(self, expr):
        with contextlib.suppress(requests.RequestException):  # it answers 503 while it starts
            return bool(self.query(expr))
        self.program.check_running()
        return False


@contextlib.contextmanager
def all_the_time(work):
    """Repeats the work in a thread until the end; a failure is reported there."""
    stop, failures = threading.Event(), []

    def repeat():
        try:
            while not stop.wait(0.2):
                work()
        except Exception as failure:
            failures.append(failure)

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        assert not failures, failures


@contextlib.contextmanager
def memory_limit(worker):
    """A container's limit, where this machine lets tests make one."""
    try:
        group = MemoryCgroup(LIMIT)
    except CgroupMissing:
        yield None
        return
    try:
        yield group
    finally:
        group.close()


@pytest.fixture(scope="module")
def running(postgres, schemas, tmp_path_factory):
    """(worker, api, Prometheus) with traffic, parked events and a halted partition."""
    folder = tmp_path_factory.mktemp("monitoring")
    keys = Keys()
    (folder / "tls.pem").write_bytes(certificate("localhost", 30))
    with memory_limit(folder) as group, mock_stack(postgres, schemas, folder) as stack:
        worker = stack.start_worker(cgroup=group)
        api = stack.start_api(keys, "--tls-certificate", folder / "tls.pem")
        prometheus = Prometheus(folder, {"workers": worker.admin, "api": api.admin})
        organization, application = events.guid(), events.guid()
        token = keys.token("client")

        def traffic():
            case = events.guid()
            stack.send(events.queued(organization, case), partition=0)
            stack.send_raw("agent", [(b"x", b"no event", ())], partition=0)
            for sent in (token, "no token"):
                url = f"{api.url}/{application}/agents/{case}/activeCases"
                requests.get(url, headers={"Authorization": f"Bearer {sent}"}, verify=False, timeout=20)

        try:
            with all_the_time(traffic):
                wait_for(lambda: prometheus.has("caseview_ready"), 60, "Prometheus scrapes")
                stack.database.query(
                    "UPDATE ctl.cursor SET state = 'halted', reason = 'recreated' WHERE topic = %s AND part = 3",
                    (stack.topics.case,),
                )
                halted = 'caseview_partition_state{state="halted",reason="recreated"} == 1'
                wait_for(lambda: prometheus.has(halted), 30, "the halted partition is scraped")
                wait_for(lambda: prometheus.has("caseview_parked_events > 3"), 30, "the parked events are scraped")
                wait_for(lambda: prometheus.has("min(count_over_time(caseview_ready[1m])) > 15"), 90, "there is some history")
                yield worker, api, prometheus
        finally:
            prometheus.program.stop()


@pytest.fixture(scope="module")
def exported(running):
    worker, api, _ = running
    return {family(name) for program in (worker, api) for name, _ in program.metrics()}


def may_be_missing(exported):
    """Exported only in a container with a limit, which this machine may not let tests make."""
    return {"caseview_memory_limit_bytes"} - exported


def test_each_metric_that_is_used_is_exported(exported):
    assert {family(name) for name in USED} - RECORDS - {"up"} - may_be_missing(exported) <= exported


def test_each_metric_is_documented_and_each_documented_one_exported(exported):
    page = (ROOT / "docs/operations.md").read_text()
    section = page[page.index("\n## Metrics\n") : page.index("\n## Monitoring\n")]
    first = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    documented = {name for cell in first for name in re.findall(r"`([a-z_]+)(?:\{[a-z,]*\})?`", cell)}
    assert documented - may_be_missing(exported) == exported


def test_each_panel_shows_something(running):
    _, _, prometheus = running
    now = prometheus.get("query", query="time()")["result"][0]
    wrong = []
    for where, expr, instant in queries():
        text = filled_in(expr)
        if instant:
            found = [sample["value"][1] for sample in prometheus.query(text)]
        else:
            found = prometheus.get("query_range", query=text, start=now - 10, end=now, step=1)["result"]
            found = [value for series in found for _, value in series["values"]]
        if not any(not math.isnan(float(value)) for value in found):
            wrong.append((where, text))
    if "caseview_memory_limit_bytes" in may_be_missing({name for name in USED if prometheus.has(name)}):
        wrong = [(where, text) for where, text in wrong if "caseview_memory_limit_bytes" not in text]
    assert wrong == []


def test_variables_of_the_dashboards_have_values(running):
    _, _, prometheus = running
    for board in BOARDS.values():
        for variable in board["templating"]["list"]:
            if variable["type"] != "query":
                continue
            series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]).groups()
            found = {sample["metric"].get(label) for sample in prometheus.query(filled_in(series))}
            assert found and None not in found, variable["query"]


def test_the_rules_are_evaluated(running):
    _, _, prometheus = running
    groups = prometheus.get("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert len(rules) == sum(len(group["rules"]) for group in RULES["groups"])
    assert [(rule["name"], rule.get("lastError")) for rule in rules if rule["health"] != "ok"] == []
    empty = [name for name in RECORDS if not prometheus.has(name)]
    assert empty == []


def test_alerts_see_what_is_wrong(running):
    _, _, prometheus = running
    active = {alert["labels"]["alertname"]: alert for alert in prometheus.get("alerts")["alerts"]}
    assert {"CaseviewPartitionHalted", "CaseviewEventsParked"} <= set(active)
    assert active["CaseviewPartitionHalted"]["labels"]["reason"] == "recreated"
    quiet = re.compile("Absent|NotReady|NoneReady|ScrapeFailing|Unowned|TwoOwners|Brokers|NoKeys|Certificate|Clock|Stuck")
    assert [name for name in active if quiet.search(name)] == []
