"""A backlog in Apache Kafka: how fast librdkafka alone reads it, and how fast workers fold it into PostgreSQL.

Both in turn, so that a machine that slows down slows both. A drain begins with an empty database. After the last drain
of one worker its memory is measured again, when it has been idle for a while.
"""

import re
import time

import rig as rigs
from measure import Cpu, Row, medians, memory_mib
from support.waiting import wait_for

LOOK_EVERY_S = 0.02
MIB = 1 << 20
OUTSIDE_MIB = 48
DRAIN_LIMIT_S = 600
RATE = re.compile(r"(\d+) records of (\d+) bytes in ([\d.]+) s")
# Records folded, and workers that have claimed something.
PROGRESS = "SELECT coalesce(sum(next_offset), 0)::bigint, count(DISTINCT owner) FROM ctl.cursor"
TABLES = ("case_state", "active_case", "agent", "directory")
TARGETS = {
    ("ten", 1): "≥ 0.28 × consume",
    ("ten", 2): "≥ 0.32 × consume",
    ("wide", 1): "≥ 0.38 × consume",
    ("one", 1): "≥ 40,000/s",
}
CPU_TARGETS = {("ten", 1): "≤ 3.8"}  # worker and PostgreSQL together
WORKERS = {"ten": (1, 2, 4), "wide": (1,), "one": (1,), "registry": (1,)}  # of one group
SETTLED = ("ten", "wide")  # after which the memory of one idle worker is measured


def consume(rig, backlog, server=None):
    """server: the broker that has the backlog, by default the one of the drains."""
    server = server or rig.broker
    broker = Cpu(kafka=rigs.java_pid(server))
    text, seconds = rigs.finished(rig.program("bench_consume"), server.bootstrap, backlog.topics.case)
    found = RATE.search(text)
    if not found or int(found[1]) != backlog.count("case"):
        raise rigs.Broken(f"bench_consume did not read {backlog.count('case')} records: {text!r}")
    count = int(found[1])
    return {"rate": count / float(found[3]), "bytes": int(found[2]), **broker.each(count, consumer=seconds)}


def drain(rig, backlog, count=1, settle=False):
    """From the start of so many workers until all cursors are at the ends. A dictionary of numbers. settle: also measures
    the memory once the workers have been idle for a while."""
    database = rig.database()
    cpu = Cpu(pg=rig.postgres.process.pid, kafka=rigs.java_pid(rig.broker))
    started = time.monotonic()
    workers = rig.workers(count, rig.broker, backlog.topics, database, backlog.registry)
    for number, worker in enumerate(workers):
        cpu.pids[number], cpu.before[number] = worker.process.pid, 0.0
    first = []  # when the latest worker had begun, what was done at that moment, and how many workers had begun

    def at_the_end():
        for worker in workers:
            worker.check_running()
        ((done, owners),) = database.query(PROGRESS)
        if done and (not first or owners > first[2]):
            first[:] = time.monotonic(), done, owners
        return done >= backlog.total and time.monotonic()

    try:
        ended = wait_for(at_the_end, DRAIN_LIMIT_S, "the backlog is drained", poll_s=LOOK_EVERY_S)
        used = cpu.each(backlog.total)
        used["worker"] = sum(used.pop(number) for number in range(count))
        metrics = [worker.metrics() for worker in workers]
        peak_mib = max(memory_mib(worker.process.pid)[1] for worker in workers)
        settled_mib = settled(rig, workers) if settle else None
    finally:
        for worker in workers:
            if worker.is_running():
                worker.stop()
    check(backlog, database, metrics)
    database.drop()
    return {
        "from_start": backlog.total / (ended - started),
        "from_first": (backlog.total - first[1]) / max(ended - first[0], LOOK_EVERY_S),
        "start_up_s": first[0] - started,
        "owners": first[2],
        "seconds": ended - started,
        "peak_mib": peak_mib,
        **({"settled_mib": settled_mib} if settle else {}),
        **{f"cpu_{name}": us for name, us in used.items()},
        **counted(metrics),
    }


def settled(rig, workers):
    """The memory of the largest worker, after the time that a peak may take to be given back."""
    rig.say(f"{rig.wanted.settle_seconds} s of idling after the drain")
    time.sleep(rig.wanted.settle_seconds)
    return max(memory_mib(worker.process.pid)[0] for worker in workers)


def metric(metrics, name, **labels):
    """The sum over all workers."""
    series = (item for page in metrics for item in page.items())
    return sum(v for (n, ls), v in series if n == name and set(labels.items()) <= set(ls))


def counted(metrics):
    rows = {table: metric(metrics, "caseview_rows_total", table=table) for table in TABLES}
    return {
        "events_per_row": metric(metrics, "caseview_events_total") / max(sum(rows.values()), 1),
        "rows": sum(rows.values()),
        "batches": metric(metrics, "caseview_batches_total"),
        "commit_s": metric(metrics, "caseview_commit_seconds_sum"),
        "fold_s": metric(metrics, "caseview_fold_seconds_sum"),
        **{f"rows_{table}": count for table, count in rows.items()},
    }


