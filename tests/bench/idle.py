"""Resident memory of idle programs."""

import time

from measure import Cpu, Row, memory_mib
from support.kafka import fresh_topics

SETTLE_S = 5
WATCH_S = 10
NOTES = [f"resident memory, CPU over {WATCH_S} s; {SETTLE_S} s after the partitions of three empty topics were assigned"]


def watched(process):
    cpu = Cpu(process=process.pid)
    time.sleep(WATCH_S)
    return memory_mib(process.pid)[0], cpu.used()["process"] / WATCH_S * 1e6


def run(rig):
    topics, database = fresh_topics(**{"cases": 4, "agents": 2, "directory": 2}), rig.database()
    rig.scratch.create_topics(topics)
    worker = rig.worker(rig.scratch, topics, database)
    worker.wait_ready()
    api = rig.api(database.conninfo)
    time.sleep(SETTLE_S)
    worker_mib, worker_us = watched(worker.process)
    api_mib, api_us = watched(api.process)
    worker.stop()
    api.stop()
    database.drop()
    return [
        Row("idle worker", [worker_mib], "MiB", target="< 64 MiB", cpu={"worker a second": worker_us}),
        Row("idle caseview-api", [api_mib], "MiB", cpu={"api a second": api_us}),
    ]
