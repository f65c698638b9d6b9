"""A real Kubernetes of two nodes, run by deploy/kubernetes/cluster, and the servers next to it that its pods use."""

import base64
import contextlib
import ctypes
import ipaddress
import json
import os
import pathlib
import subprocess

from .kafka import ROOT, ApacheKafka, ServerMissing, deploy
from .postgres import Postgres
from .waiting import PATIENCE, wait_for

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
SCRIPT = "kubernetes/cluster"
LOG_LINES = 60


class Failed(AssertionError):
    """A command against the cluster failed."""


def run(*argv, stdin=None, check=True, deadline_s=60):
    done = subprocess.run(
        [str(a) for a in argv], input=stdin or "", capture_output=True, text=True, timeout=deadline_s * PATIENCE
    )
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(map(str, argv[:6]))} …: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


@contextlib.contextmanager
def inside(network):
    """This thread, and the threads and processes that it starts from now on, are in that network."""
    with open("/proc/thread-self/ns/net") as own, open(network) as other:

        def enter(file):
            if LIBC.setns(file.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"entering {network}")

        enter(other)
        try:
            yield
        finally:
            enter(own)


class Cluster:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def start(self):
        deploy(SCRIPT, "start", self.folder)
        lines = deploy(SCRIPT, "env", self.folder).splitlines()
        self.variables = dict(line.split("=", 1) for line in lines)
        self.address, self.network = self.variables["ADDRESS"], self.variables["NETWORK"]

    def stop(self):
        deploy(SCRIPT, "stop", self.folder)

    def load(self, name, archive):
        deploy(SCRIPT, "load", self.folder, name, archive)

    def node(self, number, *what):
        return deploy(SCRIPT, "node", self.folder, number, *what)

    def sends_to(self, addresses):
        """Whether the rules of node 1, by which requests from outside reach the Services, still name one of these: kube-proxy
        writes them a moment after the EndpointSlices have changed."""
        rules = self.node(1, "run", "iptables-save", "-t", "nat")
        return any(f"--to-destination {address}:" in rules for address in addresses)

    # --- kubectl; only in the network of the cluster

    def kubectl(self, *args, namespace=None, **options):
        where = ["-n", namespace] if namespace else []
        return run(self.variables["KUBECTL"], "--kubeconfig", self.variables["KUBECONFIG"], *where, *args, **options)

    def get(self, *args, namespace=None, **options):
        """What `kubectl get … -o json` prints; None when there is no such object."""
        done = self.kubectl("get", "--ignore-not-found", "-o", "json", *args, namespace=namespace, **options)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def items(self, kind, namespace, selector=None):
        return self.get(kind, *(["-l", selector] if selector else []), namespace=namespace)["items"]

    def apply(self, *objects, namespace=None):
        self.kubectl("apply", "-f", "-", namespace=namespace, stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))

    def create_namespace(self, name):
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})

    def delete_namespace(self, name):
        self.kubectl("delete", "namespace", name, "--ignore-not-found", deadline_s=120)

    @contextlib.contextmanager
    def namespace(self, name):
        """One that is deleted at the end."""
        self.create_namespace(name)
        try:
            yield name
        finally:
            self.delete_namespace(name)

    def secret(self, namespace, name, **values):
        data = {k: base64.b64encode(v.encode()).decode() for k, v in values.items()}
        self.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}, namespace=namespace)

    def config_map(self, namespace, name, **values):
        self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": values}, namespace=namespace)

    def pods(self, namespace, selector=None, on=None):
        """Those that are not being deleted."""
        found = [p for p in self.items("pods", namespace, selector) if "deletionTimestamp" not in p["metadata"]]
        return [p for p in found if on is None or p["spec"].get("nodeName") == on]

    def wait_pods(self, namespace, selector, count, deadline_s=90):
        """Waits until there are that many of them, all ready and no other left."""

        def settled():
            found = self.items("pods", namespace, selector)
            return len(found) == count and all(map(is_ready, found)) and found

        return wait_for(settled, deadline_s, f"{count} pods {selector} in {namespace} are ready", poll_s=0.2)

    def connects(self, namespace, pod, address, port, seconds=2):
        """Whether that pod of the pause image can open a connection."""
        done = self.kubectl(
            "exec", pod, "--", "/pause", "connect", address, port, seconds, namespace=namespace, check=False
        )
        if done.returncode not in (0, 1) or not done.stdout.strip():
            raise Failed(f"connect in {pod}: {done.stdout}{done.stderr}")
        return done.returncode == 0

    def start_client(self, namespace, name="client", **labels):
        """A pod that runs nothing and can connect()."""
        container = {
            "name": "client",
            "image": "localhost/pause:1",
            "imagePullPolicy": "Never",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "labels": {"app": name, **labels}},
                "spec": {
                    "containers": [container],
                    "securityContext": security,
                    "automountServiceAccountToken": False,
                    "terminationGracePeriodSeconds": 1,
                },
            },
            namespace=namespace,
        )
        self.wait_pods(namespace, f"app={name}", 1)

    def signal(self, pod, number):
        """Sends a signal to the processes of a pod's containers, from outside, as the kernel does when memory is short."""
        hits = 0
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"pod{pod['metadata']['uid']}" in (process / "cgroup").read_text() and program(process) != "/pause":
                    os.kill(int(process.name), number)
                    hits += 1
        assert hits, f"pod {pod['metadata']['name']} has no process"

    def diagnosis(self, namespaces):
        """What a failed test shows: objects, events, the end of each pod's log."""
        parts = [("nodes and pods", ("get", "nodes,pods", "-A", "-o", "wide"))]
        for namespace in namespaces:
            parts.append((f"objects in {namespace}", ("-n", namespace, "get", "all,pdb,networkpolicy")))
            parts.append((f"events in {namespace}", ("-n", namespace, "get", "events", "--sort-by=.lastTimestamp")))
            for pod in self.items("pods", namespace):
                name = pod["metadata"]["name"]
                for previous in ([], ["--previous"]):
                    words = ("-n", namespace, "logs", name, "--all-containers", f"--tail={LOG_LINES}", *previous)
                    parts.append((" ".join(["log of", name, *previous]), words))
        for title, words in parts:
            done = self.kubectl(*words, check=False)
            if done.stdout.strip():
                yield title, done.stdout[-8000:]


