"""What a snapshot that another session holds costs a worker under live traffic: pg_dump, a long report, an idle transaction.

PostgreSQL keeps every version of a row that is newer than the oldest snapshot, also of the cursors, which each batch
updates. What live traffic makes of them in some minutes is made at once here. See docs/decisions/0016.
"""

import contextlib
import time

from measure import Cpu, Row, histogram_percentile
from support.kafka import fresh_topics
from support.waiting import wait_for

WARM_UP = 20_000
SLICE_S = 8
SLICES = 2
ADDED = 30_000
SETTINGS = "SET enable_seqscan = off; SET synchronous_commit = off"
# By the row's place, so that this does not walk over all versions itself.
ADD = f"""
DO $$
DECLARE
    place tid;
BEGIN
    FOR p IN 0 .. 3 LOOP
        FOR i IN 1 .. {ADDED // 500} LOOP
            SELECT ctid INTO place FROM ctl.cursor WHERE gen = 1 AND topic = '%s' AND part = p FOR UPDATE;
            FOR j IN 1 .. 500 LOOP
                UPDATE ctl.cursor SET updated_at = now() WHERE ctid = place RETURNING ctid INTO place;
            END LOOP;
            COMMIT;
        END LOOP;
    END LOOP;
END $$"""
VERSIONS = "SELECT pg_relation_size('ctl.cursor') / 8192"


def slice_of(rig, worker, database):
    """Figures of the next SLICE_S seconds."""
    cpu = Cpu(pg=rig.postgres.process.pid)
    before, began = worker.metrics(), time.monotonic()
    time.sleep(SLICE_S)
    after, seconds = worker.metrics(), time.monotonic() - began

    def grown(name):
        return sum(v - before.get(key, 0) for key, v in after.items() if key[0] == name)

    batches = grown("caseview_commit_seconds_count")
    return {
        "records": grown("caseview_records_total") / seconds,
        "batches": batches / seconds,
        "commit": grown("caseview_commit_seconds_sum") / max(batches, 1) * 1000,
        "visible": histogram_percentile(before, after, "caseview_visible_seconds", 0.99),
        "lag": sum(v for (name, _), v in after.items() if name == "caseview_lag_events"),
        "pages": database.value(VERSIONS),
        "pg": cpu.used()["pg"] / seconds,
    }


def row_of(what, s):
    visible = f"≤ {s['visible'] * 1000:g} ms" if s["visible"] is not None else "nothing"
    return Row(
        what, [s["commit"]], "ms a commit",
        more=f"{s['records']:,.0f} events/s, {s['batches']:.0f} batches/s, visible p99 {visible}, lag {s['lag']:.0f}, "
        f"PostgreSQL {s['pg']:.0%} of a processor, ctl.cursor {s['pages']} pages",
    )  # fmt: skip


def notes(rig):
    return [
        rig.settings_line(),
        f"{rig.wanted.rate:,} events/s of simulated organizations; slices of {SLICE_S} s; the other session: BEGIN "
        "ISOLATION LEVEL REPEATABLE READ; SELECT 1",
    ]


def run(rig):
    topics, database = fresh_topics(**{"cases": 4, "agents": 2, "directory": 2}), rig.database()
    rig.scratch.create_topics(topics)
    worker = rig.worker(rig.scratch, topics, database)
    worker.wait_ready()
    traffic = rig.simulate(
        rig.scratch, topics, "--rate", rig.wanted.rate, "--warm-up", WARM_UP, "--clock", "wall", "--cases", 5000,
        "--organizations", 10, "--agents", 100, "--log-format", "text",
    )  # fmt: skip
    wait_for(lambda: worker.metric("caseview_records_total") > WARM_UP + rig.wanted.rate, 60, "the traffic has begun")
    rows = [row_of("before", slice_of(rig, worker, database))]
    with contextlib.closing(rig.postgres.connect(database.name)) as other, other.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        cursor.execute("SELECT 1")
        rows += [row_of("snapshot held", slice_of(rig, worker, database)) for _ in range(SLICES)]
        rig.say(f"adding {ADDED} versions of each cursor of the case topic")
        database.query(SETTINGS)
        database.query(ADD % topics.case)
        rows += [row_of(f"… and {ADDED:,} versions", slice_of(rig, worker, database)) for _ in range(SLICES)]
    rows.append(row_of("released", slice_of(rig, worker, database)))
    traffic.check_running()
    for program in (traffic, worker):
        program.stop()
    return rows
