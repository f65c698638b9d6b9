"""Workers that come and go, pods that are killed, nodes that are drained or vanish."""

import contextlib
import signal
import time

import pytest

from support.helm import Watched
from support.waiting import PATIENCE, wait_for

LOST_S = 10  # how long after the death of a pod requests may be sent to it


@pytest.fixture(scope="module")
def release(make_release):
    release = make_release()
    release.own = {"worker": {"replicas": 1}}
    return release.install()


def run_workers(release, count):
    """Brings the release to so many workers, each with partitions."""
    if len(release.pods("worker")) != count:
        release.own = {"worker": {"replicas": count}}
        release.scale(count)
    wait_owners(release, count)


def wait_owners(release, count):
    """As many workers as there are partitions own one each, or one owns all."""
    wait_for(lambda: len(release.owners()) == count, 60, f"{count} workers own the partitions", poll_s=0.1)


def restart_pods(release, mark):
    """New pods for all components, one after the other."""
    annotations = {"podAnnotations": {"restarted": mark}}
    release.upgrade(values={"worker": annotations, "api": annotations})


def wait_restarted(release, pod):
    """The same pod's container runs again."""

    def again():
        found = release.cluster.get("pod", pod["metadata"]["name"], namespace=release.namespace)
        return found["metadata"]["uid"] == pod["metadata"]["uid"] and found["status"]["containerStatuses"][0]["restartCount"] > 0

    wait_for(again, 60, "the container is started again", poll_s=0.1)


def scale(release, desk, report, before, after):
    run_workers(release, before)
    with Watched(release, desk) as seen:
        release.scale(after)
        wait_owners(release, after)
    report(f"scale {before} → {after} workers", seen.text())
    release.own = {"worker": {"replicas": after}}
    seen.callers.check()
    release.verify()


def test_scale_up(release, desk, report):
    scale(release, desk, report, 1, 4)


def test_restart_of_four_workers(release, desk, report):
    """One after the other, by the StatefulSet."""
    run_workers(release, 4)
    with Watched(release, desk) as seen:
        release.upgrade(values={"worker": {"podAnnotations": {"restarted": "in turn"}}})
        wait_owners(release, 4)
    report("rolling restart of 4 workers", seen.text())
    seen.callers.check()
    release.verify()


def test_scale_down(release, desk, report):
    scale(release, desk, report, 4, 2)


def test_delete_of_a_worker_pod(release, desk, cluster, report):
    """Without a grace period: its successor has its name, and may start before it has ended."""
    run_workers(release, 2)
    old = release.wait_pods("worker", 2)[0]["metadata"]
    with Watched(release, desk) as seen:
        cluster.kubectl("delete", "pod", old["name"], "--grace-period=0", "--force", namespace=release.namespace)

        def replaced():
            found = cluster.get("pod", old["name"], namespace=release.namespace)
            return found and found["metadata"]["uid"] != old["uid"]

        wait_for(replaced, 60, "the pod has a successor", poll_s=0.1)
        release.wait_pods("worker", 2)
        wait_owners(release, 2)
    report("worker's pod deleted by force", seen.text())
    seen.callers.check()
    release.verify()


def test_kill_of_a_worker(release, desk, cluster, report):
    """SIGKILL: the same pod takes its partitions again, by new claims."""
    run_workers(release, 2)
    pod = release.wait_pods("worker", 2)[0]
    with Watched(release, desk) as seen:
        claims = release.claims(pod)
        assert claims
        cluster.signal(pod, signal.SIGKILL)
        wait_restarted(release, pod)
        release.wait_pods("worker", 2)

        def claimed_again():
            now = release.claims(pod)
            return set(now) == set(claims) and not set(now.values()) & set(claims.values())

        wait_for(claimed_again, 60, "its partitions are claimed again", poll_s=0.1)
    report("SIGKILL of a worker", seen.text())
    seen.callers.check()
    release.verify()


def test_kill_of_an_api(release, desk, cluster, report):
    """Requests on it, and those until the Service does without it, are lost; all others are answered."""
    pod = release.wait_pods("api", 2)[0]
    with Watched(release, desk) as seen:
        began = time.monotonic()
        cluster.signal(pod, signal.SIGKILL)
        wait_restarted(release, pod)
        release.wait_pods("api", 2)
        wait_for(lambda: seen.callers.answers() > 200, 30, "requests are answered")
    report("SIGKILL of an API", seen.text())
    seen.callers.check_answers()
    lost = seen.callers.lost()
    assert not lost or lost[-1][0] - began < LOST_S * PATIENCE, lost[-1]
    with Watched(release, desk) as later:
        wait_for(lambda: later.callers.answers() > 200, 30, "requests are answered")
    later.callers.check()
    release.verify()


def test_drain_of_a_node(release, desk, cluster, report):
    """All pods are there: evictions respect the budgets, so no request fails."""
    run_workers(release, 2)
    cluster.kubectl("cordon", "node1")
    try:
        restart_pods(release, "together")
        cluster.kubectl("uncordon", "node1")
        assert len(release.pods("worker", on="node2")) == len(release.pods("api", on="node2")) == 2
        wait_owners(release, 2)
        with Watched(release, desk) as seen:
            cluster.kubectl("drain", "node2", "--ignore-daemonsets", "--timeout=120s", deadline_s=150)
            assert not release.pods("worker", on="node2") and not release.pods("api", on="node2")
            release.wait_pods("worker", 2)
            release.wait_pods("api", 2)
            wait_owners(release, 2)
    finally:
        cluster.kubectl("uncordon", "node1", "node2")
    report("drain of a node", seen.text())
    seen.callers.check()
    release.verify()


def test_node_vanishes(release, desk, cluster, report):
    """Its power fails: the workers of the other node take its partitions over; requests to its API are lost until none is
    sent there any more. When the node is back, so are its pods."""
    run_workers(release, 2)
    restart_pods(release, "apart")
    for component in ("worker", "api"):
        assert release.pods(component, on="node1") and release.pods(component, on="node2"), component
    addresses = [pod["status"]["podIP"] for pod in release.pods("api", on="node2")]
    assert cluster.sends_to(addresses)
    with contextlib.ExitStack() as undo:
        undo.callback(cluster.node, 2, "start")
        with Watched(release, desk) as seen:
            cluster.node(2, "kill")
            wait_owners(release, 1)
            release.stack.wait_caught_up(120)
            wait_for(lambda: not cluster.sends_to(addresses), 60, "no request is sent there", poll_s=0.2)
        report("node vanishes", seen.text())
        seen.callers.check_answers(least=1)  # a connection to it waits for 10 s
        with Watched(release, desk) as later:
            wait_for(lambda: later.callers.answers() > 200, 30, "requests are answered")
        later.callers.check()
    release.wait_pods("worker", 2)
    release.wait_pods("api", 2)
    release.verify()
