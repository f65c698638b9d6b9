"""How the programs begin and end in surroundings that others make: closed descriptors, a full disk, a terminal that
hangs up, a database of another encoding, variables of Kubernetes, notations of other tools.

Where the rest of what the outside world sends is tested:

| what | where |
|---|---|
| schemas, timestamps and registries of other writers | test_outside_writers.py |
| what no schema explains | test_worker_bad_input.py |
| key sets with null members and doubled kids, renewed key sets | api/test_api_keys.py |
| tokens of other providers | api/test_api_tokens.py |
| renewed certificates, a private authority | api/test_api_tls.py, api/test_api_ca_file.py |
| HTTP of proxies and scripts: tabs, white space, methods, targets, keep-alive, IPv6, no descriptor left | api/test_api_http.py, api/test_api_connections.py |
| Prometheus' text format and OpenMetrics by `Accept` | api/test_api_program.py, test_worker_programs.py |
| topics that are missing | test_operators.py, test_worker_faults.py |
| a container's memory, before and after a backlog | test_worker_memory.py |
"""

import contextlib
import os
import shlex
import signal
import subprocess

import pytest

from support import programs
from support.postgres import free_port
from support.waiting import PATIENCE, wait_for

API = ["--issuer", "i", "--audience", "a", "--listen", "127.0.0.1:0"]