def check(backlog, database, metrics):
    """Fails if the drain parked or lost events, which would make its figures invalid."""
    parked = database.value("SELECT count(*) FROM caseview.parked")
    taken = metric(metrics, "caseview_records_total")
    if parked or taken < backlog.total:
        raise rigs.Broken(f"drain of {backlog.name}: {parked} events parked, {taken:.0f} of {backlog.total} taken")


def one_backlog(rig, backlog, drains):
    consumed, drained = [], {count: [] for count in WORKERS[backlog.name] if drains}
    for turn in range(rig.wanted.repetitions):
        rig.say(f"backlog of {backlog.title}, turn {turn + 1} of {rig.wanted.repetitions}")
        consumed.append(consume(rig, backlog))
        for count, results in drained.items():
            settle = count == 1 and backlog.name in SETTLED and turn + 1 == rig.wanted.repetitions
            results.append(drain(rig, backlog, count, settle))
    plain = medians(consumed)
    rows = [
        Row(
            f"librdkafka consumes, {backlog.title}", [c["rate"] for c in consumed], "events/s",
            cpu={"consumer": plain["consumer"], "kafka": plain["kafka"]},
            note=f"{backlog.count('case'):,} records of {plain['bytes']:.0f} bytes",
        )
    ]  # fmt: skip
    for count, results in drained.items():
        rows += drain_rows(rig, backlog, count, plain, results)
    return rows


def drain_rows(rig, backlog, count, plain, drained):
    settled_mib = drained[-1].pop("settled_mib", None)
    d = medians(drained)
    share = "; ".join(f"{d[f'rows_{table}']:,.0f} {table}" for table in TABLES)
    note = (
        f"{backlog.total:,} events, {d['rows']:,.0f} rows written ({share}) in {d['batches']:,.0f} batches; "
        f"start-up {d['start_up_s']:.2f} s of {d['seconds']:.2f} s; folding {d['fold_s']:.2f} s, commits in flight "
        f"{d['commit_s']:.2f} s" + f"; {d['owners']:.0f} of the {count} had something to do before the end" * (count > 1)
    )
    cpu = {name: d[f"cpu_{name}"] for name in ("worker", "pg", "kafka")}
    rows = [
        Row(
            f"{'worker drains' if count == 1 else f'{count} workers drain'}, {backlog.title}",
            [x["from_first"] for x in drained], "events/s", d["from_first"] / plain["rate"], "consume",
            TARGETS.get((backlog.name, count), ""), cpu, note=note,
        ),
        Row(
            "… from the process's start", [x["from_start"] for x in drained], "events/s", d["from_start"] / plain["rate"],
            "consume",
        ),
        Row(
            "… CPU, worker and PostgreSQL", [x["cpu_worker"] + x["cpu_pg"] for x in drained], "µs an event",
            target=CPU_TARGETS.get((backlog.name, count), ""),
        ),
        Row("… events a row written", [x["events_per_row"] for x in drained], "events"),
        Row("… peak memory of a worker", [x["peak_mib"] for x in drained], "MiB", target=memory_target(rig)),
    ]  # fmt: skip
    if settled_mib is not None:
        rows.append(Row(f"… {rig.wanted.settle_seconds} s after the drain", [settled_mib], "MiB", target="< 100"))
    return rows


def memory_target(rig):
    """Returns `memory` plus the allowance for the rest of a worker."""
    return f"≤ {rig.wanted.memory / MIB + OUTSIDE_MIB:.0f}" if rig.wanted.memory else ""


def options(rig):
    words = [f"--memory {rig.wanted.memory}"] * bool(rig.wanted.memory) + [rig.wanted.worker] * bool(rig.wanted.worker)
    return f"; worker {' '.join(words)}" if words else ""


def notes(rig):
    return [
        rig.settings_line() + "; the worker commits with synchronous_commit=off",
        "Apache Kafka, 1 broker on the same machine: 4 case, 2 agent, 2 directory partitions, or 128 case partitions; "
        f"consume: the case topic alone; drain: all three, a new database each time; with 10 events a case about "
        f"{rig.wanted.in_flight:,} cases change in turn{options(rig)}",
        "drain rate: from the first committed batch of the last worker to begin (what was done until then is left out) to "
        f"the last batch; polled every {LOOK_EVERY_S * 1000:.0f} ms; CPU of the worker: of all workers together",
        "schemas from a registry: the same events in its framing, in topics of their own; the worker has no schema folder",
    ]


def run(rig, drains):
    """drains False: only the plain consumer."""
    backlogs = rig.backlogs()
    return [row for name in WORKERS for row in one_backlog(rig, backlogs[name], drains)]
