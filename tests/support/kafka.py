"""Brokers, and an independent producer and reader of their topics."""

import contextlib
import dataclasses
import pathlib
import subprocess
import uuid
import zlib

import confluent_kafka
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from .postgres import free_port
from .programs import Program, binary
from .waiting import PATIENCE, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Record:
    """One record of the log, as the independent reader got it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes
    value: bytes
    headers: tuple


@dataclasses.dataclass(frozen=True)
class Topics:
    """The names of the three topics of one stack, and how many partitions each has."""

    case: str
    agent: str
    directory: str
    partitions: dict

    def name(self, role):
        return getattr(self, role)

    def renamed(self, partitions, **names):
        """Other topics for some roles, of that many partitions each."""
        return dataclasses.replace(self, **names, partitions={**self.partitions, **dict.fromkeys(names, partitions)})


def fresh_topics(cases=4, agents=2, directory=2):
    mark = uuid.uuid4().hex[:8]
    counts = {"case": cases, "agent": agents, "directory": directory}
    return Topics(f"case-events-{mark}", f"agent-events-{mark}", f"directory-events-{mark}", counts)


class Broker:
    """What both brokers have: bootstrap servers, and the tests' own producer and reader."""

    bootstrap = None

    def __init__(self):
        self._producer = None

    def create_topic(self, name, partitions, compact=False):
        raise NotImplementedError

    def create_topics(self, topics):
        for role, count in topics.partitions.items():
            self.create_topic(topics.name(role), count, compact=role == "directory")

    def producer(self):
        if self._producer is None:
            self._producer = confluent_kafka.Producer(
                {
                    "bootstrap.servers": self.bootstrap,
                    "acks": "all",
                    "enable.idempotence": False,
                    "linger.ms": 2,
                    "message.max.bytes": 8_000_000,
                    "message.timeout.ms": int(30_000 * PATIENCE),
                    "log_level": 2,
                }
            )
        return self._producer

    def send(self, records):
        """records: (topic, partition, key, value, headers) each; in order. Returns (partition, offset) of each."""
        producer, where, failures = self.producer(), [None] * len(records), []

        def delivered(index):
            def callback(error, message):
                if error:
                    failures.append(error)
                else:
                    where[index] = (message.partition(), message.offset())

            return callback

        for index, (topic, partition, key, value, headers) in enumerate(records):
            options = {"partition": partition, "headers": list(headers), "on_delivery": delivered(index)}
            while True:
                try:
                    producer.produce(topic, value, key, **options)
                    break
                except BufferError:
                    producer.poll(0.1)
        left = producer.flush(30 * PATIENCE)
        assert not failures and left == 0, f"producing: {failures[:3]}, {left} undelivered"
        return where

    def _reader(self):
        return confluent_kafka.Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"reader-{uuid.uuid4().hex[:8]}",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 20,
                "max.partition.fetch.bytes": 8_000_000,
                "isolation.level": "read_committed",
                "log_level": 2,
            }
        )

    def ends(self, topics):
        """(topic, partition) → (first offset, end offset) of every partition of the three."""
        reader = self._reader()
        try:
            out = {}
            for role, count in topics.partitions.items():
                for partition in range(count):
                    where = confluent_kafka.TopicPartition(topics.name(role), partition)
                    out[where.topic, partition] = reader.get_watermark_offsets(where, timeout=20 * PATIENCE)
            return out
        finally:
            reader.close()

    def read_all(self, topics):
        """role → all records of its topic now, partition by partition in offset order."""
        where = [(topics.name(role), p) for role, count in topics.partitions.items() for p in range(count)]
        out, open_ = {w: [] for w in where}, set(where)
        reader = self._reader()

        def step():
            for message in reader.consume(500, 0.02):
                error, at = message.error(), (message.topic(), message.partition())
                if error and error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    open_.discard(at)
                else:
                    assert not error, f"reading {at}: {error}"
                    out[at].append(self._record(message))
            return not open_

        try:
            reader.assign([confluent_kafka.TopicPartition(*w, confluent_kafka.OFFSET_BEGINNING) for w in where])
            wait_for(step, 60, "the whole log is read", poll_s=0)
        finally:
            reader.close()
        return {
            role: [r for p in range(count) for r in out[topics.name(role), p]] for role, count in topics.partitions.items()
        }

    @staticmethod
    def _record(message):
        return Record(
            message.topic(), message.partition(), message.offset(), message.timestamp()[1], message.key(),
            message.value(), tuple(message.headers() or ()),
        )  # fmt: skip


