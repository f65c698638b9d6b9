"""A backlog in Apache Kafka: how fast librdkafka alone reads it, and how fast workers fold it into PostgreSQL.

Both in turn, so that a machine that slows down slows both. A drain begins with an empty database.
"""

import re
import time

import rig as rigs
from measure import Cpu, Row, medians, memory_mib
from support.waiting import wait_for

LOOK_EVERY_S = 0.02
DRAIN_LIMIT_S = 600
RATE = re.compile(r"(\d+) records of (\d+) bytes in ([\d.]+) s")
# Records done, and workers that own something: an owner is counted from its first claim on.
PROGRESS = "SELECT coalesce(sum(next_offset), 0)::bigint, count(DISTINCT owner) FROM ctl.cursor"
TABLES = ("case_state", "active_case", "agent", "directory")
TARGETS = {("ten", 1): "≥ 0.09 × consume", ("one", 1): "≥ 40,000/s"}
WORKERS = {"ten": (1, 2, 4), "one": (1,), "registry": (1,)}  # of one group


def consume(rig, backlog):
    broker = Cpu(kafka=rigs.java_pid(rig.broker))
    text, seconds = rigs.finished(rig.program("bench_consume"), rig.broker.bootstrap, backlog.topics.case)
    found = RATE.search(text)
    if not found or int(found[1]) != backlog.count("case"):
        raise rigs.Broken(f"bench_consume did not read {backlog.count('case')} records: {text!r}")
    count = int(found[1])
    return {"rate": count / float(found[3]), "bytes": int(found[2]), **broker.each(count, consumer=seconds)}


def drain(rig, backlog, count=1):
    """From the start of so many workers until all cursors stand at the ends. A dictionary of numbers."""
    database = rig.database()
    cpu = Cpu(pg=rig.postgres.process.pid, kafka=rigs.java_pid(rig.broker))
    started = time.monotonic()
    workers = rig.workers(count, rig.broker, backlog.topics, database, backlog.registry)
    for number, worker in enumerate(workers):
        cpu.pids[number], cpu.before[number] = worker.process.pid, 0.0
    first = []  # when the last of those that take part had begun, what had been done by then, and how many those are

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
        rig.after_drain_mib = max((memory_mib(worker.process.pid) for worker in workers), key=lambda sizes: sizes[1])
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
        "peak_mib": rig.after_drain_mib[1],
        **{f"cpu_{name}": us for name, us in used.items()},
        **counted(metrics),
    }


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
    """A drain that parked or lost events measures something else."""
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
            results.append(drain(rig, backlog, count))
    plain = medians(consumed)
    rows = [
        Row(
            f"librdkafka consumes, {backlog.title}", [c["rate"] for c in consumed], "events/s",
            cpu={"consumer": plain["consumer"], "kafka": plain["kafka"]},
            note=f"{backlog.count('case'):,} records of {plain['bytes']:.0f} bytes",
        )
    ]  # fmt: skip
    for count, results in drained.items():
        rows += drain_rows(backlog, count, plain, results)
    return rows


def drain_rows(backlog, count, plain, drained):
    d = medians(drained)
    share = "; ".join(f"{d[f'rows_{table}']:,.0f} {table}" for table in TABLES)
    note = (
        f"{backlog.total:,} events, {d['rows']:,.0f} rows written ({share}) in {d['batches']:,.0f} batches; "
        f"start-up {d['start_up_s']:.2f} s of {d['seconds']:.2f} s; folding {d['fold_s']:.2f} s, commits under way "
        f"{d['commit_s']:.2f} s" + f"; {d['owners']:.0f} of the {count} had something to do before the end" * (count > 1)
    )
    cpu = {name: d[f"cpu_{name}"] for name in ("worker", "pg", "kafka")}
    return [
        Row(
            f"{'worker drains' if count == 1 else f'{count} workers drain'}, {backlog.title}",
            [x["from_first"] for x in drained], "events/s", d["from_first"] / plain["rate"], "consume",
            TARGETS.get((backlog.name, count), ""), cpu, note=note,
        ),
        Row(
            "… from the process's start", [x["from_start"] for x in drained], "events/s", d["from_start"] / plain["rate"],
            "consume",
        ),
        Row("… events a row written", [x["events_per_row"] for x in drained], "events"),
        Row("… peak memory of a worker", [x["peak_mib"] for x in drained], "MiB"),
    ]  # fmt: skip


def notes(rig):
    return [
        rig.settings_line() + "; the worker commits with synchronous_commit=off",
        "Apache Kafka, 1 broker beside it: 4 case, 2 agent, 2 directory partitions; consume: the case topic alone; "
        f"drain: all three, a new database each time; with 10 events a case about {rig.wanted.in_flight:,} cases change "
        f"between each other{f'; worker {rig.wanted.worker}' * bool(rig.wanted.worker)}",
        "drain rate: from the first committed batch seen, and the last of several workers that came to own something (what "
        f"was done by then left out), to the last batch; looked at every {LOOK_EVERY_S * 1000:.0f} ms; CPU of the worker: of all workers together",
        "schemas from a registry: the same events in its framing, in topics of their own; the worker has no schema folder",
    ]


def run(rig, drains):
    """drains False: only the plain consumer."""
    backlogs = rig.backlogs()
    return [row for name in WORKERS for row in one_backlog(rig, backlogs[name], drains)]
