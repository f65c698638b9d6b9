"""Workers that come and go, pods that are killed, nodes that are drained or vanish."""

import contextlib
import signal

import pytest

from support.desk import Desk
from support.helm import Watched
from support.waiting import wait_for


@pytest.fixture(scope="module")
def release(make_release):
    release = make_release()
    release.own = {"worker": {"replicas": 1}}
    return release.install()


@pytest.fixture(scope="module")
def desk(release):
    with Desk(release.stack, pause_s=0.2) as desk:
        yield desk


def wait_owners(release, count):
    """As many workers as there are partitions own one each, or one owns all."""
    wait_for(lambda: len(release.owners()) == count, 60, f"{count} workers own the partitions", poll_s=0.1)


@pytest.mark.parametrize("before, after", [(1, 4), (4, 2)])
def test_scale(release, desk, report, before, after):
    assert len(release.pods("worker")) == before
    with Watched(release, desk) as seen:
        release.scale(after)
        wait_owners(release, after)
    report(f"scale {before} → {after} workers", seen.text())
    release.own = {"worker": {"replicas": after}}
    seen.callers.check()
    release.verify()


def test_kill_of_a_worker(release, desk, cluster, report):
    """SIGKILL: its place is taken by the same pod again, or by another one."""
    pod = release.wait_pods("worker", 2)[0]
    with Watched(release, desk) as seen:
        cluster.signal(pod, signal.SIGKILL)

        def again():
            (found,) = [p for p in release.pods("worker") if p["metadata"]["uid"] == pod["metadata"]["uid"]]
            return found["status"]["containerStatuses"][0]["restartCount"] > 0

        wait_for(again, 60, "the container is started again", poll_s=0.1)
        release.wait_pods("worker", 2)
        wait_owners(release, 2)
    report("SIGKILL of a worker", seen.text())
    seen.callers.check()
    release.verify()


def test_kill_of_an_api(release, desk, cluster, report):
    """Requests in flight on it fail; the others, and all later ones, do not."""
    pod = release.wait_pods("api", 2)[0]
    with Watched(release, desk) as seen:
        cluster.signal(pod, signal.SIGKILL)
        wait_for(lambda: release.cluster.get("pod", pod["metadata"]["name"], namespace=release.namespace)
                 ["status"]["containerStatuses"][0]["restartCount"] > 0, 60, "the container is started again", poll_s=0.1)  # fmt: skip
        release.wait_pods("api", 2)
    report("SIGKILL of an API", seen.text())
    assert seen.callers.answers() > 50
    with Watched(release, desk) as seen:
        wait_for(lambda: seen.callers.answers() > 200, 30, "requests are answered")
    seen.callers.check()


def test_drain_of_a_node(release, desk, cluster, report):
    """Evictions respect the budgets: no request fails."""
    try:
        with Watched(release, desk) as seen:
            cluster.kubectl("drain", "node2", "--ignore-daemonsets", "--timeout=120s", deadline_s=150)
            assert not release.pods("worker", on="node2") and not release.pods("api", on="node2")
            release.wait_pods("worker", 2)
            release.wait_pods("api", 2)
            wait_owners(release, 2)
    finally:
        cluster.kubectl("uncordon", "node2")
    report("drain of a node", seen.text())
    seen.callers.check()
    release.verify()


def test_node_vanishes(release, desk, cluster, report):
    """Its power fails: the workers of the other node take its partitions over; requests to its API fail until its
    address is no longer in the Service. When the node is back, so are its pods."""
    release.upgrade(values={"worker": {"podAnnotations": {"spread": "again"}}, "api": {"podAnnotations": {"spread": "again"}}})
    for component in ("worker", "api"):
        assert release.pods(component, on="node1") and release.pods(component, on="node2"), component
    with contextlib.ExitStack() as undo:
        undo.callback(cluster.node, 2, "start")
        with Watched(release, desk) as seen:
            cluster.node(2, "kill")
            wait_owners(release, 1)
            release.stack.wait_caught_up(120)
            wait_for(lambda: no_endpoint_on(release, "node2"), 60, "the Service has no address there", poll_s=0.2)
        report("node vanishes", seen.text())
        with Watched(release, desk) as later:
            wait_for(lambda: later.callers.answers() > 200, 30, "requests are answered")
        later.callers.check()
    release.wait_pods("worker", 2)
    release.wait_pods("api", 2)
    release.verify()


def no_endpoint_on(release, node):
    name = release.service()["metadata"]["name"]
    slices = release.cluster.items("endpointslices", release.namespace, f"kubernetes.io/service-name={name}")
    ready = [e["nodeName"] for s in slices for e in s["endpoints"] or [] if e["conditions"]["ready"]]
    return ready and node not in ready
