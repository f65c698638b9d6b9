"""`caseview rebuild compare` over two generations of many listed cases, whose rows SQL has made: time, memory, and whether
exactly the planted differences are found."""

import json
import os
import subprocess
import time

import rig as rigs
from measure import Row
from support import programs
from support.kafka import fresh_topics
from support.waiting import wait_for

ORGANIZATIONS = 50
AGENTS = 200  # of an organization
BODY_BYTES = 1200
LIMIT_S = 3600

# Ids follow from the numbers: case n of organization n % ORGANIZATIONS, served by one of its agents.
ID = "(md5('{kind} ' || {number}))::uuid"
FILL = (
    f"""INSERT INTO gen_1.active_case (organization_id, case_id, user_id, unit_id, status_date, case_timestamp, degraded, part,
                                       refs, body)
        SELECT {ID.format(kind="organization", number=f"n %% {ORGANIZATIONS}")}, {ID.format(kind="case", number="n")},
               {ID.format(kind="user", number=f"n %% {ORGANIZATIONS * AGENTS}")}, {ID.format(kind="unit", number=f"n %% {ORGANIZATIONS}")},
               '2024-04-11 11:13:38.008222+00'::timestamptz + n * interval '1 ms', '2024-04-11 12:00:00+00', false, 0, '',
               rpad(md5(n::text), {BODY_BYTES}, md5(n::text || 'body'))
          FROM generate_series(1, %s) n""",
    f"""INSERT INTO gen_1.agent (organization_id, user_id, rev, part, current_unit_id, has_workspaces, degraded, refs, state)
        SELECT {ID.format(kind="organization", number=f"n %% {ORGANIZATIONS}")}, {ID.format(kind="user", number="n")}, 1, 0,
               {ID.format(kind="unit", number=f"n %% {ORGANIZATIONS}")}, true, false, '', ''
          FROM generate_series(0, {ORGANIZATIONS * AGENTS} - 1) n WHERE %s > 0""",
)
COPY = (
    "INSERT INTO gen_2.active_case SELECT * FROM gen_1.active_case",
    "INSERT INTO gen_2.agent SELECT * FROM gen_1.agent",
    "VACUUM (ANALYZE) gen_1.active_case, gen_1.agent, gen_2.active_case, gen_2.agent",
    "CHECKPOINT",
)
THIS = f"case_id = {ID.format(kind='case', number='%s')}"
# view, kind → SQL that plants it for a case of this number.
PLANTED = {
    ("active_case", "only-live"): f"DELETE FROM gen_2.active_case WHERE {THIS}",
    ("active_case", "only-other"): f"DELETE FROM gen_1.active_case WHERE {THIS}",
    ("active_case", "different"): f"UPDATE gen_2.active_case SET body = overlay(body PLACING '#' FROM 1000) WHERE {THIS}",
    ("agent", "different"): "UPDATE gen_2.agent SET has_workspaces = false WHERE user_id = "
                            + ID.format(kind="user", number="%s"),
}  # fmt: skip


def prepare(rig, broker, topics):
    """A database with a live generation and one that is ready, both of an empty log; their workers have ended."""
    database = rig.database()
    options = ["--database", database.conninfo, *rig.kafka(broker, topics), "--log-format", "text"]
    programs.caseview("rebuild", "start", *options, check=0)
    workers = [rig.worker(broker, topics, database, more=["--generation", number]) for number in ("1", "2")]
    caught_up = ["rebuild", "status", "--check", "caught-up", *options]
    wait_for(lambda: programs.caseview(*caught_up).returncode == 0, 60, "the empty log is read", poll_s=0.2)
    programs.caseview("rebuild", "prepare", *options, check=0)
    for worker in workers:
        worker.stop()
    return database


def compared(database, topics):
    """(seconds, peak MiB, lines of progress, objects printed) of one run."""
    names = [word for role in rigs.PARTITIONS for word in (f"--{role}-topic", topics.name(role))]
    argv = [
        programs.binary("caseview"), "rebuild", "compare", "--json", "--database", database.conninfo, *names,
        "--log-format", "text",
    ]  # fmt: skip
    began = time.monotonic()
    process = subprocess.Popen(
        list(map(str, argv)), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=programs.clean_environment(), text=True,
    )  # fmt: skip
    out, errors = process.stdout.read(), process.stderr.read()  # both are short
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        raise rigs.Broken(f"rebuild compare: exit {process.returncode}\n{errors}"[:4000])
    seconds, objects = time.monotonic() - began, [json.loads(line) for line in out.splitlines()]
    return seconds, used.ru_maxrss / 1024, len(errors.splitlines()), objects


def check(objects, planted):
    """Exactly what was planted is found."""
    summary = objects[-1]["summary"]
    found = {}
    for line in objects:
        if "view" in line:
            found[line["view"], line["kind"]] = found.get((line["view"], line["kind"]), 0) + 1
    if found != planted or summary["differences"] != sum(planted.values()):
        raise rigs.Broken(f"rebuild compare found {found} and not {planted}: {summary}")


def one_size(rig, count):
    topics = fresh_topics(cases=1, agents=1, directory=1)
    rig.scratch.create_topics(topics)
    database = prepare(rig, rig.scratch, topics)
    rig.say(f"making {count:,} listed cases in two generations")
    for statement in FILL:
        database.query(statement, (count,))
    for statement in COPY:
        database.query(statement)
    _, _, _, objects = compared(database, topics)
    check(objects, {})
    for number, statement in enumerate(PLANTED.values()):
        for at in (count // 3, count // 2):
            wanted = at + number if "case_id" in statement else (at + number) % (ORGANIZATIONS * AGENTS)
            database.query(statement, (wanted,))
    samples = [compared(database, topics) for _ in range(rig.wanted.repetitions)]
    for *_, objects in samples:
        check(objects, dict.fromkeys(PLANTED, 2))
    database.drop()
    return samples


def notes(rig):
    return [
        rig.settings_line(),
        f"two generations of {ORGANIZATIONS} organizations with {AGENTS} agents each and equal listed cases of {BODY_BYTES:,} bytes, "
        f"made by SQL; no workers; {2 * len(PLANTED)} differences planted, exactly these must be found",
    ]


def run(rig):
    rows, each = [], []
    for count in (rig.wanted.compare_cases // 4, rig.wanted.compare_cases):
        samples = one_size(rig, count)
        seconds = [s[0] for s in samples]
        each.append(sorted(seconds)[len(seconds) // 2] / count)
        rows += [
            Row(f"{count:,} listed cases in each: compared in", seconds, "s", more=f"{samples[0][2]} lines of progress"),
            Row("… rows a second, of both generations", [2 * count / s for s in seconds], "rows/s"),
            Row("… peak memory of the command", [s[1] for s in samples], "MiB", target="≤ 64 MiB"),
        ]
    rows.append(Row("growth: time a case of the large one, of the small one", [each[1] / each[0]], "×", target="0.85–1.15"))
    return rows
