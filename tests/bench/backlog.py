"""A backlog in Apache Kafka: how fast librdkafka alone reads it, and how fast the worker folds it into PostgreSQL.

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
PROGRESS = "SELECT coalesce(sum(next_offset), 0)::bigint FROM ctl.cursor"
TABLES = ("case_state", "active_case", "agent", "directory")
TARGETS = {"ten": "≥ 0.09 × consume", "one": "≥ 40,000/s"}


def consume(rig, backlog):
    broker = Cpu(kafka=rigs.java_pid(rig.broker))
    text, seconds = rigs.finished(rig.program("bench_consume"), rig.broker.bootstrap, backlog.topics.case)
    found = RATE.search(text)
    if not found or int(found[1]) != backlog.count("case"):
        raise rigs.Broken(f"bench_consume did not read {backlog.count('case')} records: {text!r}")
    count = int(found[1])
    return {"rate": count / float(found[3]), "bytes": int(found[2]), **broker.each(count, consumer=seconds)}


def drain(rig, backlog):
    """From the worker's start until all cursors stand at the ends. A dictionary of numbers."""
    database = rig.database()
    cpu = Cpu(pg=rig.postgres.process.pid, kafka=rigs.java_pid(rig.broker))
    started = time.monotonic()
    worker = rig.worker(rig.broker, backlog.topics, database)
    cpu.pids["worker"], cpu.before["worker"] = worker.process.pid, 0.0
    first = []  # when the first batch was seen, and what lay in it

    def at_the_end():
        worker.check_running()
        done = database.value(PROGRESS)
        if done and not first:
            first.extend((time.monotonic(), done))
        return done >= backlog.total and time.monotonic()

    try:
        ended = wait_for(at_the_end, DRAIN_LIMIT_S, "the backlog is drained", poll_s=LOOK_EVERY_S)
        used = cpu.each(backlog.total)
        metrics = worker.metrics()
        rig.after_drain_mib = memory_mib(worker.process.pid)
    finally:
        if worker.is_running():
            worker.stop()
    check(backlog, database, metrics)
    database.drop()

    def metric(name, **labels):
        return sum(v for (n, ls), v in metrics.items() if n == name and set(labels.items()) <= set(ls))

    rows = {table: metric("caseview_rows_total", table=table) for table in TABLES}
    return {
        "from_start": backlog.total / (ended - started),
        "from_first": (backlog.total - first[1]) / max(ended - first[0], LOOK_EVERY_S),
        "start_up_s": first[0] - started,
        "seconds": ended - started,
        "events_per_row": metric("caseview_events_total") / max(sum(rows.values()), 1),
        "rows": sum(rows.values()),
        "batches": metric("caseview_batches_total"),
        "commit_s": metric("caseview_commit_seconds_sum"),
        "fold_s": metric("caseview_fold_seconds_sum"),
        "peak_mib": rig.after_drain_mib[1],
        **{f"rows_{table}": count for table, count in rows.items()},
        **{f"cpu_{name}": us for name, us in used.items()},
    }  # fmt: skip


def check(backlog, database, metrics):
    """A drain that parked or lost events measures something else."""
    parked = database.value("SELECT count(*) FROM caseview.parked")
    taken = sum(v for (name, _), v in metrics.items() if name == "caseview_records_total")
    if parked or taken < backlog.total:
        raise rigs.Broken(f"drain of {backlog.name}: {parked} events parked, {taken:.0f} of {backlog.total} taken")


def one_backlog(rig, backlog, drains):
    consumed, drained = [], []
    for turn in range(rig.wanted.repetitions):
        rig.say(f"backlog of {backlog.per_case} a case, turn {turn + 1} of {rig.wanted.repetitions}")
        consumed.append(consume(rig, backlog))
        if drains:
            drained.append(drain(rig, backlog))
    plain = medians(consumed)
    name = f"{backlog.per_case} event{'s' * (backlog.per_case > 1)} a case"
    rows = [
        Row(
            f"librdkafka consumes, {name}", [c["rate"] for c in consumed], "events/s",
            cpu={"consumer": plain["consumer"], "kafka": plain["kafka"]},
            note=f"{backlog.count('case'):,} records of {plain['bytes']:.0f} bytes",
        )
    ]  # fmt: skip
    return rows + drain_rows(backlog, name, plain, drained) if drained else rows


def drain_rows(backlog, name, plain, drained):
    d = medians(drained)
    share = "; ".join(f"{d[f'rows_{table}']:,.0f} {table}" for table in TABLES)
    note = (
        f"{backlog.total:,} events, {d['rows']:,.0f} rows written ({share}) in {d['batches']:,.0f} batches; "
        f"start-up {d['start_up_s']:.2f} s of {d['seconds']:.2f} s; folding {d['fold_s']:.2f} s, commits under way "
        f"{d['commit_s']:.2f} s"
    )
    cpu = {name: d[f"cpu_{name}"] for name in ("worker", "pg", "kafka")}
    return [
        Row(
            f"worker drains, {name}", [x["from_first"] for x in drained], "events/s", d["from_first"] / plain["rate"],
            "consume", TARGETS[backlog.name], cpu, note=note,
        ),
        Row(
            "… from the process's start", [x["from_start"] for x in drained], "events/s", d["from_start"] / plain["rate"],
            "consume",
        ),
        Row("… events a row written", [x["events_per_row"] for x in drained], "events"),
        Row("… peak memory of the worker", [x["peak_mib"] for x in drained], "MiB"),
    ]  # fmt: skip


def notes(rig):
    return [
        rig.settings_line() + "; the worker commits with synchronous_commit=off",
        "Apache Kafka, 1 broker beside it: 4 case, 2 agent, 2 directory partitions; consume: the case topic alone; "
        f"drain: all three, a new database each time; with 10 events a case about {rig.wanted.in_flight:,} cases change "
        f"between each other{f'; worker {rig.wanted.worker}' * bool(rig.wanted.worker)}",
        "drain rate: from the first committed batch seen (its events left out) to the last; looked at every "
        f"{LOOK_EVERY_S * 1000:.0f} ms",
    ]


def run(rig, drains):
    """drains False: only the plain consumer."""
    backlogs = rig.backlogs()
    return [row for name in ("ten", "one") for row in one_backlog(rig, backlogs[name], drains)]
