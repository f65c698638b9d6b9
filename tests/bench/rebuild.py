"""A rebuild from the log: how fast a generation is filled and prepared, what it costs, and what readers notice of it.

The same log is read plainly, folded into a generation in the ordinary way (rows for readers rendered while filling, all
indexes from the start), and rebuilt by `caseview rebuild`, also with the indexes that it leaves out until `prepare`, in
turn.
"""

import json
import math
import time

import backlog as backlogs
import latency
import rig as rigs
from measure import Cpu, Row, medians, memory_mib
from support import programs
from support.kafka import fresh_topics
from support.waiting import wait_for

LIMIT_S = 1800
MIB = 1 << 20
PARTITIONS = 12
READ = "SELECT coalesce(sum(next_offset), 0)::bigint FROM ctl.cursor WHERE gen = %s"
WAL = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"
BATCH_S = 30  # a batch of a generation that is filled is written after so long
PROBE_S = 0.06  # at most, of one probe and the pause after it: so much log must be left to read
START_SHARE = 0.1  # of the log: growth is measured from here on, without the start of the process
INDEXES = rigs.ROOT / "schemas/db/gen_indexes.sql"
TARGETS = {1: "≥ 0.35 × consume", 2: "≥ 0.5 × consume"}


def command(rig, broker, topics, database, *words):
    done = programs.caseview(
        "rebuild", *map(str, words), "--database", database.conninfo, *rig.kafka(broker, topics), "--log-format", "text",
        check=0, deadline_s=LIMIT_S,
    )  # fmt: skip
    return done.stdout


def fill(rig, made, count, generation, is_rebuild, indexed=False):
    """From the start of the workers until a reader could be switched to the generation. A dictionary of numbers. indexed:
    with the indexes that filling does without."""
    database, broker = rig.database(), made.broker
    if is_rebuild:
        command(rig, broker, made.topics, database, "start")
    if indexed:
        database.query(INDEXES.read_text().replace("gen_N", f"gen_{generation}"))
    before = int(database.value(WAL))
    cpu = Cpu(pg=rig.postgres.process.pid)
    began = time.monotonic()
    workers = rig.workers(count, broker, made.topics, database, options=["--generation", str(generation)])
    for number, worker in enumerate(workers):
        cpu.pids[number], cpu.before[number] = worker.process.pid, 0.0

    at_start = []  # (records read, seconds) when START_SHARE of the log was read

    def read():
        for worker in workers:
            worker.check_running()
        done = database.query(READ, (generation,))[0][0]
        if not at_start and done >= made.total * START_SHARE:
            at_start.append((done, time.monotonic() - began))
        return done >= made.total

    try:
        wait_for(read, LIMIT_S, "the log is read", poll_s=0.05)
        filled_s = time.monotonic() - began
        if is_rebuild:
            wait_caught_up(rig, made, database)
            command(rig, broker, made.topics, database, "prepare")
        ended_s = time.monotonic() - began
        used = cpu.each(made.total)
        used["worker"] = sum(used.pop(number) for number in range(count))
        peak_mib = max(memory_mib(worker.process.pid)[1] for worker in workers)
    finally:
        for worker in workers:
            if worker.is_running():
                worker.stop()
    views = "caseview_2" if is_rebuild else "caseview"
    listed = database.value(f"SELECT count(*) FROM {views}.active_case")
    size_mib = database.value("SELECT pg_database_size(current_database())") / MIB
    wal = (int(database.value(WAL)) - before) / made.total
    database.drop()
    return {
        "rate": made.total / filled_s, "filled_s": filled_s, "prepared_s": ended_s - filled_s, "total_s": ended_s,
        "event_us": event_us(made.total, filled_s, *at_start[0]), "peak_mib": peak_mib, "size_mib": size_mib,
        "listed": listed, "wal": wal, "worker": used["worker"], "pg": used["pg"],
    }  # fmt: skip


def event_us(total, filled_s, done, at_s):
    """Time an event, from the batch that reached START_SHARE of the log to its end. NaN: one batch held nearly all."""
    left = total - done
    return (filled_s - at_s) / left * 1e6 if left > total / 4 else float("nan")


def wait_caught_up(rig, made, database):
    def caught_up():
        shown = json.loads(command(rig, made.broker, made.topics, database, "status", "--json"))
        return shown["phase"] == "caught-up"

    wait_for(caught_up, 60, "it has caught up", poll_s=0.2)


def rows_of(rig, made, plain, what, samples, target=""):
    d = medians(samples)
    note = (
        f"{made.total:,} events, {d['listed']:,.0f} listed cases; read in {d['filled_s']:.1f} s, prepared in "
        f"{d['prepared_s']:.1f} s; {d['wal']:.0f} bytes of WAL an event; the database has {d['size_mib']:,.0f} MiB"
    )
    return [
        Row(
            what, [s["rate"] for s in samples], "events/s", d["rate"] / plain["rate"], "consume", target,
            {"worker": d["worker"], "pg": d["pg"]}, note=note,
        ),
        Row("… until it is ready", [s["total_s"] for s in samples], "s"),
        Row("… peak memory of a worker", [s["peak_mib"] for s in samples], "MiB", target=backlogs.memory_target(rig)),
    ]  # fmt: skip