@pytest.fixture
def key_set(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text('{"keys":[]}')
    return path


@contextlib.contextmanager
def started(name, *args, redirections="", environment=()):
    """A program started by a shell, with that shell's redirections; ended by SIGTERM, which must drain it."""
    line = f"exec {shlex.join([str(programs.binary(name)), *map(str, args)])} {redirections}"
    process = subprocess.Popen(
        ["bash", "-c", line], env=programs.clean_environment(environment), preexec_fn=programs.end_with_parent
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        assert process.wait(30 * PATIENCE) == 0
    finally:
        process.kill()
        process.wait(10)


def api_arguments(database, key_set, admin):
    return [*API, "--jwks", key_set, "--database", database.conninfo, "--admin-listen", f"127.0.0.1:{admin}"]


def is_live(admin):
    with contextlib.suppress(OSError):
        return programs.requests.get(f"http://127.0.0.1:{admin}/live", timeout=5).status_code == 200
    return False


# Supervisors and old init scripts start daemons like this.
@pytest.mark.parametrize("redirections", ["<&- >&- 2>&-", "2>&-", "<&- 2>&-"])
def test_closed_descriptors_are_opened_on_dev_null(migrated, key_set, redirections):
    admin = free_port()
    arguments = api_arguments(migrated, key_set, admin)
    with started("caseview-api", *arguments, redirections=redirections) as process:
        wait_for(lambda: is_live(admin), 20, "the API is live")
        closed = [fd for fd, text in enumerate(("<&-", ">&-", "2>&-")) if text in redirections.split()]
        for fd in closed:
            assert os.readlink(f"/proc/{process.pid}/fd/{fd}") == "/dev/null"


@pytest.mark.parametrize(
    "command",
    ["caseview --version", "caseview --help", "caseview --markdown", "caseview status", "caseview status --json",
     "caseview worker --help", "caseview-api --version", "caseview-api --help", "caseview-dev --version",
     "caseview-dev --help", "caseview-dev broker --help", "caseview-dev token", "caseview-dev simulate"],
)  # fmt: skip
def test_output_to_a_full_disk_is_exit_74(migrated, tmp_path, command):
    program, *words = command.split()
    more = {"status": ["--database", migrated.conninfo], "token": ["--keys", tmp_path / "keys"],
            "simulate": ["--events", 10, "--output", "-"]}  # fmt: skip
    words += map(str, more.get(words[0], []))
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [programs.binary(program), *words], stdout=full, stderr=subprocess.PIPE, text=True,
            env=programs.clean_environment(), timeout=30 * PATIENCE,
        )  # fmt: skip
    assert done.returncode == 74, done.stderr
    assert [line.split(": ", 1)[0] for line in done.stderr.splitlines() if "could not be written" in line] == [program]


def test_watch_ends_when_its_reader_has_gone(migrated):
    process = subprocess.Popen(
        [programs.binary("caseview"), "status", "--watch", "--database", migrated.conninfo],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=programs.clean_environment(),
    )  # fmt: skip
    assert process.stdout.readline()
    process.stdout.close()
    assert process.wait(20 * PATIENCE) == 74
    assert "could not be written" in process.stderr.read()
    process.stderr.close()


# A terminal or an SSH session that is closed; old init scripts and log rotation send it to servers.
def test_hangup_ends_commands_and_no_server(migrated, key_set, tmp_path):
    admin, worker_admin = free_port(), free_port()
    worker = [
        "worker", "--database", migrated.conninfo, "--kafka", "bootstrap.servers=127.0.0.1:1",
        "--admin-listen", f"127.0.0.1:{worker_admin}",
    ]  # fmt: skip
    bootstrap, shown = tmp_path / "bootstrap", tmp_path / "shown"
    with contextlib.ExitStack() as stack:
        api = stack.enter_context(started("caseview-api", *api_arguments(migrated, key_set, admin)))
        fold = stack.enter_context(started("caseview", *worker))
        broker = stack.enter_context(
            started("caseview-dev", "broker", "--bootstrap-file", bootstrap, redirections=">/dev/null")
        )
        watch = stack.enter_context(
            started("caseview", "status", "--watch", "--database", migrated.conninfo, redirections=f">{shown}")
        )
        wait_for(lambda: is_live(admin) and is_live(worker_admin) and bootstrap.exists(), 30, "the servers are live")
        wait_for(lambda: shown.exists() and shown.stat().st_size > 0, 30, "the status is shown")
        for process in (api, fold, broker, watch):
            process.send_signal(signal.SIGHUP)
        assert [process.wait(20 * PATIENCE) for process in (broker, watch)] == [0, 0]
        wait_for(lambda: is_live(admin) and is_live(worker_admin), 20, "still live")
        assert [process.poll() for process in (api, fold)] == [None] * 2


# A cluster that was made under Windows, or with a locale of the 1990s.
@pytest.mark.parametrize("encoding", ["WIN1252", "SQL_ASCII"])
def test_other_encodings_are_exit_2_and_nothing_is_made(postgres, key_set, encoding):
    name = f"t_{encoding.lower()}"
    postgres.query("postgres", f"DROP DATABASE IF EXISTS {name}")
    postgres.query("postgres", f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    database = postgres.conninfo(name)
    kafka = ["--kafka", "bootstrap.servers=127.0.0.1:1"]
    for done in (
        programs.caseview("migrate", "--database", database, check=2),
        programs.caseview("status", "--database", database, check=2),
        programs.caseview("worker", "--database", database, *kafka, "--admin-listen", "127.0.0.1:0", check=2),
        programs.run(
            "caseview-api", *API, "--jwks", key_set, "--database", database, "--admin-listen", "127.0.0.1:0", check=2
        ),
    ):
        assert f"its encoding is {encoding}, but Caseview needs UTF8" in done.stderr
    assert postgres.query(name, "SELECT nspname FROM pg_namespace WHERE nspname ~ '^(ctl|gen_|caseview)'") == []
    postgres.query("postgres", f"DROP DATABASE {name}")


def test_variables_of_services_do_not_stop_the_start(migrated):
    variables = {
        "CASEVIEW_SERVICE_HOST": "10.0.0.1",
        "CASEVIEW_PORT": "tcp://10.0.0.1:80",
        "CASEVIEW_API_SERVICE_HOST": "10.0.0.1",
        "CASEVIEW_API_SERVICE_PORT_HTTP": "80",
        "CASEVIEW_KAFKA_PORT": "tcp://10.0.0.1:9092",
        "CASEVIEW_KAFKA_PORT_9092_TCP_ADDR": "10.0.0.1",
    }
    programs.caseview("migrate", "--database", migrated.conninfo, environment=variables, check=0)
    done = programs.caseview("status", environment={**variables, "CASEVIEW_API_HOST": "x"}, check=2)
    assert "CASEVIEW_API_HOST" in done.stderr


# A file that a Windows editor saved.
def test_configuration_with_a_byte_order_mark_and_crlf(migrated, tmp_path):
    file = tmp_path / "caseview.conf"
    file.write_bytes(f"database = {migrated.conninfo}\r\n# Umlaut: ü\r\n".encode("utf-8-sig"))
    programs.caseview("status", "--config", file, check=0)
    programs.caseview("status", environment={"CASEVIEW_CONFIG": str(file)}, check=0)


# Notations that other clients of Kafka and PostgreSQL take.
@pytest.mark.parametrize(
    "words, named",
    [
        (["--case-topic", "^case.*"], '--case-topic: "^case.*" is not a valid name'),  # librdkafka's subscriptions
        (["--case-topic", "case-events,more"], '--case-topic: "case-events,more" is not a valid name'),  # Kafka Connect's lists
        (["--kafka", "bootstrap.servers=SASL_SSL://broker:9093"], "security.protocol is plaintext"),  # Java's listeners
        (["--kafka", "sasl.jaas.config=x"], "sasl.jaas.config"),  # Java's login
        (["--kafka", "bootstrap.servers: 127.0.0.1"], "--kafka: must be PROPERTY=VALUE"),  # YAML
        (["--database", "jdbc:postgresql://127.0.0.1/x"], "database: "),  # Java's driver
        (["--memory", "512m"], '--memory: "512m" is not'),  # Docker's sizes are thousandths in Kubernetes
    ],
    ids=range(7),
)
def test_foreign_notations_are_refused_and_named(words, named):
    given = {"--database": "host=127.0.0.1", "--kafka": "bootstrap.servers=127.0.0.1:1", "--admin-listen": "127.0.0.1:0",
             "--log-format": "text"}  # fmt: skip
    given.update(zip(words[::2], words[1::2]))
    done = programs.caseview("worker", *(word for pair in given.items() for word in pair), check=2)
    assert named in done.stderr


# Typed without quotes, or in another program's style: the pieces reach places where no secret is expected.
@pytest.mark.parametrize(
    "words",
    [
        ["--database", "host=x", "password=hush"],
        ["--database", "host=127.0.0.1;password=hush"],
        ["--database", "postgresql://u:hush/et@127.0.0.1/x"],
        ["--database", "postgresql://u:hush@et@127.0.0.1/x"],
        ["--postgresql://u:hush@127.0.0.1/x"],
        ["--schema-registry", "http://KEY:hush/et+Pass@127.0.0.1"],
        ["--schema-registry", "http://127.0.0.1?apiKey=hush"],
        ["postgresql://u:hush@127.0.0.1/x"],
    ],
    ids=range(8),
)
def test_secret_in_a_wrong_place_is_refused_and_not_shown(words):
    kafka = ["--kafka", "bootstrap.servers=127.0.0.1:1", "--admin-listen", "127.0.0.1:0"]
    done = programs.caseview("worker", *words, *kafka, check=2)
    assert "hush" not in done.stdout + done.stderr
    done = programs.run("caseview-api", *API, "--jwks", "/nonexistent", *(w for w in words if "registry" not in w), check=2)
    assert "hush" not in done.stdout + done.stderr
