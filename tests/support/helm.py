"""A release of the chart in a namespace of the cluster, over the database and topics of one stack."""

import contextlib
import json
import pathlib

import requests

from . import kube, programs, tokens
from .chart import CHART, merged
from .continuity import Callers, Progress
from .waiting import PATIENCE, Late, wait_for


class Release:
    def __init__(self, cluster, helm, stack, keys, namespace, name):
        self.cluster, self.helm, self.stack, self.keys = cluster, helm, stack, keys
        self.namespace, self.name = namespace, name
        self.secret = f"database-{stack.number}"
        self.own = {}  # values of this release that are not the tests' usual ones
        self.write_secret()
        cluster.config_map(namespace, "keys", **{"jwks.json": json.dumps(keys.set())})

    def write_secret(self, **logins):
        postgres, database = self.stack.postgres, self.stack.database.name
        usual = {key: postgres.for_pods(database, key) for key in postgres.LOGINS}
        self.cluster.secret(self.namespace, self.secret, **{**usual, **logins})

    def values(self):
        roles = ("owner", "worker", "reader")
        return merged(
            {
                "image": {"tag": "test"},
                "database": {role: {"existingSecret": self.secret} for role in roles},
                "kafka": {
                    "bootstrapServers": self.stack.broker.bootstrap,
                    "groupPrefix": self.stack.database.name,
                    "topics": {role: self.stack.topics.name(role) for role in ("case", "agent", "directory")},
                },
                "worker": {"resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}},
                "api": {
                    "issuers": [tokens.ISSUER],
                    "audiences": [tokens.AUDIENCE],
                    "jwks": {"configMap": "keys"},
                    "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}},
                },
            },
            self.own,
        )

    # --- helm

    def run(self, command, *options, values=None, deadline_s=180):
        """A command with the release's values, over them those that are given."""
        file = pathlib.Path(self.stack.folder) / "values.json"
        given = []
        if values is not None:
            file.write_text(json.dumps(merged(self.values(), values)))
            given = [CHART, "--values", file]
        where = ["--namespace", self.namespace, "--kubeconfig", self.cluster.variables["KUBECONFIG"]]
        return kube.run(self.helm, command, self.name, *given, *where, *options, deadline_s=deadline_s)

    def install(self, *options, values=(), **rest):
        """Until the Service answers: kube-proxy follows a moment after pods are ready."""
        self.run("install", "--wait", "--timeout", "170s", *options, values=dict(values), **rest)
        wait_for(self.answers, 30, f"the Service of {self.name} answers", poll_s=0.2)
        return self

    def answers(self):
        with contextlib.suppress(requests.RequestException):
            return requests.get(self.url, timeout=2).status_code > 0
        return False

    def upgrade(self, *options, values=(), **rest):
        return self.run("upgrade", "--wait", "--timeout", "170s", *options, values=dict(values), **rest)

    def uninstall(self):
        self.run("uninstall", "--ignore-not-found", "--wait", "--timeout", "100s")

    def revision(self):
        """(number, status) of the latest one."""
        done = self.run("status", "--output", "json")
        found = json.loads(done.stdout)
        return found["version"], found["info"]["status"]

    # --- what runs

    def selector(self, component):
        return f"app.kubernetes.io/instance={self.name},app.kubernetes.io/component={component}"

    def pods(self, component, on=None):
        return self.cluster.pods(self.namespace, self.selector(component), on)

    def names(self, component):
        return {(p["metadata"]["name"], p["metadata"]["uid"]) for p in self.pods(component)}

    def wait_pods(self, component, count, deadline_s=90):
        return self.cluster.wait_pods(self.namespace, self.selector(component), count, deadline_s)

    def service(self):
        """The one of the endpoint."""
        (found,) = [
            s
            for s in self.cluster.items("services", self.namespace, self.selector("api"))
            if s["spec"]["clusterIP"] != "None"
        ]
        return found

    @property
    def url(self):
        spec = self.service()["spec"]
        return f"http://{kube.at(spec['clusterIP'], spec['ports'][0]['port'])}"

    def active_cases(self, application, user, token):
        """As programs.Api does, through the Service."""
        url = f"{self.url}/{application}/agents/{user}/activeCases"
        return requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10)

    def scale(self, replicas):
        self.upgrade(values={"worker": {"replicas": replicas}})
        self.wait_pods("worker", replicas)

    # --- checks

    def verify(self):
        """Each event of the log counts exactly once in the rows: `caseview verify` finds no difference."""
        self.stack.wait_caught_up(120)
        where = ["--database", self.stack.database.conninfo, "--schema-dir", self.stack.schemas.folder]
        options = [*where, *self.stack.kafka(), *self.stack.names()]

        def equal():
            last["done"] = programs.caseview("verify", *options, deadline_s=120)
            return last["done"].returncode == 0

        last = {}
        try:
            wait_for(equal, 30, "no difference", poll_s=1)
        except Late:
            raise AssertionError(f"verify: {last['done'].stdout}{last['done'].stderr}") from None

    def owners(self):
        """The workers that own the partitions of the case topic, as the cursors name them."""
        rows = self.stack.database.query(
            "SELECT DISTINCT owner FROM ctl.cursor WHERE topic = %s AND owner IS NOT NULL", (self.stack.topics.case,)
        )
        return {row[0] for row in rows}

    def claims(self, pod):
        """{partition: claim} of those partitions of the case topic that this pod's worker owns."""
        rows = self.stack.database.query(
            "SELECT part, claim::text FROM ctl.cursor WHERE topic = %s AND owner LIKE %s",
            (self.stack.topics.case, f"%@{pod['metadata']['name']}:%"),
        )
        return dict(rows)


class Watched:
    """Traffic, requests and cursors during one scenario: `with Watched(release, desk) as seen: …`. A partition without
    progress for STALLED_S waits for a time-out that a hand-over does not need: of a static member, of a rebalance."""

    STALLED_S = 45

    def __init__(self, release, desk):
        self.progress = Progress(release.stack)
        self.callers = Callers(desk, release.url, release.keys.token("client"))

    def __enter__(self):
        self.progress.__enter__()
        self.callers.__enter__()
        return self

    def __exit__(self, *error):
        self.callers.__exit__(*error)
        self.progress.__exit__(*error)

    def text(self):
        seconds, failed = self.progress.seconds(), self.callers.failed()
        assert seconds < self.STALLED_S * PATIENCE, f"a partition made no progress for {seconds:.0f} s"
        return f"{seconds:6.1f} s   {failed} of {self.callers.answers() + len(self.callers.lost())} requests failed"
