"""What the chart is told reaches the programs: options that they accept, secrets, network policies, and a README that knows
every value."""

import concurrent.futures
import json
import pathlib
import re
import subprocess

import pytest

from support import chart, programs

CI = [path.name.removesuffix("-values.yaml") for path in chart.ci_values()]
ROW = re.compile(r"^\| `([^`]+)` \| `(.*)` \| (.*) \|$", re.M)
GOOD_OPTIONS = 3  # exit code: the options are good, and there is no database
NOT_FOUND = object()


def rows():
    """The values that README.md lists: name, default, meaning."""
    return ROW.findall((chart.CHART / "README.md").read_text())


def value_at(values, path):
    for key in path.split("."):
        if not isinstance(values, dict) or key not in values:
            return NOT_FOUND
        values = values[key]
    return values


def without(values, path):
    """The values without that one."""
    key, _, rest = path.partition(".")
    return {k: without(v, rest) if k == key and rest else v for k, v in values.items() if k != key or rest}


# --- the documents


def test_the_readme_is_current():
    printed = subprocess.run([chart.ROOT / "deploy/helm/readme", "--print"], capture_output=True, text=True)
    assert printed.returncode == 0, printed.stderr
    assert printed.stdout.strip() == (chart.CHART / "README.md").read_text().strip(), "run deploy/helm/readme"


def test_every_value_is_explained_and_has_an_example():
    listed = rows()
    assert len(listed) > 200
    assert [name for name, _, meaning in listed if not meaning.strip()] == []
    examples = [chart.values_of(values) for values in CI]
    unused = [
        name
        for name, default, _ in listed
        if not any(
            (value := value_at(values, name)) is not NOT_FOUND and json.dumps(value) != json.dumps(json.loads(default))
            for values in examples
        )
    ]
    assert unused == []


@pytest.mark.parametrize("values", CI)
def test_every_value_of_an_example_changes_what_is_rendered(values):
    """A value that no template uses, or that another one hides, is not in an example."""
    given = chart.values_of(values)
    rendered = chart.template(values)
    for name, default, _ in rows():
        value = value_at(given, name)
        if value is NOT_FOUND or value == json.loads(default) or name == "rollOnSecretChange":  # which asks a cluster
            continue
        try:
            other = chart.template(without(given, name))
        except chart.Refused:
            continue
        assert other != rendered, f"{name} makes no difference"


def test_versions_are_those_of_the_programs():
    version = re.search(r"project\(caseview\s+VERSION\s+([0-9.]+)", (chart.ROOT / "CMakeLists.txt").read_text(), re.I)
    assert f'appVersion: "{version[1]}"' in (chart.CHART / "Chart.yaml").read_text()


# --- options


def files_and_variables(values):
    """What each program gets: its file of options, and its variables with a plain value."""
    manifests = chart.template(values)
    for manifest in manifests:
        pod = chart.pod_of(manifest)
        if not pod:
            continue
        container = pod["spec"]["containers"][0]
        variables = {e["name"]: e["value"] for e in container.get("env", []) if "value" in e}
        variables.pop("CASEVIEW_CONFIG", None)
        maps = [v["configMap"]["name"] for v in pod["spec"].get("volumes", []) if v["name"] == "config"]
        text = chart.find(manifests, "ConfigMap", maps[0])["data"]["caseview.conf"] if maps else ""
        yield manifest["metadata"]["name"], text, variables


def write_certificate(path):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=any",
         "-keyout", "/dev/null", "-out", path], check=True, capture_output=True,
    )  # fmt: skip


