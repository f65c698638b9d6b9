"""One cluster for all tests, with the servers outside of it; a release of the chart for each file; the figures."""

import contextlib
import itertools
import subprocess

import pytest

from support import kube
from support.chart import tool
from support.desk import Desk
from support.helm import Release
from support.kafka import fresh_topics
from support.stack import Stack
from support.tokens import Keys

FIGURES = []
NUMBERS = itertools.count(1)
namespaces = []  # of the release at hand


def pytest_terminal_summary(terminalreporter):
    if FIGURES:
        terminalreporter.section("time without progress of the worst partition, and requests")
        for line in FIGURES:
            terminalreporter.line(line)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    cluster = item.funcargs.get("cluster")
    if report.failed and cluster:
        try:
            report.sections += cluster.diagnosis(namespaces)
        except (AssertionError, subprocess.TimeoutExpired) as failure:
            report.sections.append(("no diagnosis", str(failure)))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Two nodes; from here on all tests are in the network of the machine outside."""
    running = kube.Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        running.start()
        with kube.inside(running.network):
            archive = kube.build_image("test")
            for tag in ("test", "next"):  # the same programs under another name: an upgrade that starts new pods
                running.load(f"localhost/caseview:{tag}", archive)
            yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def kafka(cluster, tmp_path_factory):
    broker = kube.OutsideKafka(tmp_path_factory.mktemp("kafka"), cluster.address)
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def postgres(cluster, tmp_path_factory):
    server = kube.OutsidePostgres(tmp_path_factory.mktemp("postgres"), cluster.address, cluster.variables["PODS"])
    yield server
    server.close()


@pytest.fixture(scope="session")
def helm():
    return tool("helm3")


@pytest.fixture(scope="session")
def helm4():
    return tool("helm4")


@pytest.fixture(scope="session")
def keys():
    return Keys()


@pytest.fixture(scope="module")
def make_release(cluster, helm, postgres, schemas, kafka, keys, tmp_path_factory):
    """make_release(name=…, namespace=…, by=…): not installed yet; with a database and topics of its own. Removed at the end. by: a
    Helm that is not Helm 3."""
    with contextlib.ExitStack() as undo:

        def make(name="caseview", namespace=None, by=helm):
            if namespace is None:
                namespace = f"test-{next(NUMBERS)}"
                cluster.create_namespace(namespace)
                namespaces[:] = [namespace]
                undo.callback(cluster.delete_namespace, namespace)
            stack = Stack(postgres, kafka, schemas, tmp_path_factory.mktemp(name[:20]), fresh_topics())
            undo.callback(stack.close)
            stack.create_topics()
            release = Release(cluster, by, stack, keys, namespace, name)
            undo.callback(release.uninstall)
            return release

        yield make


@pytest.fixture(scope="module")
def desk(release):
    """An agent of the file's release, whose cases change all the time."""
    with Desk(release.stack, pause_s=0.2) as desk:
        yield desk


@pytest.fixture
def report(request):
    """report(what, text): a line of the summary."""
    return lambda what, text: FIGURES.append(f"{what:<44} {text}")
