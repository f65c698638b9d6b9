"""The command line, the roles in the database and the operators' port (contract, sections 5 and 6)."""

import json
import re
import time

import psycopg2
import pytest

from support import events, programs
from support.postgres import free_port
from support.stack import mock_stack
from support.waiting import wait_for

VIEWS = {
    "active_case": "organization_id user_id unit_id case_id status_date case_timestamp degraded body",
    "agent": "organization_id user_id current_unit_id has_workspaces degraded",
    "application": "application_id organization_id client_id roles enabled",
    "progress": "topic partition next_offset complete_at updated_at state reason",
    "parked": "organization_id topic partition offset key value headers record_timestamp reason text parked_at",
}
TYPES = {
    "organization_id": "uuid", "user_id": "uuid", "unit_id": "uuid", "case_id": "uuid", "current_unit_id": "uuid",
    "application_id": "uuid", "status_date": "timestamp with time zone", "case_timestamp": "timestamp with time zone",
    "complete_at": "timestamp with time zone", "updated_at": "timestamp with time zone", "key": "bytea", "value": "bytea",
    "headers": "jsonb", "record_timestamp": "timestamp with time zone", "parked_at": "timestamp with time zone",
    "roles": "ARRAY", "body": "text", "degraded": "boolean", "enabled": "boolean", "offset": "bigint",
}  # fmt: skip


# --- usage


USAGE = {
    "unknown option": (["worker", "--no-such-option", "1"], {}, "no-such-option"),
    "number too small": (["worker", "--gap-alarm-s", "0"], {}, "gap-alarm-s"),
    "number too large": (["worker", "--tombstone-days", "36501"], {}, "tombstone-days"),
    "no number": (["worker", "--gap-alarm-s=soon"], {}, "gap-alarm-s"),
    "no choice": (["status", "--log-level", "loud"], {}, "log-level"),
    "no value": (["migrate", "--database"], {}, "database"),
    "not of this command": (["migrate", "--gap-alarm-s", "5"], {}, "gap-alarm-s"),
    "from the environment": (["worker"], {"CASEVIEW_GAP_ALARM_S": "x"}, "CASEVIEW_GAP_ALARM_S"),
    "unknown in the environment": (["worker"], {"CASEVIEW_NO_SUCH": "x"}, "CASEVIEW_NO_SUCH"),
    "another program's, checked too": (["migrate"], {"CASEVIEW_MAX_WAITING": "0"}, "CASEVIEW_MAX_WAITING"),
    "no address": (["worker", "--admin-listen", "nowhere"], {}, "admin-listen"),
    "no pair": (["worker", "--kafka", "bootstrap.servers"], {}, "kafka"),
    "no url": (["worker", "--schema-registry", "localhost:8081"], {}, "schema-registry"),
    "operand": (["worker", "please"], {}, "please"),
    "command": (["werk"], {}, "werk"),
}  # fmt: skip


@pytest.mark.parametrize("name", USAGE)
def test_wrong_usage_is_one_line_and_exit_2(name):
    args, environment, named = USAGE[name]
    done = programs.run("caseview", *args, environment=environment, check=2)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert named in lines[0]
    assert len(lines) == 1 or name == "command", done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    "lines,named",
    [
        ("gap-alarm-s = many", "gap-alarm-s"),
        ("colour = blue", "colour"),
        ("just words", ":3"),
        ("jwks-refresh-s = 1", "jwks-refresh-s"),
    ],
)
def test_wrong_line_of_the_file(tmp_path, lines, named):
    file = tmp_path / "caseview.conf"
    file.write_text(f"# a comment\n\n{lines} # another\n")
    done = programs.caseview("worker", "--config", file, check=2)
    assert named in done.stderr and str(file) in done.stderr and len(done.stderr.splitlines()) == 1


REFUSED = ["no.such.property=1", "enable.partition.eof=false", "auto.offset.reset=latest", "enable.auto.commit=true",
           "isolation.level=read_uncommitted", "session.timeout.ms=soon"]  # fmt: skip


@pytest.mark.parametrize("property_", REFUSED)
def test_invalid_kafka_property(migrated, schemas, property_):
    done = programs.caseview(
        "worker", "--database", migrated.conninfo, "--kafka", "bootstrap.servers=127.0.0.1:1", "--kafka", property_,
        "--schema-dir", schemas.folder, "--admin-listen", "127.0.0.1:0", check=2,
    )  # fmt: skip
    assert property_.partition("=")[0] in done.stderr


def test_unreadable_schema(migrated, schemas, tmp_path):
    (tmp_path / "case-event.avsc").write_text((schemas.by_role["case"]).text)
    (tmp_path / "broken.avsc").write_text('{"type": "record", "name": "X"')
    done = programs.caseview(
        "worker", "--database", migrated.conninfo, "--kafka", "bootstrap.servers=127.0.0.1:1", "--schema-dir", tmp_path,
        "--admin-listen", "127.0.0.1:0", check=2,
    )  # fmt: skip
    assert "broken.avsc" in done.stderr


