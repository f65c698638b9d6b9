"""NetworkPolicy of the chart, enforced by kube-router for IPv4: what the parts need works, a foreign pod gets nothing."""

import pytest

from support.answers import check_answers
from support.waiting import Late, wait_for

ENDPOINT, WORKER_ADMIN, API_ADMIN, API_SERVER = 8080, 9464, 9465, 6443
MONITORING = "test-monitoring"


@pytest.fixture(scope="module")
def release(make_release, cluster):
    """Everything is named: peers of each direction."""
    release = make_release()
    servers = [{"ipBlock": {"cidr": f"{cluster.address}/32"}}]
    dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    dns["podSelector"] = {"matchLabels": {"k8s-app": "kube-dns"}}
    release.own = {
        "networkPolicy": {
            "enabled": True,
            "dns": {"to": [dns]},
            "kafka": {"to": servers},
            "postgresql": {"to": servers, "ports": [int(release.stack.postgres.port)]},
            "metrics": {"from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": MONITORING}}}]},
            # The machine outside, itself and through a Service (then it has the address of a node).
            "api": {"from": [{"ipBlock": {"cidr": "10.250.0.0/24"}}, {"podSelector": {"matchLabels": {"app": "caller"}}}]},
        }
    }
    return release.install()


@pytest.fixture(scope="module")
def places(release, cluster):
    """(address, port) of each thing that listens: a pod of each component, and the Service of the endpoint."""
    worker, api = (release.pods(component)[0]["status"]["podIP"] for component in ("worker", "api"))
    service = release.service()["spec"]
    return {
        "worker's admin port": (worker, WORKER_ADMIN),
        "endpoint": (api, ENDPOINT),
        "API's admin port": (api, API_ADMIN),
        "Service": (service["clusterIP"], service["ports"][0]["port"]),
    }


def reached(cluster, namespace, pod, places):
    return {name for name, place in places.items() if cluster.connects(namespace, pod, *place)}


def wait_reached(cluster, namespace, pod, places, expected):
    """A new pod is in the packet filter a moment after it runs."""
    last = {}

    def equal():
        last["reached"] = reached(cluster, namespace, pod, places)
        return last["reached"] == expected

    try:
        wait_for(equal, 20, f"{pod} reaches what it may")
    except Late:
        raise AssertionError(f"{pod} reaches {sorted(last['reached'])}, and should reach {sorted(expected)}") from None


def test_what_must_work_works(release, keys, tmp_path):
    """Migration, workers, API, probes; answers through the Service."""
    manifest = tmp_path / "manifest.json"
    release.stack.dev("simulate", "--events", 3000, "--seed", 7, "--manifest", manifest, deadline_s=60)
    release.stack.check()
    assert check_answers(manifest, keys, release.active_cases)[200] > 5


def test_helm_test_passes(release):
    """`caseview status --check` in a pod, with the rights that the policy gives it."""
    release.run("test", "--timeout", "60s")


def test_foreign_pods_reach_nothing(release, cluster, places):
    """One in the same namespace, and one in another."""
    cluster.start_client(release.namespace, "foreign")
    wait_reached(cluster, release.namespace, "foreign", places, set())
    with cluster.namespace("test-foreign") as other:
        cluster.start_client(other)
        wait_reached(cluster, other, "client", places, set())


def test_named_pods_reach_what_they_may(release, cluster, places):
    cluster.start_client(release.namespace, "caller")
    wait_reached(cluster, release.namespace, "caller", places, {"endpoint", "Service"})
    with cluster.namespace(MONITORING):
        cluster.start_client(MONITORING)
        wait_reached(cluster, MONITORING, "client", places, {"worker's admin port", "API's admin port"})


def test_parts_reach_only_their_servers(release, cluster, kafka):
    """A pod with the labels of `helm test`, whose policy has the egress of workers."""
    labels = {"app.kubernetes.io/name": "caseview", "app.kubernetes.io/instance": release.name}
    cluster.start_client(release.namespace, "part", **labels, **{"app.kubernetes.io/component": "status"})
    servers = {
        "Kafka": (cluster.address, kafka.PORT),
        "PostgreSQL": (cluster.address, release.stack.postgres.port),
        "API server": (cluster.address, API_SERVER),
        "endpoint": (release.pods("api")[0]["status"]["podIP"], ENDPOINT),
    }
    wait_reached(cluster, release.namespace, "part", servers, {"Kafka", "PostgreSQL"})
