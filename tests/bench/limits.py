"""A worker in a cgroup of 192 MiB, as in a container: it falls behind and catches up, three times in a row."""

import time

from measure import Row, memory_mib
from rig import PARTITIONS, Broken
from support.cgroup import CgroupMissing, MemoryCgroup
from support.kafka import Topics
from support.waiting import wait_for

LIMIT_MIB = 192
TURNS = 3
DRAIN_LIMIT_S = 600
MIB = 1 << 20
# The worker is suspended while the next events are produced: it must not lose its partitions.
PATIENT = ["--kafka", "session.timeout.ms=600000", "--kafka", "max.poll.interval.ms=600000"]
DONE = "SELECT coalesce(sum(next_offset), 0)::bigint FROM ctl.cursor"


def notes(rig):
    return [
        rig.settings_line(),
        f"one worker process in a memory cgroup of {LIMIT_MIB} MiB, swap included, with the default of `memory`; suspended "
        f"while {rig.wanted.events:,} events are produced (10 a case, new cases each time), then drains them; {TURNS} times",
    ]


def check_alive(worker, group, turn):
    if not worker.is_running():
        raise Broken(
            f"drain {turn}: the worker ended with {worker.process.returncode}, {group.oom_kills()} killed by the kernel, "
            f"peak {group.peak() / MIB:.0f} MiB:\n{worker.log()[-2000:]}"
        )


def one_drain(rig, worker, group, topics, database, turn):
    """Seconds."""
    worker.freeze()
    rig.say(f"producing {rig.wanted.events:,} events, drain {turn} of {TURNS}")
    shape = ["--events", rig.wanted.events, "--events-per-case", 10, "--cases", rig.wanted.in_flight, "--seed", turn]
    rig.dev(rig.scratch, topics, "simulate", *shape, "--organizations", 20, "--agents", 100)
    goal = sum(end for _, end in rig.scratch.ends(topics).values())
    worker.thaw()
    began = time.monotonic()

    def drained():
        check_alive(worker, group, turn)
        return database.value(DONE) >= goal

    wait_for(drained, DRAIN_LIMIT_S, f"drain {turn}")
    return time.monotonic() - began


def run(rig):
    topics, database = Topics("limit-cases", "limit-agents", "limit-directory", PARTITIONS), rig.database()
    rig.scratch.create_topics(topics)
    rates, peaks, after = [], [], []
    try:
        with MemoryCgroup(LIMIT_MIB * MIB) as group:
            worker = rig.worker(rig.scratch, topics, database, PATIENT, group)
            try:
                worker.wait_ready()
                for turn in range(1, TURNS + 1):
                    rates.append(rig.wanted.events / one_drain(rig, worker, group, topics, database, turn))
                    peaks.append(memory_mib(worker.process.pid)[1])
                    time.sleep(rig.wanted.settle_seconds)
                    check_alive(worker, group, turn)
                    after.append(memory_mib(worker.process.pid)[0])
                group_peak = group.peak() / MIB
                worker.stop()
            finally:
                if worker.is_running():
                    worker.kill()
    except CgroupMissing as missing:
        raise Broken(str(missing)) from None
    database.drop()
    return [
        Row("worker drains", rates, "events/s"),
        Row("peak memory of the process", peaks, "MiB", target=f"≤ {LIMIT_MIB // 2 + 48}"),
        Row(f"memory of the process {rig.wanted.settle_seconds} s after", after, "MiB", target="< 100"),
        Row("peak memory of the cgroup", [group_peak], "MiB", target=f"≤ {LIMIT_MIB}", note="page cache included"),
    ]
