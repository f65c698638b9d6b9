"""The chart is well formed: Helm 3 and 4 accept it with every file of ci/, the objects fit the schemas of Kubernetes 1.28 to
1.34 and of the operators, and nonsense is refused with a sentence."""

import functools
import json
import re
import subprocess

import pytest

from support import chart, venv

HELMS = (3, 4)
KUBERNETES = ("1.28", "1.29", "1.30", "1.31", "1.32", "1.33", "1.34")
CI = [path.name.removesuffix("-values.yaml") for path in chart.ci_values()]
CUSTOM = ("keda.sh", "monitoring.coreos.com")


@functools.lru_cache
def all_manifests():
    """Every different object of every file of ci/."""
    different = {json.dumps(m, sort_keys=True): m for values in CI for m in chart.template(values)}
    return list(different.values())


def is_custom(manifest):
    return manifest["apiVersion"].split("/")[0] in CUSTOM


def check(manifests, kind, *arguments):
    programs = venv.programs_of("static", chart.ROOT / "tests/static/requirements.txt")
    done = subprocess.run(
        [programs / "python", chart.ROOT / "tests/static/check_schemas.py", kind, *map(str, arguments)],
        input=json.dumps(manifests), capture_output=True, text=True,
    )  # fmt: skip
    return done.returncode, (done.stdout + done.stderr).strip()


