"""What runs share: PostgreSQL, one for each lane, and brokers. Each lane is a process that takes runs until none is left."""

import contextlib
import pathlib
import queue
import shutil
import signal
import time

from support import avro_codec, programs
from support.kafka import ApacheKafka, Broker, KafkaCluster
from support.postgres import Postgres
from support.waiting import PATIENCE

from .one_run import Run

RUN_LIMIT_S = 150
SLOW_S = 12  # the logs of runs that recover later than this are kept
# Asynchronous commits stay in memory for long: a kill -9 of the server then really loses some.
SETTINGS = {"wal_writer_delay": "4s", "wal_writer_flush_after": "64MB"}


class SharedKafka(ApacheKafka):
    """A broker that another process runs."""

    def __init__(self, broker):
        Broker.__init__(self)
        self._admin_client = None
        self.folder, self.ports, self.bootstrap = broker.folder, broker.ports, broker.bootstrap


class Lane:
    def __init__(self, folder, kafka):
        """kafka: (folder, ports …) of a broker that runs, or None: three brokers of its own."""
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.broker = SharedKafka(kafka) if kafka else KafkaCluster(self.folder / "kafka")
        self.own_brokers = kafka is None
        self.postgres = Postgres(SETTINGS)
        self.schemas = avro_codec.Schemas(str(programs.ROOT / "schemas/avro"))

    def forget_topics(self, topics):
        """Deletes them and does not wait for the deletion."""
        self.broker._admin().delete_topics([topics.case, topics.agent, topics.directory])

    def close(self):
        self.postgres.close()
        if self.own_brokers:
            self.broker.close()

    def one(self, number, fault, step, seed):
        folder = self.folder / f"run-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        programs.Program.shown.clear()

        def too_long(*_):
            raise TimeoutError(f"the run took longer than {RUN_LIMIT_S * PATIENCE:g} s")

        signal.signal(signal.SIGALRM, too_long)
        signal.alarm(int(RUN_LIMIT_S * PATIENCE))
        try:
            result = Run(self, number, fault, step, seed, folder).execute()
        finally:
            signal.alarm(0)
        if "error" in result or result.get("recovered_s", 0) > SLOW_S:
            result["logs"] = str(folder)
        else:
            shutil.rmtree(folder)
        if self.postgres.process is None or self.postgres.process.poll() is not None:
            self.postgres.process = None
            self.postgres.start()
        return result


def serve(folder, kafka, tasks, results, end, stop):
    """The process of a lane. tasks: queues, the first that has something counts; results: a queue, None at the end. end:
    the moment after which no run begins, or None; stop: an event that says the same."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    lane = None
    try:
        lane = Lane(folder, kafka)
        while not stop.is_set() and (end is None or time.monotonic() < end):
            task = None
            for one in tasks:
                with contextlib.suppress(queue.Empty):
                    task = one.get(timeout=0.2)
                    break
            if task is None:
                break
            results.put(lane.one(*task))
    except Exception as error:
        results.put({"error": f"the lane ended: {type(error).__name__}: {error}", "number": -1})
    finally:
        if lane:
            lane.close()
        results.put(None)