def test_first_match_wins(tmp_path, postgres, migrated):
    """Command line before environment before file; another program's options are ignored."""
    file = tmp_path / "caseview.conf"
    file.write_text(f"database = {postgres.conninfo('nowhere')}\nconnect-timeout-s = 1\naudience = me\nlisten = 127.0.0.1:1\n")
    good, bad = migrated.conninfo, postgres.conninfo("nothing")
    programs.caseview("status", "--config", file, environment={"CASEVIEW_DATABASE": good}, check=0)
    programs.caseview("status", "--config", file, "--database", good, environment={"CASEVIEW_DATABASE": bad}, check=0)
    programs.caseview("status", environment={"CASEVIEW_CONFIG": file, "CASEVIEW_DATABASE": good}, check=0)
    done = programs.caseview("status", "--config", file)
    assert done.returncode != 0 and "nowhere" in done.stderr


def test_database_by_libpqs_own_variables(postgres, migrated):
    environment = {"PGHOST": str(postgres.folder), "PGPORT": str(postgres.port), "PGUSER": "postgres"}
    environment["PGDATABASE"] = migrated.name
    programs.caseview("status", environment=environment, check=0)


@pytest.mark.parametrize("command", ["worker", "migrate", "status", "resume"])
def test_help(command):
    done = programs.caseview(command, "--help", check=0)
    assert "--database" in done.stdout and "--log-level" in done.stdout and not done.stderr
    assert ("--gap-alarm-s" in done.stdout) == (command == "worker")


# --- migrate


def test_migrate_without_a_database_gives_up():
    begin = time.monotonic()
    conninfo = f"host=127.0.0.1 port={free_port()} dbname=x user=x password=secret"
    done = programs.caseview("migrate", "--connect-timeout-s", 1, "--database", conninfo, check=3)
    assert 0.3 < time.monotonic() - begin < 8
    assert "secret" not in done.stderr


def test_migrate_waits_for_the_database(postgres):
    """A database that starts within the time is migrated."""
    name = f"later_{free_port()}"
    argv = [programs.binary("caseview"), "migrate", "--database", postgres.conninfo(name), "--connect-timeout-s", "20"]
    migrate = programs.Program("migrate", argv, postgres.folder)
    migrate.wait_log(r"waiting for the database|does not exist", 10)
    postgres.query("postgres", f"CREATE DATABASE {name}")
    assert migrate.wait(20) == 0
    assert postgres.query(name, "SELECT count(*) FROM caseview.progress") == [(0,)]
    postgres.query("postgres", f"DROP DATABASE {name} WITH (FORCE)")


def test_migrate_twice_changes_nothing(migrated):
    shape = "SELECT table_schema, table_name, column_name, data_type FROM information_schema.columns ORDER BY 1, 2, 3"
    before = migrated.query(shape), migrated.query("SELECT * FROM ctl.migration ORDER BY 1")
    programs.caseview("migrate", "--database", migrated.conninfo, check=0)
    assert (migrated.query(shape), migrated.query("SELECT * FROM ctl.migration ORDER BY 1")) == before


def test_two_migrate_at_once(postgres):
    database = postgres.create_database()
    argv = [programs.binary("caseview"), "migrate", "--database", database.conninfo]
    both = [programs.Program(f"migrate-{i}", argv, postgres.folder) for i in range(3)]
    assert [one.wait(30) for one in both] == [0, 0, 0]
    assert database.query("SELECT gen, state FROM ctl.generation") == [(1, "live")]
    database.drop()


# --- views and roles


def test_views_have_the_contracts_columns(migrated):
    rows = migrated.query(
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'caseview'"
    )
    found = {}
    for view, column, kind in rows:
        found.setdefault(view, set()).add(column)
        assert kind == TYPES.get(column, kind), f"{view}.{column} is {kind}"
    assert found == {view: set(columns.split()) for view, columns in VIEWS.items()}


@pytest.fixture(scope="module")
def reader(postgres, migrated):
    postgres.query(migrated.name, "CREATE ROLE outsider LOGIN IN ROLE caseview_reader")
    connection = postgres.connect(migrated.name, user="outsider")
    yield connection
    connection.close()
    postgres.query(migrated.name, "DROP ROLE outsider")


@pytest.mark.parametrize("view", VIEWS)
def test_reader_may_read_the_views(reader, view):
    with reader.cursor() as cursor:
        columns = ", ".join(f'"{c}"' for c in VIEWS[view].split())
        cursor.execute(f"SELECT {columns} FROM caseview.{view}")


