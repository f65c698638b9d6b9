"""Brokers, and an independent producer and reader of their topics."""

import contextlib
import dataclasses
import os
import pathlib
import random
import signal
import socket
import subprocess
import uuid
import zlib

import confluent_kafka
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic

from .programs import Program, binary
from .waiting import PATIENCE, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]


@dataclasses.dataclass(frozen=True)
class Record:
    """One record of the log, as read by the independent reader."""

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
        """A copy with other topics for some roles, with that many partitions each."""
        return dataclasses.replace(self, **names, partitions={**self.partitions, **dict.fromkeys(names, partitions)})


def fresh_topics(cases=4, agents=2, directory=2):
    mark = uuid.uuid4().hex[:8]
    counts = {"case": cases, "agent": agents, "directory": directory}
    return Topics(f"case-events-{mark}", f"agent-events-{mark}", f"directory-events-{mark}", counts)


def free_ports(count):
    """Distinct ports below the kernel's ephemeral range, so that a stopped broker finds its port free again."""
    found = []
    for port in random.sample(range(30_000, 32_000), 2000):
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(f"there are no {count} free ports from 30000 to 31999")


class Broker:
    """Base of all brokers: bootstrap servers, and the tests' own producer and reader."""

    bootstrap = None
    client_properties = {}
    producer_properties = {}

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
                    **self.producer_properties,
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
                **self.client_properties,
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
    """librdkafka's mock cluster in `caseview-dev broker`: starts quickly and can be frozen. Its log is only in memory."""

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

        self.bootstrap = wait_for(ready, 20, "the mock broker writes its address")

    def create_topics(self, topics):
        """The program has created these; other topics are created when a producer asks for them."""

    def create_topic(self, name, partitions=4, compact=False):
        found = self.producer().list_topics(name, timeout=20 * PATIENCE).topics[name]
        assert len(found.partitions) == partitions, f"the mock cluster makes topics of {len(found.partitions)} partitions"

    def freeze(self):
        """As if the network were down: connections remain, nothing answers."""
        self.program.freeze()

    def thaw(self):
        self.program.thaw()

    def close(self):
        self._producer = None
        self.program.stop()


class ServerMissing(RuntimeError):
    """A script of deploy/ failed; a failed test shows only its line with the reason."""


def deploy(script, *args):
    """Runs a script of deploy/ and returns its output."""
    done = subprocess.run(
        [ROOT / "deploy" / script, *map(str, args)], capture_output=True, text=True, timeout=300 * PATIENCE,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode != 0:
        raise ServerMissing(f"deploy/{script} {args[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


class ApacheKafka(Broker):
    """Apache Kafka, run by deploy/kafka. Its data survives stop() and start()."""

    brokers = 1

    def __init__(self, folder):
        super().__init__()
        self._admin_client = None
        self.folder = pathlib.Path(folder)
        self.ports = free_ports(self.brokers)
        self.bootstrap = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        self.start()

    def start(self):
        deploy("kafka", "start", self.folder, *self.ports)

    def stop(self):
        self._producer = self._admin_client = None
        deploy("kafka", "stop", self.folder)

    def close(self):
        self.stop()

    def topic_by_script(self, name, partitions, *config):
        deploy("kafka", "topic", self.folder, self.ports[0], name, partitions, *config)

    def _admin(self):
        if self._admin_client is None:
            self._admin_client = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 2, **self.client_properties})
        return self._admin_client

    def metadata(self, name=None):
        """librdkafka's view of the cluster: .brokers by number, .topics by name with their .partitions."""
        return self._admin().list_topics(name, timeout=5 * PATIENCE)

    @staticmethod
    def _finish(futures):
        for future in futures.values():
            future.result(20 * PATIENCE)

    def create_topic(self, name, partitions, compact=False, **config):
        config = {"cleanup.policy": "compact" if compact else "delete", **config}
        self._finish(self._admin().create_topics([NewTopic(name, partitions, self.brokers, config=config)]))
        wait_for(lambda: self._partitions(name) == partitions, 20, f"topic {name} is there")

    def set_topic(self, name, **config):
        """All settings of a topic, in place of those that it had."""
        texts = {key: str(value) for key, value in config.items()}
        self._finish(self._admin().alter_configs([ConfigResource(ConfigResource.Type.TOPIC, name, set_config=texts)]))

    def delete_topic(self, name):
        self._producer = None
        self._finish(self._admin().delete_topics([name]))
        wait_for(lambda: self._partitions(name) == 0, 20, f"topic {name} is gone")

    def grow_topic(self, name, partitions):
        self._producer = None
        self._finish(self._admin().create_partitions([NewPartitions(name, partitions)]))
        wait_for(lambda: self._partitions(name) == partitions, 20, f"topic {name} has grown")
        self._producer = None  # one that a thread made meanwhile may know the old partition count
        producer = self.producer()
        wait_for(lambda: len(producer.list_topics(name, 10).topics[name].partitions) == partitions, 20, "the producer knows them")

    def delete_records(self, name, partition, offset):
        """Deletes the records below this offset, as retention does."""
        deploy("kafka", "trim", self.folder, self.ports[0], name, partition, offset)

    def _partitions(self, name):
        """How many of them have a leader."""
        found = self.metadata().topics.get(name)
        return sum(p.leader >= 0 for p in found.partitions.values()) if found else 0

    def open_transaction(self, records):
        """Sends records (as for send()) in a transaction that stays open. The returned producer commits or aborts it; without
        either it times out after some seconds."""
        producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "transactional.id": uuid.uuid4().hex,
                "transaction.timeout.ms": int(20_000 * PATIENCE),
                "log_level": 2,
            }
        )
        producer.init_transactions(20 * PATIENCE)
        producer.begin_transaction()
        for topic, partition, key, value, headers in records:
            producer.produce(topic, value, key, partition=partition, headers=list(headers))
        left = producer.flush(20 * PATIENCE)
        assert left == 0, f"{left} records of a transaction undelivered"
        return producer

    def send_in_transaction(self, records, commit=True):
        """Sends records (as for send()) in a transaction, whose control record takes an offset, too."""
        producer = self.open_transaction(records)
        if commit:
            producer.commit_transaction(20 * PATIENCE)
        else:
            producer.abort_transaction(20 * PATIENCE)