@pytest.mark.parametrize("values", CI)
@pytest.mark.parametrize("version", HELMS)
def test_helm_lint_finds_nothing(version, values):
    done = chart.helm(version, "lint", "--strict", chart.CHART, "--values", chart.CHART / f"ci/{values}-values.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 chart(s) failed" in done.stdout and "[WARNING]" not in done.stdout


@pytest.mark.parametrize("values", CI)
def test_both_helms_render_the_same(values):
    """Helm writes hooks after the rest, in an order of its own."""
    rendered = [
        sorted(json.dumps(m, sort_keys=True) for m in chart.template(values, version=version)) for version in HELMS
    ]
    assert rendered[0] == rendered[1]


@pytest.mark.parametrize("version", KUBERNETES)
def test_objects_fit_the_strict_schemas_of_kubernetes(version):
    manifests = [manifest for manifest in all_manifests() if not is_custom(manifest)]
    code, output = check(manifests, "kubernetes", version)
    assert code == 0, output
    assert output == f"{len(manifests)} checks"


def test_objects_fit_the_definitions_of_the_operators():
    manifests = [manifest for manifest in all_manifests() if is_custom(manifest)]
    assert {m["kind"] for m in manifests} == {
        "ScaledObject", "TriggerAuthentication", "ServiceMonitor", "PodMonitor", "PrometheusRule",
    }  # fmt: skip
    code, output = check(manifests, "custom", *chart.custom_resource_files())
    assert code == 0, output
    assert output == f"{len(manifests)} checks"


def test_the_checks_of_schemas_find_an_unknown_field():
    """What the two tests before rely on."""
    worker = chart.find(chart.template(), "StatefulSet", "caseview-worker")
    worker["spec"]["replica"] = 1
    code, output = check([worker], "kubernetes", "1.28", "1.34")
    assert code == 1 and output.count("'replica' was unexpected") == 2
    scaled = chart.find(chart.template("autoscaling-kafka"), "ScaledObject", "caseview-worker")
    scaled["spec"]["triggers"][0]["metadat"] = {}
    code, output = check([scaled], "custom", *chart.custom_resource_files())
    assert code == 1 and "'metadat' was unexpected" in output


# Values over those of a file of ci/, and what the sentence must contain.
REFUSED = [
    ("default", {"workers": {}}, "additional properties 'workers' not allowed"),
    ("default", {"worker": {"replica": 2}}, "'replica' not allowed"),
    ("default", {"worker": {"replicas": "two"}}, "got string, want integer"),
    ("default", {"worker": {"replicas": -1}}, "/worker/replicas"),
    ("default", {"worker": {"generation": 0}}, "/worker/generation"),
    ("default", {"worker": {"autoscaling": {"minReplicas": 0}}}, "/worker/autoscaling/minReplicas"),
    ("default", {"worker": {"autoscaling": {"trigger": "cpu"}}}, "/worker/autoscaling/trigger"),
    ("default", {"worker": {"livenessProbe": {"exec": {"command": ["true"]}}}}, "/worker/livenessProbe"),
    ("default", {"worker": {"resources": {"limits": {"memory": "1 GB"}}}}, "/worker/resources/limits/memory"),
    ("default", {"worker": {"config": {"Gap_Alarm": 1}}}, "/worker/config"),
    ("default", {"worker": {"podLabels": {"pool": 1}}}, "/worker/podLabels/pool"),
    ("default", {"api": {"jwks": {"url": "login.example"}}}, "/api/jwks/url"),
    ("default", {"api": {"pdb": {"maxUnavailable": 0}}}, "/api/pdb/maxUnavailable"),
    ("default", {"image": {"digest": "0123"}}, "/image/digest"),
    ("default", {"kafka": {"sasl": {"mechanism": "GSSAPI"}}}, "/kafka/sasl/mechanism"),
    ("default", {"kafka": {"bootstrapServers": "a:9092 b:9092"}}, "/kafka/bootstrapServers"),
    ("default", {"schemaRegistry": {"url": "https://me:secret@registry"}}, "/schemaRegistry/url"),
    ("default", {"rebuild": {"job": "begin"}}, "/rebuild/job"),
    ("default", {"rebuild": {"worker": {"autoscaling": {"enabled": True}}}}, "'autoscaling' not allowed"),
    ("default", {"rebuild": {"worker": {"generation": 3}}}, "'generation' not allowed"),
    ("default", {"network": {"listenHost": "::"}}, "/network/listenHost"),
    ("default", {"networkPolicy": {"kafka": {"ports": [0]}}}, "/networkPolicy/kafka/ports/0"),
    ("default", {"fullnameOverride": "Desk"}, "/fullnameOverride"),
    ("default", {"kafka": {"bootstrapServers": ""}}, "kafka.bootstrapServers is required"),
    ("default", {"kafka": {"sasl": {"mechanism": "PLAIN"}}}, "kafka.sasl.existingSecret is required"),
    ("default", {"kafka": {"sasl": {"existingSecret": "s"}}}, "kafka.sasl.mechanism is required"),
    ("default", {"kafka": {"tls": {"certificateSecret": "s"}}}, "kafka.tls.enabled is false"),
    ("default", {"kafka": {"properties": {"bootstrap.servers": "x:1"}}}, "bootstrap.servers is set by the other"),
    ("kafka", {"kafka": {"properties": {"security.protocol": "ssl"}}}, "security.protocol is set by the other"),
    ("default", {"kafka": {"properties": {"sasl.password": "x"}}}, "CASEVIEW_KAFKA_SASL_PASSWORD"),
    ("default", {"kafka": {"properties": {"ssl.key.pem": "x"}}}, "ssl.key.pem is a secret"),
    ("default", {"kafka": {"properties": {"client.id": "a #b"}}}, "would not survive the file of options"),
    ("default", {"config": {"log-level": "a\nb"}}, "would not survive the file of options"),
    ("default", {"config": {"database": "host=x"}}, "config.database: this option is set by the value database"),
    ("default", {"worker": {"config": {"bulk-rate": 1}}}, "worker.config.bulk-rate: this option is set by the value"),
    ("default", {"api": {"config": {"listen": "x:1"}}}, "api.config.listen: this option is set by the value network"),
    ("default", {"database": {"worker": {"existingSecret": ""}}}, "database.worker.existingSecret is required"),
    ("default", {"database": {"owner": {"passwordKey": "p"}}}, "database.owner: key is a whole connection string"),
    ("default", {"database": {"reader": {"key": ""}}}, "database.reader: give key, or usernameKey"),
    ("default", {"database": {"reader": {"key": "", "usernameKey": "u"}}}, "usernameKey needs passwordKey"),
    (
        "default", {"database": {"owner": {"key": "", "usernameKey": "u", "passwordKey": "p"}}},
        "database.host is required",
    ),
    ("default", {"database": {"host": "db"}}, "database.host would not be used"),
    ("default", {"database": {"reader": {"host": "db"}}}, "database.reader.host would not be used"),
    ("default", {"ca": {"secret": "a", "configMap": "b"}}, "ca: give secret or configMap, not both"),
    ("schemas", {"schemaRegistry": {"existingSecret": "s"}}, "schemaRegistry: give url or existingSecret"),
    ("default", {"api": {"issuers": []}}, "api.issuers is required"),
    ("default", {"api": {"audiences": []}}, "api.audiences is required"),
    ("default", {"api": {"jwks": {"secret": "s"}}}, "api.jwks: exactly one of"),
    ("default", {"api": {"jwks": {"url": ""}}}, "api.jwks: exactly one of"),
    ("default", {"api": {"drainDelaySeconds": 25}}, "api.terminationGracePeriodSeconds must be at least 37"),
    ("default", {"worker": {"terminationGracePeriodSeconds": 30}}, "worker.terminationGracePeriodSeconds must be"),
    (
        "autoscaling-kafka", {"worker": {"autoscaling": {"minReplicas": 99}}},
        "minReplicas (99) is greater than maxReplicas (12)",
    ),
    ("api-autoscaling", {"api": {"autoscaling": {"maxReplicas": 1}}}, "minReplicas (3) is greater than maxReplicas (1)"),
    ("api-autoscaling", {"api": {"resources": {"requests": {"cpu": None}}}}, "requests.cpu, which is missing"),
    (
        "api-autoscaling", {"api": {"autoscaling": {"targetCPUUtilizationPercentage": None, "metrics": []}}},
        "api.autoscaling: give targetCPUUtilizationPercentage",
    ),
    (
        "autoscaling-prometheus", {"worker": {"autoscaling": {"prometheus": {"serverAddress": ""}}}},
        "serverAddress is required",
    ),
    (
        "autoscaling-kafka-own", {"worker": {"autoscaling": {"kafka": {"authenticationRef": None}}}},
        "worker.autoscaling.kafka.authenticationRef is required",
    ),
    ("autoscaling-kafka", {"worker": {"leaveGroup": False}}, "worker.leaveGroup is required"),
    ("default", {"api": {"service": {"nodePort": 30080}}}, "api.service.nodePort needs api.service.type NodePort"),
    (
        "default", {"api": {"service": {"type": "NodePort", "loadBalancerSourceRanges": ["10.0.0.0/8"]}}},
        "api.service.loadBalancerSourceRanges needs api.service.type LoadBalancer",
    ),
    (
        "rebuild", {"rebuild": {"worker": {"terminationGracePeriodSeconds": 5}}},
        "rebuild.worker.terminationGracePeriodSeconds must be at least 32",
    ),
    ("kafka", {"kafka": {"sasl": {"usernameKey": ""}}}, "/kafka/sasl/usernameKey"),
    ("kafka", {"kafka": {"tls": {"certificateKey": ""}}}, "/kafka/tls/certificateKey"),
    ("default", {"api": {"jwks": {"key": ""}}}, "/api/jwks/key"),
    ("rebuild-drop", {"rebuild": {"jobGeneration": None}}, "rebuild.jobGeneration is required with rebuild.job: drop"),
    ("rebuild-drop", {"rebuild": {"jobGeneration": 2}}, "generation 2 cannot be dropped"),
    ("rebuild-drop", {"rebuild": {"generation": 1}}, "generation 1 cannot be dropped"),
    ("rebuild-switch", {"rebuild": {"generation": None}}, "rebuild.jobGeneration is required with rebuild.job: switch"),
    ("rebuild-prepare", {"rebuild": {"jobGeneration": 2}}, "rebuild.jobGeneration would not be used: rebuild prepare"),
    ("default", {"rebuild": {"jobArguments": ["--json"]}}, "would not be used without rebuild.job"),
    ("default", {"rebuild": {"image": {"tag": "2"}}}, "rebuild.image would not be used"),
    ("schema-registry", {"networkPolicy": {"enabled": True}}, "networkPolicy.schemaRegistry.ports is required"),
    ("monitoring", {"monitoring": {"thresholds": {"lag": 1}}}, "monitoring.thresholds.lag: there is no such threshold"),
    ("monitoring", {"monitoring": {"podMonitor": {"enabled": True}}}, "would scrape each pod twice"),
]  # fmt: skip


@pytest.mark.parametrize("version", HELMS)
@pytest.mark.parametrize(
    ("values", "more", "sentence"), REFUSED, ids=[f"{n}-{s[:40]}" for n, (_, _, s) in enumerate(REFUSED)]
)
def test_nonsense_is_refused_with_a_sentence(version, values, more, sentence):
    with pytest.raises(chart.Refused, match="(?s)execution error|values don't meet the specifications") as refused:
        chart.template(values, version=version, more=more)
    assert sentence in str(refused.value)


def test_every_sentence_of_the_templates_is_tried():
    """The rows above bring each of them out."""
    texts = "\n".join(path.read_text() for path in sorted((chart.CHART / "templates").rglob("*.*")))
    sentences = re.findall(r'fail (?:\(printf )?"((?:[^"\\]|\\.)*)"', texts)
    assert len(sentences) == texts.count("{{- fail ") > 30
    said = []
    for values, more, sentence in REFUSED:
        if not sentence.startswith(("/", "'", "got ")):
            with pytest.raises(chart.Refused) as refused:
                chart.template(values, more=more)
            said.append(str(refused.value))
    untried = []
    for sentence in sentences:
        pattern = ".*".join(map(re.escape, re.split("%[sd]", sentence.replace('\\"', '"'))))
        if not any(re.search(pattern, text) for text in said):
            untried.append(sentence)
    assert untried == []