@pytest.mark.parametrize(
    "sql",
    [
        *(f"SELECT 1 FROM gen_1.{t}" for t in ("case_state", "active_case", "agent", "directory", "parked")),
        *(f"SELECT 1 FROM ctl.{t}" for t in ("cursor", "generation", "migration", "dir_clock")),
        *(f"DELETE FROM caseview.{v}" for v in VIEWS),
        "UPDATE caseview.progress SET state = 'live'",
        "INSERT INTO caseview.parked (topic) VALUES ('x')",
        "CREATE TABLE caseview.mine (a int)",
        "CREATE TABLE gen_1.mine (a int)",
        "DROP VIEW caseview.agent",
    ],
)
def test_reader_may_do_nothing_else(reader, sql):
    with reader.cursor() as cursor, pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cursor.execute(sql)


def test_worker_needs_only_its_role(make_stack):
    """caseview_worker is sufficient for a worker; only migrate needs the owner's rights."""
    stack = make_stack()
    stack.database.query("CREATE ROLE little_worker LOGIN IN ROLE caseview_worker")
    try:
        stack.start_worker("--database", stack.postgres.conninfo(stack.database.name, user="little_worker"))
        organization, case = events.guid(), events.guid()
        upsert = {"UnitUpserted": {"name": "x"}}
        stack.send(events.queued(organization, case), events.directory_event(organization, events.guid(), 1, upsert))
        stack.send_raw("case", [(b"x", b"bad", ())])
        stack.send_items([("directory", events.directory_key("unit", organization, events.guid()), None)])
        stack.check()
        stack.stop_worker(stack.workers[0])
    finally:
        stack.database.query("DROP ROLE little_worker")


# --- the operators' port


@pytest.fixture(scope="module")
def served(postgres, schemas, tmp_path_factory):
    with mock_stack(postgres, schemas, tmp_path_factory.mktemp("served")) as stack:
        stack.start_worker()
        stack.send(events.queued(events.guid(), events.guid()))
        stack.send_raw("agent", [(b"x", b"bad", ())])
        stack.check()
        yield stack


def test_live_and_ready(served):
    worker = served.workers[0]
    assert worker.get("/live").status_code == 200 and worker.get("/ready").status_code == 200
    assert worker.get("/nowhere").status_code == 404


def test_ready_says_why_it_is_not_ready(make_stack):
    stack = make_stack(migrate=False)
    worker = stack.start_worker(ready=False)
    worker.wait_log("admin port")
    assert worker.metric("caseview_ready") == 0 and worker.metric("caseview_build_info", program="worker") == 1
    answer = worker.get("/ready")
    assert answer.status_code == 503 and len(answer.text.strip().splitlines()) == 1
    assert worker.get("/live").status_code == 200


def test_metrics_page(served):
    answer = served.workers[0].get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    series = programs.parse_metrics(answer.text)
    names = {name for name, _ in series}
    assert {
        "caseview_degraded", "caseview_incomplete", "caseview_parked_total", "caseview_duplicates_total",
        "caseview_unknown_types_total", "caseview_gap_alarms",
    } <= names  # fmt: skip
    assert series["caseview_parked_total", (("reason", "not-avro"),)] == 1
    reasons = {dict(labels)["reason"] for name, labels in series if name == "caseview_parked_total"}
    assert "poison-flood" not in reasons and {"too-large", "bad-guid"} <= reasons, "every reason has its series from the start"


def test_status_as_json(served):
    report = served.status()
    ends = served.broker.ends(served.topics)
    assert report["healthy"] is True
    assert (report["degraded"], report["incomplete"], report["parked"]) == (0, 0, 1)
    found = {(p["topic"], p["partition"]): p for p in report["partitions"]}
    assert set(found) == set(ends)
    for where, (_, end) in ends.items():
        row = found[where]
        assert (row["state"], row["next_offset"], row["end_offset"], row["lag"]) == ("live", end, end, 0)
    checked = ("status", "--database", served.database.conninfo, *served.kafka(), *served.names(), "--check")
    programs.caseview(*checked, check=0)


def test_status_for_people(served):
    done = programs.caseview("status", "--database", served.database.conninfo, *served.kafka(), *served.names(), check=0)
    assert served.topics.directory in done.stdout


def test_status_without_kafka_is_not_healthy(served):
    nowhere = ["--kafka", f"bootstrap.servers=127.0.0.1:{free_port()}", "--connect-timeout-s", 1]
    report = programs.status(served.database, *served.names(), *nowhere)
    assert report["healthy"] is False and {p["end_offset"] for p in report["partitions"]} == {None}


def test_log_as_json(make_stack):
    stack = make_stack(options=["--log-format", "json"])
    worker = stack.start_worker(ready=False)
    found = worker.wait_log(r"127\.0\.0\.1:(\d+)")
    lines = [json.loads(line) for line in worker.log().splitlines()]
    assert lines and any(found[1] in str(line) for line in lines)
    assert all(re.match(r"\d{4}-\d\d-\d\dT", str(next(iter(line.values())))) for line in lines), "the time comes first"
    stack.stop_worker(worker)