def accepts(folder, text, variables):
    """What a program says about the options, "" when it only lacks a database. Every one is checked, used or not."""
    (folder / "schemas").mkdir(parents=True)
    text = text.replace("/etc/caseview", str(folder))
    for path in map(pathlib.Path, re.findall(r"^ca-file = (.*)$", text, re.M)):
        path.parent.mkdir()
        write_certificate(path)
    file = folder / "caseview.conf"
    file.write_text(text)
    done = subprocess.run(
        [programs.binary("caseview"), "parked", "list", "--config", file, "--database", "host=/nonexistent",
         "--connect-timeout-s", "1"],
        env=programs.clean_environment(variables), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return "" if done.returncode == GOOD_OPTIONS else f"exit code {done.returncode}: {done.stderr}\n{text}"


def test_the_programs_accept_their_options(tmp_path):
    different = {}
    for values in CI:
        for name, text, variables in files_and_variables(values):
            different[text, tuple(sorted(variables.items()))] = f"{name} of {values}"
    assert len(different) > 20
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        said = pool.map(
            lambda item: accepts(tmp_path / str(item[0]), item[1][0], dict(item[1][1])), enumerate(different)
        )
        assert [(what, text) for what, text in zip(different.values(), said) if text] == []


def test_a_wrong_option_would_be_noticed(tmp_path):
    assert "gap-alarm" in accepts(tmp_path / "a", "gap-alarm = 5\n", {})
    assert "exit code 2" in accepts(tmp_path / "b", "", {"CASEVIEW_GENERATION": "0"})


def test_every_option_of_caseview_can_be_given():
    """By a value of its own, which the refusal names, or by its name."""
    text = (chart.ROOT / "docs/configuration.md").read_text()
    options = {}
    for name, scope in re.findall(r"^\| `([a-z-]+)` \| ([^|]+) \|", text, re.M):
        options.setdefault(name, set()).update(scope.strip().split(", "))
    programs_of_the_chart = {"all", "caseview", "caseview worker", "caseview-api", "caseview migrate"}
    wanted = {name for name, scopes in options.items() if scopes & programs_of_the_chart}
    names = {name for name, _, _ in rows()}
    free, typed = {}, {}
    for name in sorted(wanted):
        try:
            chart.template(more={"config": {name: "x"}})
            free[name] = "x"
        except chart.Refused as refused:
            typed[name] = re.search(r"is set by the value (.+)", str(refused))[1].split(" and ")[0].split(" or ")[0]
    assert {"database", "kafka", "generation", "listen", "jwks"} <= typed.keys()
    assert {"log-level", "memory", "threads", "gap-alarm-s"} <= free.keys()
    assert [value for value in typed.values() if not any(n == value or n.startswith(f"{value}.") for n in names)] == []
    for file in ("caseview-worker", "caseview-api"):
        lines = chart.find(chart.template(more={"config": free}), "ConfigMap", file)["data"]["caseview.conf"].splitlines()
        assert {f"{name} = x" for name in free} <= set(lines)


def test_numbers_and_flags_are_written_as_the_programs_read_them():
    config = {"memory": 68719476736, "on-flag": True, "sample-rate": 0.5, "off-flag": False}
    text = chart.find(chart.template(more={"config": config}), "ConfigMap", "caseview-worker")["data"]["caseview.conf"]
    assert {"memory = 68719476736", "on-flag = on", "sample-rate = 0.5", "off-flag = off"} <= set(text.splitlines())


def test_properties_of_kafka():
    manifests = chart.template("kafka")
    text = chart.find(manifests, "ConfigMap", "caseview-worker")["data"]["caseview.conf"]
    assert [line for line in text.splitlines() if line.startswith("kafka = ")] == [
        "kafka = bootstrap.servers=kafka.kafka.svc:9092",
        "kafka = client.rack=a",
        "kafka = fetch.min.bytes=1",
        "kafka = sasl.mechanisms=PLAIN",
        "kafka = security.protocol=SASL_SSL",
        "kafka = session.timeout.ms=20000",
        "kafka = socket.keepalive.enable=true",
        "kafka = ssl.ca.location=/etc/caseview/kafka-ca/ca.pem",
        "kafka = ssl.certificate.location=/etc/caseview/kafka-certificate/user.crt",
        "kafka = ssl.key.location=/etc/caseview/kafka-certificate/user.key",
    ]
    assert "desk.case-events" in text
    pod = chart.find(manifests, "StatefulSet", "caseview-worker")["spec"]["template"]["spec"]
    variables = pod["containers"][0]["env"]
    secrets = {e["name"]: e["valueFrom"].get("secretKeyRef") for e in variables if "valueFrom" in e}
    assert secrets["CASEVIEW_KAFKA_SASL_USERNAME"] == {"name": "caseview-kafka", "key": "user"}
    assert secrets["CASEVIEW_KAFKA_SASL_PASSWORD"] == {"name": "caseview-kafka", "key": "secret"}
    assert {"name": "CASEVIEW_GROUP_ID", "value": "desk.caseview-g1"} in variables


def test_properties_are_taken_by_the_client(tmp_path):
    """Of each type. The worker makes its clients before it asks for the database, which is not there."""
    properties = {"enable.ssl.certificate.verification": False, "socket.keepalive.enable": True, "fetch.min.bytes": 1,
                  "client.rack": "a"}  # fmt: skip
    manifests = chart.template(more={"kafka": {"properties": properties}})
    text = chart.find(manifests, "ConfigMap", "caseview-worker")["data"]["caseview.conf"]
    (tmp_path / "caseview.conf").write_text("\n".join(line for line in text.splitlines() if line.startswith("kafka = ")))
    worker = programs.Program(
        "worker",
        [programs.binary("caseview"), "worker", "--config", tmp_path / "caseview.conf", "--database", "host=/nonexistent",
         "--admin-listen", "127.0.0.1:0", "--schema-dir", chart.ROOT / "schemas/avro", "--log-format", "text"],
        tmp_path,
    )  # fmt: skip
    try:
        worker.wait_log("/nonexistent")
    finally:
        worker.kill()


def mounted(pod):
    """The files that a pod's first container finds below /etc/caseview, and where from."""
    volumes = {v["name"]: v for v in pod["spec"].get("volumes", [])}
    files = {}
    for mount in pod["spec"]["containers"][0].get("volumeMounts", []):
        volume = volumes[mount["name"]]
        source = volume.get("secret") or volume.get("configMap") or {}
        for item in source.get("items", []):
            files[f"{mount['mountPath']}/{item['path']}"] = source.get("secretName") or source["name"]
    return files


@pytest.mark.parametrize("values", CI)
def test_every_file_that_is_named_is_mounted(values):
    for manifest in chart.template(values):
        pod = chart.pod_of(manifest)
        if not pod or manifest["metadata"]["name"].endswith("status"):
            continue
        container = pod["spec"]["containers"][0]
        names = dict((name, (text, variables)) for name, text, variables in files_and_variables(values))
        text, variables = names[manifest["metadata"]["name"]]
        paths = re.findall(r"/etc/caseview/[-a-z]+/[^\s,]+", text + " " + " ".join(variables.values()))
        assert set(paths) <= set(mounted(pod)), container["name"]
        assert len({m["mountPath"] for m in container.get("volumeMounts", [])}) == len(container.get("volumeMounts", []))


def test_a_database_by_parts():
    manifests = chart.template("database")
    pod = chart.find(manifests, "StatefulSet", "caseview-worker")["spec"]["template"]
    variables = pod["spec"]["containers"][0]["env"]
    env = {e["name"]: e.get("value") or e["valueFrom"].get("secretKeyRef") for e in variables}
    assert "CASEVIEW_DATABASE" not in env and "PGPASSWORD" not in env
    assert (env["PGHOST"], env["PGPORT"], env["PGDATABASE"]) == ("db1.internal,db2.internal", "6432", "desk")
    assert env["PGUSER"] == {"name": "caseview-worker", "key": "username"}
    assert (env["PGSSLMODE"], env["PGSSLROOTCERT"]) == ("verify-full", "/etc/caseview/database-ca/root.pem")
    files = mounted(pod)
    assert files[env["PGSSLKEY"]] == files[env["PGSSLCERT"]] == "caseview-worker-tls"
    volume = next(v for v in pod["spec"]["volumes"] if v["name"] == "database-certificate")
    assert volume["secret"]["defaultMode"] == 0o440 and pod["spec"]["securityContext"]["fsGroup"] == 65532
    standby = chart.find(chart.template("database-standby"), "Deployment", "caseview-api")["spec"]["template"]["spec"]
    assert {"name": "PGHOST", "value": "standby.internal"} in standby["containers"][0]["env"]


def test_no_value_of_a_secret_is_in_a_manifest():
    """Secrets come from Secrets that exist; the chart makes none."""
    for values in CI:
        assert not [m for m in chart.template(values) if m["kind"] == "Secret"]


# --- network policies


def policy_of(manifests, name):
    return chart.find(manifests, "NetworkPolicy", name)["spec"]


def ports_of(rules):
    return [{(port["port"], port["protocol"]) for port in rule.get("ports", [])} for rule in rules]


def test_policies_cover_every_pod_and_its_ports():
    manifests = chart.template("network-policy", more={"rebuild": {"job": "prepare"}})
    policies = [m["spec"] for m in manifests if m["kind"] == "NetworkPolicy"]
    for manifest in manifests:
        pod = chart.pod_of(manifest)
        if not pod:
            continue
        labels = pod["metadata"]["labels"]
        mine = [p for p in policies if p["podSelector"]["matchLabels"].items() <= labels.items()]
        assert len(mine) == 1 and mine[0]["policyTypes"] == ["Ingress", "Egress"], manifest["metadata"]["name"]
        open_ports = {(p["containerPort"], p["protocol"]) for p in pod["spec"]["containers"][0].get("ports", [])}
        assert open_ports <= set().union(*ports_of(mine[0]["ingress"])), manifest["metadata"]["name"]
        assert {(53, "UDP"), (53, "TCP")} <= ports_of(mine[0]["egress"])[0]


def test_policies_reach_what_a_program_needs():
    """Without further values: anywhere, on the ports that the values name."""
    manifests = chart.template(
        more={
            "networkPolicy": {"enabled": True},
            "kafka": {"bootstrapServers": "a:9092, b:9093,[fd00::1]:9094,c"},
            "schemaRegistry": {"url": "http://registry:8081/apis/ccompat/v7"},
            "api": {"jwks": {"url": "https://login.example/keys"}},
        }
    )
    dns = {(53, "UDP"), (53, "TCP")}
    database = {(5432, "TCP")}
    kafka = {(9092, "TCP"), (9093, "TCP"), (9094, "TCP")}
    for name in ("caseview-worker", "caseview-rebuild", "caseview-status"):
        assert ports_of(policy_of(manifests, name)["egress"]) == [dns, database, kafka, {(8081, "TCP")}]
    assert ports_of(policy_of(manifests, "caseview-api")["egress"]) == [dns, database, {(443, "TCP")}]
    assert ports_of(policy_of(manifests, "caseview-migrate")["egress"]) == [dns, database]
    for name in ("caseview-worker", "caseview-api", "caseview-migrate"):
        assert not [rule for rule in policy_of(manifests, name)["egress"] if "to" in rule]
    assert ports_of(policy_of(manifests, "caseview-worker")["ingress"]) == [{(9464, "TCP")}]
    assert ports_of(policy_of(manifests, "caseview-api")["ingress"]) == [{(8080, "TCP")}, {(9465, "TCP")}]
    for name in ("caseview-migrate", "caseview-status"):
        assert policy_of(manifests, name)["ingress"] == []


def test_policies_name_the_peers_that_values_name():
    manifests = chart.template("network-policy")
    egress = policy_of(manifests, "caseview-worker")["egress"]
    assert egress[1] == {
        "ports": [{"port": 6432, "protocol": "TCP"}],
        "to": [{"ipBlock": {"cidr": "10.20.0.5/32"}}, {"ipBlock": {"cidr": "fd00:20::5/128"}}],
    }
    assert all("to" in rule for rule in egress)
    ingress = policy_of(manifests, "caseview-api")["ingress"]
    assert [rule["from"][0] for rule in ingress] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ingress"}}},
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},
        {"podSelector": {"matchLabels": {"app": "debug"}}},
    ]