def partition_of(key, partitions):
    return zlib.crc32(key or b"") % partitions


class MockBroker(Broker):
    """librdkafka's mock cluster in `caseview-dev broker`: quick to start, and it can be frozen. Its log dies with it."""

    def __init__(self, folder, topics):
        super().__init__()
        file = pathlib.Path(folder) / f"bootstrap-{topics.case}"
        options = [
            item
            for role, count in topics.partitions.items()
            for item in (f"--{role}-topic", topics.name(role), f"--{role}-partitions", count)
        ]
        argv = [binary("caseview-dev"), "broker", "--bootstrap-file", file, "--end-with-parent", *options]
        self.program = Program(f"broker-{topics.case}", argv, folder)

        def ready():
            self.program.check_running()
            return file.exists() and file.read_text().strip()

        self.bootstrap = wait_for(ready, 20, "the mock broker tells its address")

    def create_topics(self, topics):
        """The program was told; other names come into being when a producer asks for them."""

    def create_topic(self, name, partitions=4, compact=False):
        found = self.producer().list_topics(name, timeout=20 * PATIENCE).topics[name]
        assert len(found.partitions) == partitions, f"the mock cluster makes topics of {len(found.partitions)} partitions"

    def freeze(self):
        """As if the network were gone: connections stay, nothing answers."""
        self.program.freeze()

    def thaw(self):
        self.program.thaw()

    def close(self):
        self._producer = None
        self.program.stop()


class KafkaMissing(RuntimeError):
    """deploy/kafka could not bring a broker up."""


class ApacheKafka(Broker):
    """Apache Kafka, run by deploy/kafka. Its data stay over stop() and start()."""

    def __init__(self, folder):
        super().__init__()
        self._admin_client = None
        self.folder = pathlib.Path(folder)
        self.port = free_port()
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.start()

    def _run(self, *args):
        done = subprocess.run(
            [ROOT / "deploy/kafka", *map(str, args)], capture_output=True, text=True, timeout=300 * PATIENCE,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode != 0:
            raise KafkaMissing(f"deploy/kafka {args[0]} failed: {done.stderr.strip()}")

    def start(self):
        self._run("start", self.folder, self.port)

    def stop(self):
        self._producer = self._admin_client = None
        self._run("stop", self.folder)

    def close(self):
        self.stop()

    def topic_by_script(self, name, partitions, *config):
        self._run("topic", self.folder, self.port, name, partitions, *config)

    def _admin(self):
        if self._admin_client is None:
            self._admin_client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2})
        return self._admin_client

    @staticmethod
    def _finish(futures):
        for future in futures.values():
            future.result(20 * PATIENCE)

    def create_topic(self, name, partitions, compact=False):
        config = {"cleanup.policy": "compact" if compact else "delete"}
        self._finish(self._admin().create_topics([NewTopic(name, partitions, 1, config=config)]))
        wait_for(lambda: self._partitions(name) == partitions, 20, f"topic {name} is there")

    def delete_topic(self, name):
        self._producer = None
        self._finish(self._admin().delete_topics([name]))
        wait_for(lambda: self._partitions(name) == 0, 20, f"topic {name} is gone")

    def grow_topic(self, name, partitions):
        self._producer = None
        self._finish(self._admin().create_partitions([NewPartitions(name, partitions)]))
        wait_for(lambda: self._partitions(name) == partitions, 20, f"topic {name} has grown")

    def _partitions(self, name):
        found = self._admin().list_topics(timeout=10 * PATIENCE).topics.get(name)
        return len(found.partitions) if found else 0

    def send_in_transaction(self, records, commit=True):
        """records as for send(); their control record takes an offset, too."""
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": self.bootstrap, "transactional.id": uuid.uuid4().hex, "log_level": 2}
        )
        producer.init_transactions(20)
        producer.begin_transaction()
        for topic, partition, key, value, headers in records:
            producer.produce(topic, value, key, partition=partition, headers=list(headers))
        producer.flush(20)
        producer.commit_transaction(20) if commit else producer.abort_transaction(20)
