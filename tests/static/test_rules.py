"""Prometheus' rules: what each alert fires on and what not, its texts, and its runbook."""

import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
MONITORING = ROOT / "deploy/monitoring"
FILES = ROOT / "deploy/helm/caseview/files"
RULES = MONITORING / "rules.yaml"
CASES = yaml.load((pathlib.Path(__file__).parent / "rules_cases.yaml").read_text(), yaml.BaseLoader)  # 0x9 is a text
GROUPS = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = {(rule["alert"], rule["labels"]["severity"]): rule for g in GROUPS for rule in g["rules"] if "alert" in rule}
RECORDS = {rule["record"]: rule for group in GROUPS for rule in group["rules"] if "record" in rule}

PROCESSES = {
    **{f"w{n}": f'namespace="n",job="workers",instance="w{n}"' for n in range(1, 6)},
    **{f"a{n}": f'namespace="n",job="api",instance="a{n}"' for n in range(1, 3)},
}
SHORT = {**PROCESSES, "p3": 'topic="case-events",partition="3",generation="1"'}
SETTING = {  # of every case that does not say something else
    'caseview_build_info{@w1,program="worker"}': "1x120",
    'caseview_build_info{@w2,program="worker"}': "1x120",
    'caseview_build_info{@a1,program="api"}': "1x120",
    'caseview_build_info{@a2,program="api"}': "1x120",
    "caseview_generation_live{@w1}": "1x120",
    "caseview_generation_live{@w2}": "1x120",
}


def written_out(series):
    return re.sub(r"@(\w+)", lambda short: SHORT[short[1]], series)


def values(text):
    """promtool of Debian 12 knows `1+0x5` and not its short form `1x5`."""
    return re.sub(r"(?<![\w.+-])(-?[\d.]+)x(\d+)", r"\1+0x\2", text)


def alert_tests(case):
    for moment in case.get("alerts", ()):
        for name, fired in moment.items():
            if name == "at":
                continue
            expected = []
            for one in fired:
                rule = ALERTS[name, one["severity"]]
                expected.append({
                    "exp_labels": {"severity": one["severity"], **one["labels"]},
                    "exp_annotations": {**rule["annotations"], "description": one["says"]},
                })  # fmt: skip
            yield {"eval_time": moment["at"], "alertname": name, "exp_alerts": expected}


def value_tests(case):
    for moment in case.get("values", ()):
        samples = [{"labels": labels, "value": float(value)} for labels, value in moment["samples"].items()]
        yield {"eval_time": moment["at"], "expr": moment["expr"], "exp_samples": samples}


def promtool(*args):
    return subprocess.run(["promtool", *map(str, args)], capture_output=True, text=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"][:60])
def test_case(case, tmp_path):
    series = {**SETTING, **case["series"]}
    unit = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [{
            "interval": "1m",
            "input_series": [{"series": written_out(s), "values": values(v)} for s, v in series.items()],
            "alert_rule_test": list(alert_tests(case)),
            "promql_expr_test": list(value_tests(case)),
        }],
    }  # fmt: skip
    path = tmp_path / "unit.yaml"
    path.write_text(yaml.safe_dump(unit))
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_shown_firing_and_silent():
    fires, silent = set(), set()
    for case in CASES:
        for test in alert_tests(case):
            severities = {alert["exp_labels"]["severity"] for alert in test["exp_alerts"]}
            for name, severity in ALERTS:
                if name == test["alertname"]:
                    (fires if severity in severities else silent).add((name, severity))
    assert fires == set(ALERTS) and silent == set(ALERTS)


def test_each_recorded_series_is_shown_with_values():
    shown = " ".join(test["expr"] for case in CASES for test in value_tests(case))
    assert [name for name in RECORDS if name not in shown] == []


def test_promtool_accepts_the_rules():
    done = promtool("check", "rules", RULES)
    assert done.returncode == 0, done.stdout + done.stderr


def test_generated_rules_are_current():
    done = subprocess.run([MONITORING / "generate", "rules"], capture_output=True, text=True, check=True)
    assert done.stdout == RULES.read_text(), "run deploy/monitoring/generate"


def test_options_of_the_generator(tmp_path):
    selector, url = 'namespace="a",job=~"b-.*"', "https://wiki.example/a&b"
    argv = [MONITORING / "generate", "rules", "--set", "lagWarningSeconds=17", "--selector", selector, "--runbook-url", url]
    text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    (tmp_path / "rules.yaml").write_text(text)
    done = promtool("check", "rules", tmp_path / "rules.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "> 17\n" in text and f"{url}#caseviewlag\n" in text and "Warning above 17 s." in text
    for group in yaml.safe_load(text)["groups"]:
        for rule in group["rules"]:
            for series in re.findall(r"(?:caseview|process|up)\w*\{[^}]*\}", rule["expr"]):
                assert selector in series, series


@pytest.mark.parametrize("args", [["--set", "noSuch=1"], ["--set", "lagWarningSeconds=soon"], ["--nonsense", "1"], ["--selector"]])
def test_the_generator_refuses(args):
    done = subprocess.run([MONITORING / "generate", "rules", *args], capture_output=True, text=True)
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1 and done.stdout == ""


# --- texts


RUNBOOKS = (ROOT / "docs/runbooks.md").read_text()
SECTIONS = re.findall(r"(?m)^## (Caseview\w+)$", RUNBOOKS)


def anchors(page):
    headings = re.findall(r"(?m)^#+ (.*)$", (ROOT / "docs" / page).read_text())
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name,severity", ALERTS)
def test_an_alert_says_what_it_is(name, severity):
    rule = ALERTS[name, severity]
    annotations = rule["annotations"]
    assert severity in ("critical", "warning", "info") and name.startswith("Caseview")
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert re.fullmatch(r"[A-Z][^{}$]*\.", annotations["summary"]), "a fixed sentence"
    assert annotations["description"].endswith(".")
    assert annotations["runbook_url"] == f"docs/runbooks.md#{name.lower()}"
    assert "for" in rule or "[15m]" in rule["expr"] or "[1h]" in rule["expr"]


def test_each_alert_has_a_runbook_and_each_runbook_an_alert():
    assert sorted(SECTIONS) == sorted({name for name, _ in ALERTS})


def test_a_runbook_answers_the_same_questions():
    for section in re.split(r"(?m)^##? ", RUNBOOKS):
        if section.startswith("Caseview"):
            name = section.split("\n")[0]
            assert re.findall(r"(?m)^- \*\*(.*?)\*\*: ", section) == ["Means", "Users notice", "Cause", "Do", "Page"], name


def test_links_of_the_runbooks_exist():
    for page, anchor in re.findall(r"\]\((\w*\.md|)#([a-z0-9-]+)\)", RUNBOOKS):
        assert anchor in anchors(page or "runbooks.md"), f"{page}#{anchor}"
    named = set(re.findall(r"\b(Caseview[A-Z]\w+)", RUNBOOKS))
    assert named == set(SECTIONS), "only alerts are named"


def test_severities_of_one_alert_have_one_summary():
    summaries = {}
    for (name, _), rule in ALERTS.items():
        assert summaries.setdefault(name, rule["annotations"]["summary"]) == rule["annotations"]["summary"]


def test_thresholds_are_used_and_explained():
    thresholds = yaml.safe_load((FILES / "thresholds.yaml").read_text())
    text = (FILES / "rules.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)\}", text)) - {"selector", "runbookUrl", "name"} == set(thresholds)
