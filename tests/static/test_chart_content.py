"""What the chart promises: names, selectors, security, autoscaling, hooks."""

import json
import re

import pytest
from pod_security import own_rules, violations

from support import chart

CI = [path.name.removesuffix("-values.yaml") for path in chart.ci_values()]
LONG = "a-release-whose-name-is-as-long-as-helm-allows-it-000"
SELECTOR = {"app.kubernetes.io/name": "caseview", "app.kubernetes.io/instance": "caseview"}
LONG_RUNNING = ("caseview-worker", "caseview-rebuild-g2", "caseview-api")


def names(manifests):
    return [(m["kind"], m["metadata"]["name"]) for m in manifests]


def pods(manifests):
    """Name of the object and its pod, for each that has one."""
    return [(m["metadata"]["name"], chart.pod_of(m)) for m in manifests if chart.pod_of(m)]


def containers(manifests):
    return [(name, pod["spec"]["containers"][0]) for name, pod in pods(manifests)]


# --- names and labels


def test_selectors_never_change():
    """A change here is an upgrade that Kubernetes refuses."""
    manifests = chart.template("rebuild")
    for kind, name, component, more in (
        ("StatefulSet", "caseview-worker", "worker", {}),
        ("Deployment", "caseview-api", "api", {}),
        ("StatefulSet", "caseview-rebuild-g2", "rebuild", {"caseview/generation": "2"}),
    ):
        selector = {**SELECTOR, "app.kubernetes.io/component": component, **more}
        spec = chart.find(manifests, kind, name)["spec"]
        assert spec["selector"] == {"matchLabels": selector}
        assert selector.items() <= spec["template"]["metadata"]["labels"].items()
        assert chart.find(manifests, "PodDisruptionBudget", name)["spec"]["selector"] == {"matchLabels": selector}
        assert chart.find(manifests, "Service", name)["spec"]["selector"] == selector
        if kind == "StatefulSet":
            assert spec["serviceName"] == name
            assert spec["podManagementPolicy"] == "Parallel"
            assert "volumeClaimTemplates" not in spec


def test_selectors_of_one_program_match_no_other():
    """Neither the pod of a Job nor of another component counts for a budget, a Service or a StatefulSet."""
    manifests = chart.template("rebuild-prepare")
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(manifests)}
    for manifest in manifests:
        if manifest["kind"] in ("Service", "PodDisruptionBudget", "StatefulSet", "Deployment"):
            selector = manifest["spec"]["selector"]
            selector = selector.get("matchLabels", selector)
            matching = [name for name, of_pod in labels.items() if selector.items() <= of_pod.items()]
            assert matching == [manifest["metadata"]["name"].removesuffix("-metrics")]