def program(process):
    try:
        return os.readlink(process / "exe")
    except OSError:
        return None


def is_ready(pod):
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def at(address, port):
    """HOST:PORT, with brackets for IPv6."""
    return f"[{address}]:{port}" if ipaddress.ip_address(address).version == 6 else f"{address}:{port}"


class OutsideKafka(ApacheKafka):
    """One broker on the machine outside, at an address that pods reach. Only in the network of the cluster."""

    PORT = 9092

    def __init__(self, folder, address):
        self.where = f"{address}:{self.PORT}"
        super().__init__(folder)
        self.bootstrap = self.where

    def start(self):
        self.ports = [self.where]
        try:
            super().start()
        except ServerMissing:
            self.stop()  # one that came up too late
            raise


class OutsidePostgres(Postgres):
    """The same of PostgreSQL: the tests use its socket, pods a password."""

    LOGINS = {"owner": "", "worker": "IN ROLE caseview_worker", "reader": "IN ROLE caseview_reader"}

    def __init__(self, folder, address, network):
        self.folder = pathlib.Path(folder)
        self.address, self.user = address, "postgres"
        self.process = "deploy/cluster"  # it runs
        deploy("cluster", "start", self.folder, address, network)
        self.port = (self.folder / "port").read_text().strip()
        self.password = (self.folder / "password").read_text().strip()
        # What an administrator does before the first installation.
        statements = ["CREATE ROLE caseview_worker; CREATE ROLE caseview_reader"]
        statements += [f"CREATE ROLE {name} LOGIN PASSWORD '{self.password}' {rest}" for name, rest in self.LOGINS.items()]
        self.query("postgres", "; ".join(statements))

    def create_database(self):
        database = super().create_database()
        self.query("postgres", f"ALTER DATABASE {database.name} OWNER TO owner")
        return database

    def for_pods(self, database, login):
        return f"host={self.address} port={self.port} dbname={database} user={login} password={self.password}"

    def close(self):
        deploy("cluster", "remove", self.folder)


def build_image(tag):
    """The path of the archive of localhost/caseview:TAG."""
    deploy("image/build", tag)
    return ROOT / f"build/image/caseview-{tag}.tar"