class KafkaCluster(ApacheKafka):
    """Three brokers, numbered 1 to 3: three replicas, acknowledged when two have the record, no unclean election. With two
    brokers up everything works; with one, topics cannot be written and no leader can be elected."""

    brokers = 3
    # Clients do not wait for a frozen broker longer than the other brokers do.
    client_properties = {"socket.timeout.ms": 4000, "topic.metadata.refresh.interval.ms": 1000}
    producer_properties = {**client_properties, "request.timeout.ms": 3000}

    def start(self):
        super().start()
        self._make_offsets_topic()
        self.wait_whole()

    def _make_offsets_topic(self):
        """Otherwise the first group has it made, perhaps while a test has frozen a broker."""
        consumer = confluent_kafka.Consumer({"bootstrap.servers": self.bootstrap, "group.id": "first", "log_level": 2})

        def answers():
            with contextlib.suppress(confluent_kafka.KafkaException):
                return consumer.committed([confluent_kafka.TopicPartition("none", 0)], timeout=5)

        wait_for(answers, 60, "groups have a coordinator", poll_s=0.2)
        consumer.close()

    def close(self):
        """Kills the brokers: their data is not needed any more."""
        self._producer = self._admin_client = None
        for number in range(1, self.brokers + 1):
            self.kill_broker(number)

    def stop_broker(self, number):
        """SIGTERM: it transfers its partitions first."""
        deploy("kafka", "broker", self.folder, number, "stop")

    def kill_broker(self, number):
        """kill -9: the others notice after 3 s."""
        deploy("kafka", "broker", self.folder, number, "kill")

    def start_broker(self, number, whole=True):
        """whole: waits until each partition is in sync on all three again; needs the other two up."""
        deploy("kafka", "broker", self.folder, number, "start")
        if whole:
            self.wait_whole()

    def freeze_broker(self, number):
        """As if its network were down: connections remain, nothing answers; the others notice after 3 s."""
        os.kill(self.process_of(number), signal.SIGSTOP)

    def thaw_broker(self, number):
        os.kill(self.process_of(number), signal.SIGCONT)

    def process_of(self, number):
        return int((self.folder / str(number) / "kafka.pid").read_text())

    def leader(self, topic, partition):
        """The number of the broker that leads it, -1: none."""
        return self.metadata(topic).topics[topic].partitions[partition].leader

    def wait_leader(self, topic, partition, other_than=-1, deadline_s=30):
        """Its leader, as soon as that is not this one."""

        def leader():
            with contextlib.suppress(confluent_kafka.KafkaException):
                return {self.leader(topic, partition)} - {-1, other_than}

        return wait_for(leader, deadline_s, f"{topic}/{partition} has another leader than {other_than}").pop()

    def not_in_sync(self):
        """(topic, partition) → in-sync replicas, of the partitions where not all brokers are in sync."""
        return {
            (name, number): sorted(partition.isrs)
            for name, topic in self.metadata().topics.items()
            for number, partition in topic.partitions.items()
            if len(partition.isrs) < self.brokers or partition.leader < 0
        }

    def wait_whole(self, deadline_s=60):
        """Waits until all three are up and in sync."""

        def whole():
            with contextlib.suppress(confluent_kafka.KafkaException):
                return len(self.metadata().brokers) == self.brokers and not self.not_in_sync()

        wait_for(whole, deadline_s, "the three brokers are in sync", poll_s=0.2)