@pytest.mark.parametrize("release", [LONG, "1.2.caseview"])
@pytest.mark.parametrize("values", ["pods", "monitoring", "autoscaling-kafka", "network-policy", "rebuild-compare"])
def test_names_stay_within_the_limits(values, release):
    assert len(LONG) == 53
    more = {"rebuild": {"generation": 1000000}} if "rebuild" in chart.values_of(values) else {}
    manifests = chart.template(values, release=release, more=more)
    limits = {"StatefulSet": 52, "Service": 63, "Job": 63, "Deployment": 63}
    for kind, name in names(manifests):
        assert len(name) <= limits.get(kind, 253), (kind, name)
        assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    for manifest in manifests:
        for labelled in filter(None, (manifest, chart.pod_of(manifest))):
            for key, value in labelled["metadata"].get("labels", {}).items():
                assert re.fullmatch(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?", value), (key, value)


@pytest.mark.parametrize(
    "releases",
    [("one", "other"), ("caseview", "caseview-worker"), ("caseview", "caseview-api"), ("caseview", "caseview-rebuild"),
     (LONG, LONG[:-1] + "1"), (LONG[:36], LONG[:37]), ("a.b", "a-b"), ("1st", "r1st")],
)  # fmt: skip
@pytest.mark.parametrize("values", ["rebuild-status", "monitoring", "network-policy", "autoscaling-kafka"])
def test_two_releases_in_a_namespace_share_no_object(values, releases):
    one, other = (set(names(chart.template(values, release=release))) for release in releases)
    assert len(one) > 8 and not one & other


def test_every_object_is_in_the_namespace_of_the_release():
    for values in CI:
        for manifest in chart.template(values, namespace="elsewhere"):
            if values != "extra-manifests":
                assert manifest["metadata"]["namespace"] == "elsewhere"


def test_common_labels_and_annotations_are_everywhere():
    for manifest in chart.template("names", more={"monitoring": {"serviceMonitor": {"enabled": True}}}):
        assert manifest["metadata"]["labels"]["team"] == "desk"
        assert manifest["metadata"]["annotations"]["example.org/owner"] == "desk"
        pod = chart.pod_of(manifest)
        assert pod is None or pod["metadata"]["labels"]["team"] == "desk"


# --- pods


@pytest.mark.parametrize("values", CI)
def test_every_pod_is_restricted(values):
    found = pods(chart.template(values))
    assert len(found) >= 2
    for name, pod in found:
        assert [*violations(pod), *own_rules(pod)] == [], name


def test_the_checker_of_restricted_pods_sees_violations():
    _, pod = pods(chart.template("pods"))[0]
    bad = json.loads(json.dumps(pod))
    bad["spec"]["containers"][0]["securityContext"] = {"privileged": True, "readOnlyRootFilesystem": False}
    bad["spec"]["securityContext"] = {}
    bad["spec"]["hostNetwork"] = True
    bad["spec"]["volumes"].append({"name": "node", "hostPath": {"path": "/"}})
    assert len([*violations(bad)]) >= 9 and len([*own_rules(bad)]) == 1


@pytest.mark.parametrize("values", ["names", "image-digest", "rebuild", "pods"])
def test_all_programs_have_one_image(values):
    image = {
        "names": "registry.internal/desk/caseview:1.0",
        "image-digest": "registry.internal/desk/caseview@sha256:" + "0123456789abcdef" * 4,
        "rebuild": "localhost/caseview:0.1.0",
        "pods": "localhost/caseview:0.1.0",
    }[values]
    found = {name: container["image"] for name, container in containers(chart.template(values))}
    if values == "rebuild":  # a generation for another version
        assert found.pop("caseview-rebuild-g2") == found.pop("caseview-migrate") == "localhost/caseview:0.2.0"
    assert set(found.values()) == {image}
    texts = [path.read_text() for path in (chart.CHART / "templates").rglob("*.*")]
    assert sum(len(re.findall(r"\bimage:", text)) for text in texts) == 1


def test_ports_of_probes_services_and_monitors_exist():
    for values in CI:
        manifests = chart.template(values)
        ports = {}
        for name, container in containers(manifests):
            ports[name] = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert container.get(probe, {}).get("httpGet", {}).get("port", "admin") == "admin"
        assert ports["caseview-worker" if values != "names" else "desk-worker"] == {"admin": 9464}
        for manifest in manifests:
            if manifest["kind"] == "Service":
                for port in manifest["spec"]["ports"]:
                    assert port["targetPort"] in ports[manifest["metadata"]["name"].removesuffix("-metrics")]


def test_checksums_follow_the_configuration_of_each_program():
    def sums(**more):
        found = dict(pods(chart.template("rebuild", more=more)))
        return {name: found[name]["metadata"]["annotations"]["checksum/config"] for name in LONG_RUNNING}

    before = sums()

    def changed(**more):
        after = sums(**more)
        return {name for name in LONG_RUNNING if before[name] != after[name]}

    assert changed(config={"log-level": "debug"}) == set(LONG_RUNNING)
    assert changed(kafka={"properties": {"client.rack": "a"}}) == {"caseview-worker", "caseview-rebuild-g2"}
    assert changed(worker={"config": {"gap-alarm-s": 5}}) == {"caseview-worker", "caseview-rebuild-g2"}
    assert changed(api={"config": {"threads": 5}}) == {"caseview-api"}
    assert changed(rebuild={"bulkRate": 7}) == {"caseview-rebuild-g2"}
    assert changed(worker={"replicas": 5}) == set()


# --- scaling


def test_replicas_are_left_out_while_an_autoscaler_has_them():
    for values, kind, name in (
        ("autoscaling-kafka", "StatefulSet", "caseview-worker"),
        ("autoscaling-prometheus", "StatefulSet", "caseview-worker"),
        ("api-autoscaling", "Deployment", "caseview-api"),
    ):
        assert "replicas" not in chart.find(chart.template(values), kind, name)["spec"]
        assert chart.find(chart.template(), kind, name)["spec"]["replicas"] == 2
    manifests = chart.template("autoscaling-kafka", more={"rebuild": {"generation": 2}})
    assert chart.find(manifests, "StatefulSet", "caseview-rebuild-g2")["spec"]["replicas"] == 1


def test_scaling_by_kafka():
    manifests = chart.template("autoscaling-kafka")
    scaled = chart.find(manifests, "ScaledObject", "caseview-worker")
    assert scaled["spec"]["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "caseview-worker"}
    assert (scaled["spec"]["minReplicaCount"], scaled["spec"]["maxReplicaCount"]) == (2, 12)
    assert "idleReplicaCount" not in scaled["spec"]
    trigger = scaled["spec"]["triggers"][0]
    assert trigger["type"] == "kafka" and trigger["authenticationRef"] == {"name": "caseview-worker"}
    assert trigger["metadata"] == {
        "bootstrapServers": "kafka.kafka.svc:9092", "consumerGroup": "caseview-g1", "lagThreshold": "20000",
        "offsetResetPolicy": "earliest", "excludePersistentLag": "true", "allowIdleConsumers": "false",
        "limitToPartitionsWithLag": "false", "version": "2.6.0", "sasl": "scram_sha512", "tls": "enable",
    }  # fmt: skip
    secrets = chart.find(manifests, "TriggerAuthentication", "caseview-worker")["spec"]["secretTargetRef"]
    assert [(s["parameter"], s["name"], s["key"]) for s in secrets] == [
        ("username", "caseview-kafka", "username"), ("password", "caseview-kafka", "password"),
        ("ca", "kafka-cluster-ca-cert", "ca.crt"),
    ]  # fmt: skip
    env = {e["name"]: e.get("value") for e in dict(containers(manifests))["caseview-worker"]["env"]}
    assert env["CASEVIEW_GROUP_ID"] == trigger["metadata"]["consumerGroup"]


def test_scaling_by_prometheus():
    more = {"worker": {"autoscaling": {"prometheus": {"query": ""}}}}
    manifests = chart.template("autoscaling-prometheus", more=more)
    trigger = chart.find(manifests, "ScaledObject", "caseview-worker")["spec"]["triggers"][0]
    assert trigger["metadata"]["ignoreNullValues"] == "false"
    assert trigger["metadata"]["query"] == 'max(caseview_lag_seconds{namespace="desk",pod=~"caseview-worker-[0-9]+"})'
    assert trigger["metadata"]["threshold"] == "20"


def test_a_deployment_that_is_recreated_has_no_rolling_update():
    """Kubernetes refuses that, and the chart's default has one."""
    manifests = chart.template(more={"api": {"updateStrategy": {"type": "Recreate"}}})
    assert chart.find(manifests, "Deployment", "caseview-api")["spec"]["strategy"] == {"type": "Recreate"}


def test_members_are_static_and_leave_unless_asked_otherwise():
    def membership(values):
        env = {e["name"]: e for e in dict(containers(chart.template(values)))["caseview-worker"]["env"]}
        name = env.get("CASEVIEW_GROUP_INSTANCE_ID", {}).get("valueFrom")
        return name and name["fieldRef"]["fieldPath"], env.get("CASEVIEW_LEAVE_GROUP", {}).get("value")

    assert membership("default") == ("metadata.name", "on")
    assert membership("static-membership") == ("metadata.name", None)
    assert membership("dynamic-membership") == (None, None)


# --- hooks


@pytest.mark.parametrize("values", CI)
def test_the_migration_needs_no_object_of_the_chart(values):
    """It runs before they exist, and before they have their new content."""
    manifests = chart.template(values)
    hooks = [m for m in manifests if "pre-install" in m["metadata"].get("annotations", {}).get("helm.sh/hook", "")]
    assert (values == "no-hook") == (hooks == [])
    weights = {m["kind"]: int(m["metadata"]["annotations"]["helm.sh/hook-weight"]) for m in hooks}
    assert set(weights) <= {"Job", "NetworkPolicy"} and weights.get("NetworkPolicy", -1) < weights.get("Job", 0)
    own = {m["metadata"]["name"] for m in manifests if m["kind"] in ("ConfigMap", "Secret", "ServiceAccount")}
    for manifest in hooks:
        annotations = manifest["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert "before-hook-creation" in annotations["helm.sh/hook-delete-policy"].split(",")
        text = json.dumps(manifest["spec"])
        assert not [name for name in own if f'"{name}"' in text]


def test_rebuild_commands():
    expected = {
        "start": ["start", "--carry-over"], "status": ["status"], "prepare": ["prepare"],
        "compare": ["compare", "--limit", "20"], "switch": ["switch", "2", "--regrant"], "abort": ["abort"],
        "back": ["switch", "1"], "drop": ["drop", "1"],
    }  # fmt: skip
    for values, words in expected.items():
        job = chart.find(chart.template(f"rebuild-{values}"), "Job", f"caseview-rebuild-{words[0]}")
        container = job["spec"]["template"]["spec"]["containers"][0]
        assert container["command"] == ["/usr/bin/caseview", "rebuild", *words]
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "post-install,post-upgrade"
        key = {e["name"]: e for e in container["env"]}["CASEVIEW_DATABASE"]["valueFrom"]["secretKeyRef"]["key"]
        assert key == ("worker" if words[0] in ("status", "compare") else "owner")


def test_generations_have_workers_and_groups_of_their_own():
    env = {
        name: {e["name"]: e.get("value") for e in container["env"]}
        for name, container in containers(chart.template("rebuild"))
    }
    assert env["caseview-worker"]["CASEVIEW_GENERATION"] == "1"
    assert env["caseview-worker"]["CASEVIEW_GROUP_ID"] == "caseview-g1"
    assert env["caseview-rebuild-g2"]["CASEVIEW_GENERATION"] == "2"
    assert env["caseview-rebuild-g2"]["CASEVIEW_GROUP_ID"] == "caseview-g2"
    for name in ("caseview-migrate", "caseview-api", "caseview-status"):
        assert "CASEVIEW_GENERATION" not in env[name]
