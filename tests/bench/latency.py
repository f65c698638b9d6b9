"""From produced to visible over HTTP, one probe at a time, with live traffic.

A probe is a case of an agent of its own: it is queued, then its service is started (the clock starts before this event
is given to the producer), and the endpoint is asked until it lists the case; then the case is closed. Asking pauses
shortly in between: a client in a tight loop would take one of two processors away from what is measured.
"""

import random
import socket
import threading
import time

import confluent_kafka

import rig as rigs
from measure import Cpu, Row, histogram_percentile, percentile
from support import avro_codec, events
from support.kafka import fresh_topics, partition_of
from support.tokens import ROLE
from support.waiting import wait_for

ASK_EVERY_S = 0.0005
PROBE_LIMIT_S = 20
GAP_S = (0.005, 0.030)
CLIENT = "bench-client"
WARM_UP = 20_000
WARM_PROBES = 20
BLOCKS = 5  # the probes of one run, cut into so many parts: their percentiles show the noise


class Client:
    """One kept connection that requests one agent's cases; reopened when the API has closed it as idle."""

    def __init__(self, api, path, token):
        host, port = api.url.removeprefix("http://").split(":")
        self.address, self.connection = (host, int(port)), None
        self.request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()

    def ask(self):
        """Returns the complete answer, header and body."""
        for attempt in (1, 2):
            if self.connection is None:
                self.connection = socket.create_connection(self.address, timeout=10)
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                return self.ask_once()
            except (ConnectionError, BrokenPipeError):
                self.close()
                if attempt == 2:
                    raise

    def ask_once(self):
        self.connection.sendall(self.request)
        heard = b""
        while True:
            block = self.connection.recv(65536)
            if not block:
                raise ConnectionResetError("the API closed the prober's connection")
            heard += block
            head, found, body = heard.partition(b"\r\n\r\n")
            if not found:
                continue
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(body) >= length:
                return heard

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None


class Prober:
    """The probe agent, its cases, and a producer that sends each event at once."""

    def __init__(self, rig, topics, api):
        self.topics, self.schemas = topics, avro_codec.Schemas(str(rigs.SCHEMAS))
        self.producer = confluent_kafka.Producer(
            {"bootstrap.servers": rig.scratch.bootstrap, "acks": "all", "linger.ms": 0, "log_level": 2}
        )
        self.organization, self.user, self.unit, self.application = (events.guid() for _ in range(4))
        self.inbox, self.workspace = events.guid(), events.guid()
        self.acknowledged = threading.Event()
        self.acknowledged_at = None
        self.stopping = threading.Event()
        self.poller = threading.Thread(target=self.poll, daemon=True)
        self.poller.start()
        application = {"clientId": CLIENT, "name": "bench", "roles": [ROLE], "enabled": True}
        spaces = {"unitId": self.unit, "workspaceIds": [self.workspace]}
        self.send(events.directory_event(self.organization, self.application, 1, {"ApplicationUpserted": application}))
        self.send(events.agent_event(self.organization, self.user, 1, {"AgentCurrentUnitSelected": {"unitId": self.unit}}))
        self.send(events.agent_event(self.organization, self.user, 2, {"AgentWorkspacesSelected": spaces}))
        self.wait_acknowledged()
        self.path = f"/{self.application}/agents/{self.user}/activeCases"
        self.client = Client(api, self.path, rig.keys.token(CLIENT))
        wait_for(lambda: b" 200 OK" in self.client.ask()[:20], 20, "the probe agent may be asked for")

    def send(self, event):
        role, value = event
        key = events.key_of(role, value)
        partition = partition_of(key, self.topics.partitions[role])
        data = self.schemas.encode(role, value)
        self.acknowledged.clear()
        self.producer.produce(self.topics.name(role), data, key, partition, self.delivered)

    def poll(self):
        """On a thread of its own, so that an acknowledgement is noticed while the endpoint is asked."""
        while not self.stopping.is_set():
            self.producer.poll(0.1)

    def delivered(self, error, _):
        if error is None:
            self.acknowledged_at = time.perf_counter()
            self.acknowledged.set()

    def wait_acknowledged(self):
        if not self.acknowledged.wait(PROBE_LIMIT_S):
            raise rigs.Broken("a probe's event was not delivered")

    def case(self, case_id, sequence, payload):
        now_us = int(time.time() * 1e6)
        ((kind, fields),) = payload.items()
        fields = {"statusDate": now_us, "caseTimestamp": now_us, **fields}
        return events.case_event(self.organization, case_id, sequence, {kind: fields}, occurredAt=now_us)

    def probe(self):
        """Seconds from produce() to visible, and to the broker's acknowledgement."""
        case_id = events.guid()
        mark = f'"caseId":"{case_id}"'.encode()
        self.send(events.queued(
            self.organization, case_id, status="InQueue", lockedBy=None, unit=events.ref(self.unit, "Bench"),
            inbox=events.inbox(self.inbox, "Bench"),
        ))  # fmt: skip
        self.wait_acknowledged()
        time.sleep(random.uniform(*GAP_S))
        start = self.case(case_id, 2, {"CaseServiceStarted": {
            "status": "Active", "lockedBy": events.user(self.user, "Probe"), "workstation": None,
        }})  # fmt: skip
        began = time.perf_counter()
        self.send(start)
        seen = self.wait(lambda answer: mark in answer, began)
        self.wait_acknowledged()
        acknowledged_s = self.acknowledged_at - began
        self.send(self.case(case_id, 3, {"CaseClosed": {"dateClosed": int(time.time() * 1e6)}}))
        self.wait_acknowledged()
        self.wait(lambda answer: mark not in answer, time.perf_counter())
        return seen - began, acknowledged_s

    def wait(self, condition, began):
        while True:
            answer = self.client.ask()
            now = time.perf_counter()
            if condition(answer):
                return now
            if now - began > PROBE_LIMIT_S:
                raise rigs.Broken(f"a probe was not visible after {PROBE_LIMIT_S} s; last answer: {answer[:300]!r}")
            time.sleep(ASK_EVERY_S)

    def close(self):
        self.stopping.set()
        self.poller.join(10)
        self.client.close()