def one_size(rig, made, counts, indexes):
    """indexes: measures what leaving them out gains, too."""
    plain, ordinary, indexed, rebuilt = [], [], [], {count: [] for count in counts}
    for number in range(rig.wanted.repetitions):
        rig.say(f"{made.total:,} events, {number + 1} of {rig.wanted.repetitions}")
        plain.append(backlogs.consume(rig, made, made.broker))
        ordinary.append(fill(rig, made, 1, 1, False))
        for count in counts:
            rebuilt[count].append(fill(rig, made, count, 2, True))
        if indexes:
            indexed.append(fill(rig, made, 1, 2, True, indexed=True))
    p = medians(plain)
    rows = [Row(f"plain consume, {made.total:,} events", [c["rate"] for c in plain], "events/s")]
    rows += rows_of(rig, made, p, "1 worker, rendering while it fills (as without `rebuild`)", ordinary)
    for count, samples in rebuilt.items():
        processes = f"{count} worker{'s' * (count > 1)}"
        rows += rows_of(rig, made, p, f"rebuild, {processes}", samples, TARGETS.get(count, ""))
    if indexes:
        rows += rows_of(rig, made, p, "rebuild, 1 worker, with the indexes that are left out", indexed)
        with_them, without = medians(indexed), medians(rebuilt[1])
        rows.append(
            Row(
                "gain of the indexes left out: time until ready with them, without",
                [with_them["total_s"] / without["total_s"]], "×",
                more=f"PostgreSQL {with_them['pg']:.2f} and {without['pg']:.2f} µs, WAL {with_them['wal']:.0f} and "
                f"{without['wal']:.0f} bytes an event",
            )
        )  # fmt: skip
    return rows, medians(rebuilt[1])["event_us"]


# --- what the live generation's readers notice


def latency_notes(rig):
    return [f"{rig.settings_line()}; live traffic of {rig.wanted.rate:,} events/s", *latency.notes(rig)[1:]]


def run_latency(rig):
    """The same probes without and with a rebuild next to the live worker."""
    bulk_rate = rig.wanted.bulk_rate
    topics, database = fresh_topics(cases=4, agents=2, directory=2), rig.database()
    rig.scratch.create_topics(topics)
    events = int(bulk_rate * (BATCH_S + rig.wanted.probes * PROBE_S))
    rig.say(f"producing {events:,} events, then {rig.wanted.probes} probes without and with a rebuild")
    shape = ["--events-per-case", 10, "--cases", rig.wanted.in_flight, "--organizations", 10, "--agents", 100]
    rig.dev(rig.scratch, topics, "simulate", "--events", events, *shape)
    worker = rig.worker(rig.scratch, topics, database)
    api = rig.api(database.conninfo)
    total = sum(end for _, end in rig.scratch.ends(topics).values())
    wait_for(lambda: database.query(READ, (1,))[0][0] >= total, LIMIT_S, "the live generation has read the log")
    traffic = rig.simulate(
        rig.scratch, topics, "--rate", rig.wanted.rate, "--clock", "wall", "--seed", 99, *shape, "--log-format", "text"
    )
    prober, fillers = latency.Prober(rig, topics, api), []
    try:
        for _ in range(latency.WARM_PROBES):
            prober.probe()
        alone = latency.measured(rig, worker, prober)
        command(rig, rig.scratch, topics, database, "start")
        fillers = rig.workers(
            1, rig.scratch, topics, database, options=["--generation", "2", "--bulk-rate", str(bulk_rate)]
        )
        wait_for(lambda: database.query(READ, (2,))[0][0] > 0, 60, "the rebuild has begun")
        next_to_it = latency.measured(rig, worker, prober)
        left = total - database.query(READ, (2,))[0][0]
        if left <= 0:
            raise rigs.Broken("the rebuild was over before the probes: lower --bulk-rate")
    finally:
        prober.close()
        for program in (traffic, api, worker, *fillers):
            if program.is_running():
                program.stop()
    database.drop()
    rows = []
    for name, result in (("no rebuild", alone), (f"rebuild at {bulk_rate:,} events/s", next_to_it)):
        rows += [row for row in latency.rows_of(result) if "visible, p" in row.what]
        for row in rows[-2:]:
            row.what = f"{row.what}, {name}"
    for quiet, busy in zip(rows[:2], rows[2:], strict=True):
        busy.ratio, busy.ratio_to, busy.target = busy.value / quiet.value, "no rebuild", "≤ 2 × no rebuild"
        quiet.target = ""
    return rows


def notes(rig):
    return [
        rig.settings_line() + "; the workers commit with synchronous_commit=off",
        f"Apache Kafka, 1 broker on the same machine, {PARTITIONS} case partitions, 10 events a case, "
        f"{rig.wanted.in_flight:,} cases change in turn; a new database each time; rate: from the process's start until all "
        "cursors are at the ends; ready: with carry-over (none here), rendering, indexes and statistics",
    ]


def run(rig):
    rows, each = [], []
    large = rig.wanted.rebuild_events
    for made in rig.rebuild_backlogs((large // 2, large), PARTITIONS):
        is_large = made.events == large
        more, event = one_size(rig, made, (1, 2) if is_large else (1,), indexes=is_large)
        rows += more
        each.append(event)
    if any(map(math.isnan, each)):
        rig.say("no growth is measured: one batch held most of the log; more --rebuild-events")
    else:
        rows.append(
            Row(
                "growth: time an event of the large log, of half of it", [each[1] / each[0]], "×", target="0.85–1.15",
                more=f"{each[1]:.2f} and {each[0]:.2f} µs, from {START_SHARE:.0%} of the log on",
            )
        )  # fmt: skip
    return rows