# --- monitoring


def test_the_rules_are_rules_of_prometheus(tmp_path):
    for values, selector in (
        ("monitoring", 'namespace="desk",job=~"caseview-(worker|api)"'), ("pod-monitor", 'cluster="test",job=~"caseview.*"'),
    ):  # fmt: skip
        rules = chart.find(chart.template(values), "PrometheusRule", "caseview-rules")["spec"]
        file = tmp_path / f"{values}.json"
        file.write_text(json.dumps(rules))
        done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        text = file.read_text()
        assert "${" not in text and json.dumps(selector)[1:-1] in text
    assert chart.find(chart.template("monitoring"), "PrometheusRule", "caseview-rules")["spec"]["groups"]


def test_thresholds_are_those_of_the_values():
    def text(**thresholds):
        more = {"monitoring": {"thresholds": thresholds}}
        return json.dumps(chart.find(chart.template("pod-monitor", more=more), "PrometheusRule", "caseview-rules"))

    assert "> 12345" not in text() and "> 12345" in text(lagWarningSeconds=12345)


@pytest.mark.parametrize(("values", "kind"), [("monitoring", "ServiceMonitor"), ("pod-monitor", "PodMonitor")])
def test_monitors_find_the_programs_and_nothing_else(values, kind):
    manifests = chart.template(values, more={"rebuild": {"generation": 2, "job": "prepare"}})
    selector = chart.find(manifests, kind, "caseview-programs")["spec"]["selector"]
    if kind == "PodMonitor":
        candidates = {m["metadata"]["name"]: chart.pod_of(m)["metadata"]["labels"] for m in manifests if chart.pod_of(m)}
        for m in manifests:
            if m["kind"] == "Job":  # as Kubernetes labels the pods of a Job
                candidates[m["metadata"]["name"]]["batch.kubernetes.io/job-name"] = m["metadata"]["name"]
        wanted = {"caseview-worker", "caseview-rebuild-g2", "caseview-api"}
    else:
        candidates = {m["metadata"]["name"]: m["metadata"]["labels"] for m in manifests if m["kind"] == "Service"}
        wanted = {"caseview-worker", "caseview-rebuild-g2", "caseview-api-metrics"}
    assert {name for name, labels in candidates.items() if matches(selector, labels)} == wanted