def measured(rig, worker, prober):
    """Sends the probes, and reads the worker's metrics for the same time."""
    cpu = Cpu(worker=worker.process.pid, pg=rig.postgres.process.pid, kafka=rigs.java_pid(rig.scratch))
    before, began = worker.metrics(), time.monotonic()
    probes = [prober.probe() for _ in range(rig.wanted.probes)]
    after, seconds = worker.metrics(), time.monotonic() - began

    def grown(name):
        return sum(v - before.get(key, 0) for key, v in after.items() if key[0] == name)

    records = grown("caseview_records_total")
    return {
        "probes": probes,
        "rate": records / seconds,
        "batch": grown("caseview_events_total") / max(grown("caseview_batches_total"), 1),
        "cpu": cpu.each(records),
        "busy": {name: used / seconds for name, used in cpu.used().items()},
        "visible": [histogram_percentile(before, after, "caseview_visible_seconds", p) for p in (0.5, 0.99)],
        "commit": [histogram_percentile(before, after, "caseview_commit_seconds", p) for p in (0.5, 0.99)],
    }


def rows_of(result):
    probes = result["probes"]
    size = max(1, len(probes) // BLOCKS)
    blocks = [probes[i : i + size] for i in range(0, size * BLOCKS, size)]

    def figure(what, column, share, target="", **more):
        whole = percentile([p[column] for p in probes], share) * 1000
        parts = [percentile([p[column] for p in block], share) * 1000 for block in blocks if block]
        return Row(what, parts, "ms", target=target, more=f"{whole:.2f} ms of all {len(probes)} probes", **more)

    p50, p99 = (f"≤ {bound * 1000:g} ms" if bound is not None else "nothing" for bound in result["visible"])
    commit50, commit99 = (f"≤ {bound * 1000:g} ms" if bound is not None else "nothing" for bound in result["commit"])
    busy = ", ".join(f"{name} {share:.0%}" for name, share in result["busy"].items())
    return [
        figure("produced → visible, p50", 0, 0.5, "≤ 10 ms", cpu=result["cpu"], note=f"of a processor busy: {busy}"),
        figure("produced → visible, p99", 0, 0.99, "≤ 50 ms"),
        figure("produced → acknowledged by Kafka, p50", 1, 0.5),
        figure("produced → acknowledged by Kafka, p99", 1, 0.99),
        Row(
            "traffic that the worker took", [result["rate"]], "events/s",
            note=f"{result['batch']:.1f} events a batch; the worker's caseview_visible_seconds p50 {p50}, p99 {p99} "
            f"(oldest record of each batch), caseview_commit_seconds p50 {commit50}, p99 {commit99}",
        ),
    ]  # fmt: skip


def notes(rig):
    return [
        rig.settings_line(),
        f"{rig.wanted.probes} probes, one at a time, with live traffic of {rig.wanted.rate:,} events/s of simulated "
        f"organizations; the endpoint is asked over one kept connection with pauses of {ASK_EVERY_S * 1000:g} ms, which the "
        "figures contain; range: over fifths of the probes; CPU µs each: an event",
    ]


def run(rig):
    topics, database = fresh_topics(**{"cases": 4, "agents": 2, "directory": 2}), rig.database()
    rig.scratch.create_topics(topics)
    worker = rig.worker(rig.scratch, topics, database)
    worker.wait_ready()
    api = rig.api(database.conninfo)
    traffic = rig.simulate(
        rig.scratch, topics, "--rate", rig.wanted.rate, "--warm-up", WARM_UP, "--clock", "wall", "--cases", 5000,
        "--organizations", 10, "--agents", 100, "--log-format", "text",
    )  # fmt: skip
    prober = Prober(rig, topics, api)
    try:
        wait_for(lambda: worker.metric("caseview_records_total") > WARM_UP + rig.wanted.rate, 60, "the traffic has begun")
        rig.say(f"{rig.wanted.probes} probes at {rig.wanted.rate} events/s")
        for _ in range(WARM_PROBES):
            prober.probe()
        result = measured(rig, worker, prober)
        traffic.check_running()
    finally:
        prober.close()
        for program in (traffic, api, worker):
            if program.is_running():
                program.stop()
    if database.value("SELECT count(*) FROM caseview.parked"):
        raise rigs.Broken("events were parked during the latency run")
    database.drop()
    return rows_of(result)