def matches(selector, labels):
    if not selector["matchLabels"].items() <= labels.items():
        return False
    return all(
        e["key"] not in labels if e["operator"] == "DoesNotExist" else labels.get(e["key"]) in e["values"]
        for e in selector["matchExpressions"]
    )


def test_dashboards_have_the_label_of_grafana():
    files = sorted((chart.CHART / "files/dashboards").glob("*.json"))
    assert files
    usual = chart.template(more={"monitoring": {"dashboards": {"enabled": True}}})
    for file in files:
        name = f"caseview-{file.stem}-dashboard"
        config_map = chart.find(usual, "ConfigMap", name)
        assert config_map["metadata"]["labels"]["grafana_dashboard"] == "1"
        labels = chart.find(chart.template("monitoring"), "ConfigMap", name)["metadata"]["labels"]
        assert "grafana_dashboard" not in labels and labels["dashboards"] == "yes"
        assert json.loads(config_map["data"][f"caseview-{file.name}"]) == json.loads(file.read_text())


def test_without_an_api_no_rule_misses_it():
    def groups(values, more):
        rules = chart.find(chart.template(values, more=more), "PrometheusRule", "caseview-rules")
        return {group["name"] for group in rules["spec"]["groups"]}

    more = {"monitoring": {"prometheusRule": {"enabled": True}}}
    assert "caseview.api" in groups("default", more)
    assert groups("api-disabled", more) == groups("default", more) - {"caseview.api"}
