"""The Debian package: what is in it, and its life under systemd: install, start, trouble, upgrade, remove, purge.

CASEVIEW_TEST_DEBIAN: the release, 12 or 13, that it is built for and installed on; by default the one of this machine. Another
one is built in a root folder of that release."""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import pytest
import requests

from support import page_sample, tokens
from support.booted import Booted, Podman, command, host_release, own_network, root_archive
from support.postgres import Postgres
from support.programs import ROOT
from support.stack import mock_stack
from support.waiting import wait_for

RELEASE = os.environ.get("CASEVIEW_TEST_DEBIAN") or host_release()
WORKERS = ("caseview-worker@9471.service", "caseview-worker@9472.service")
API = "caseview-api.service"
COMMANDS = "worker migrate status pause resume parked cursor explain verify repair rebuild".split()
SYSTEM = "systemd systemd-sysv dbus procps".split()
FILES = f"""
/etc/caseview/caseview.conf
/usr/bin/caseview
/usr/bin/caseview-api
UNITS/caseview-api.service
UNITS/caseview-worker@.service
/usr/share/bash-completion/completions/caseview
/usr/share/bash-completion/completions/caseview-api
/usr/share/caseview/schemas/agent-event.avsc
/usr/share/caseview/schemas/case-event.avsc
/usr/share/caseview/schemas/directory-event.avsc
/usr/share/lintian/overrides/caseview
/usr/share/man/man1/caseview.1.gz
/usr/share/man/man1/caseview-api.1.gz
{" ".join(f"/usr/share/man/man1/caseview-{name}.1.gz" for name in COMMANDS)}
""".split()


class Builder:
    """Where packages of the release are built and checked: this machine, or a root folder."""

    def __init__(self, folder):
        self.folder, self.box = folder, None
        if RELEASE != host_release():
            needed = command(ROOT / "deploy/packages", "list", "build").stdout.split() + ["build-essential", "debhelper", "lintian"]
            archive = root_archive(RELEASE, needed)
            civetweb = "/usr/src/caseview/civetweb"
            volumes = (f"{ROOT}:{ROOT}:ro", f"{folder}:{folder}", f"{civetweb}:{civetweb}:ro")
            box = folder.with_name("box")  # not in the folder, which is mounted
            box.mkdir()
            self.box = Podman(archive, box, volumes)

    def run(self, *argv, **options):
        return self.box.once(*argv) if self.box else command(*argv, **options)


class Packages:
    def __init__(self, builder):
        self.builder, self.folder = builder, builder.folder / "packages"
        self.deb = self.folder / builder.run(ROOT / "deploy/debian/build", self.folder).stdout.splitlines()[-1].split("/")[-1]

    def one(self, pattern):
        (found,) = self.folder.glob(pattern)
        return found

    def field(self, name):
        return command("dpkg-deb", "-f", self.deb, name).stdout.strip()

    def contents(self):
        """name → (mode, owner) of each file."""
        lines = command("dpkg-deb", "-c", self.deb).stdout.splitlines()
        rows = [line.split(None, 5) for line in lines]
        return {row[5][1:]: (row[0], row[1]) for row in rows if not row[5].endswith("/")}

    def with_higher_version(self, folder):
        """The same package, as if a later version had been built."""
        command("dpkg-deb", "-R", self.deb, folder / "tree")
        control = folder / "tree/DEBIAN/control"
        control.write_text(re.sub(r"(?m)^Version: .*$", "Version: 99.0-1", control.read_text()))
        command("dpkg-deb", "-b", folder / "tree", folder / "caseview_99.0-1_test.deb")
        shutil.rmtree(folder / "tree")
        return folder / "caseview_99.0-1_test.deb"


@pytest.fixture(scope="module")
def folder():
    """Outside of pytest's folders, whose owner alone can enter them: the units' users are others."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="caseview-package-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def builder(folder):
    (folder / "build").mkdir()
    return Builder(folder / "build")


@pytest.fixture(scope="module")
def packages(builder):
    return Packages(builder)


# --- the files --------------------------------------------------------------------------------------------------------


def test_the_place_to_build(builder):
    """Apart from the next test, because each test has a time limit."""
    assert builder.run("dpkg-buildpackage", "--version").stdout


def test_the_build_gives_the_packages_and_their_source(packages):
    version = re.search(r"(?m)^project\(caseview VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
    assert packages.field("Version") == f"{version}-1~deb{RELEASE}u1"
    assert packages.field("Package") == "caseview"
    for pattern in ("caseview-dbgsym_*.deb", "*.dsc", "*.changes", "*.buildinfo", f"caseview_{version}.orig.tar.xz",
                    f"caseview_{version}.orig-civetweb.tar.xz", "*.debian.tar.xz"):  # fmt: skip
        assert packages.one(pattern).stat().st_size > 0
    listed = command("tar", "-t", "-f", packages.one("*orig.tar.xz")).stdout
    assert "/CMakeLists.txt\n" in listed and not re.search(r"(?m)^[^/]*/(build|state|\.git|\.ci)/", listed)


def test_lintian_finds_nothing(packages):
    packages.builder.run("lintian", "--allow-root", "-I", "--pedantic", "--fail-on", "error,warning", packages.one("*.changes"))


def test_the_package_has_these_files(packages):
    contents = packages.contents()
    names = {re.sub(r"^(/usr)?/lib/systemd/system", "UNITS", name) for name in contents}
    assert {name for name in names if not name.startswith("/usr/share/doc/")} == set(FILES)
    assert {"/usr/share/doc/caseview/copyright", "/usr/share/doc/caseview/operations.md.gz"} <= names
    assert contents["/etc/caseview/caseview.conf"] == ("-rw-r-----", "root/root")
    assert {owner for _, owner in contents.values()} == {"root/root"}
    assert contents["/usr/bin/caseview"][0] == "-rwxr-xr-x"
    commands = re.findall(r"(?m)^  (\w+) +", command(os.environ.get("CASEVIEW_BIN_DIR", ROOT / "build/asan/bin") + "/caseview", "--help").stdout)  # fmt: skip
    assert commands == COMMANDS


def test_the_programs_are_hardened(packages, tmp_path):
    command("dpkg-deb", "-x", packages.deb, tmp_path)
    for name in ("caseview", "caseview-api"):
        program = tmp_path / "usr/bin" / name
        assert "DYN (Position-Independent Executable file)" in command("readelf", "-h", program).stdout
        assert "GNU_RELRO" in command("readelf", "-lW", program).stdout
        assert "BIND_NOW" in command("readelf", "-dW", program).stdout
        symbols = command("readelf", "--dyn-syms", "-W", program).stdout
        assert "__stack_chk_fail" in symbols and re.search(r"__\w+_chk@GLIBC", symbols)
        assert not re.search(r" abort@", symbols), "fail points end a worker: they are in builds for tests only"


# --- under systemd ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def archive(packages):
    depends = re.sub(r"\([^)]*\)", "", packages.field("Depends")).replace(",", " ").split()
    return root_archive(RELEASE, [*SYSTEM, *depends])


@pytest.fixture(scope="module")
def network():
    with own_network():
        yield


@pytest.fixture(scope="module")
def stack(network, schemas, folder):
    """PostgreSQL and a broker on the loopback that the container shares."""
    (folder / "stack").mkdir()
    server = Postgres()
    with contextlib.closing(server), mock_stack(server, schemas, folder / "stack") as stack:
        stack.dev("produce", page_sample.EVENTS)
        yield stack


@pytest.fixture(scope="module")
def machine(archive, network, packages, folder):
    (folder / "machine").mkdir()
    (folder / "upload").mkdir()
    machine = Booted(archive, folder / "machine", volumes=[f"{packages.folder}:/packages:ro", f"{folder}/upload:/upload:ro"])
    yield machine
    machine.close()


@pytest.fixture(scope="module")
def keys():
    return tokens.Keys()


def is_installed(machine):
    return (machine.root / "usr/bin/caseview").exists()


def install(machine, path):
    """By dpkg: the machine has no network, and has what the package depends on."""
    return machine.run("dpkg", "-i", path).stdout


def configure(machine, stack, keys, **more):
    database = f"host=127.0.0.1 port={stack.postgres.port} dbname={stack.database.name} user={stack.postgres.user}"
    topics = [f"{role}-topic = {stack.topics.name(role)}" for role in ("case", "agent", "directory")]
    lines = [
        f"database = {database} password=a-secret", f"kafka = bootstrap.servers={stack.broker.bootstrap}",
        *topics, f"issuer = {tokens.ISSUER}",
        f"audience = {tokens.AUDIENCE}", "jwks = /etc/caseview/jwks.json",
        *(f"{name.replace('_', '-')} = {value}" for name, value in more.items()),
    ]  # fmt: skip
    (machine.root / "etc/caseview/caseview.conf").write_text("\n".join(lines) + "\n")
    keys.write(machine.root / "etc/caseview/jwks.json")


@pytest.fixture
def serving(machine, packages, stack, keys):
    """Installed, configured; two workers and the API run."""
    if not is_installed(machine):
        install(machine, f"/packages/{packages.deb.name}")
    configure(machine, stack, keys)
    machine.run("systemctl", "reset-failed")
    machine.run("systemctl", "start", *WORKERS, API)
    for unit in (*WORKERS, API):
        machine.wait_active(unit)
    return machine


@contextlib.contextmanager
def drop_in(machine, unit, *lines):
    """A unit with other lines, until the end; they apply to its next start."""
    folder = f"/run/systemd/system/{unit}.d"
    text = "".join(f"{line}\\n" for line in ("[Service]", *lines))
    machine.run("sh", "-c", f"mkdir -p {folder} && printf '{text}' > {folder}/test.conf && systemctl daemon-reload")
    try:
        yield
    finally:
        machine.run("rm", "-r", folder)
        machine.run("systemctl", "daemon-reload")


def process(machine, unit):
    return machine.show(unit, "MainPID")


def answer(keys):
    """The sample's answer of the API; None while there is none."""
    with contextlib.suppress(requests.ConnectionError):
        return requests.get(
            f"http://127.0.0.1:8080/{page_sample.APPLICATION}/agents/{page_sample.USER}/activeCases", timeout=10,
            headers={"Authorization": f"Bearer {keys.token(page_sample.CLIENT)}"},
        )  # fmt: skip


def wait_answer(keys):
    expected = page_sample.ANSWER.read_bytes().strip()
    wait_for(lambda: (got := answer(keys)) is not None and got.content == expected, 60, "the sample's answer")


def test_a_machine_boots(machine):
    """Apart from the next test, because each test has a time limit."""
    assert machine.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded")


def test_an_installation_enables_and_starts_nothing(machine, packages):
    install(machine, f"/packages/{packages.deb.name}")
    assert machine.run("systemctl", "is-enabled", API, check=False).stdout.strip() == "disabled"
    assert not machine.is_active(API)
    assert "caseview" not in machine.run("systemctl", "list-units", "--plain", "--no-legend", "caseview*").stdout
    for program in ("caseview", "caseview-api"):
        assert machine.run(program, "--version").stdout.split()[0] == program
    lines = (machine.root / "etc/caseview/caseview.conf").read_text().splitlines()
    assert all(line.startswith("#") or not line for line in lines), "the file begins as a list of examples"


def test_the_units_are_valid_and_hardly_exposed(machine):
    units = [WORKERS[0], API]
    assert machine.run("systemd-analyze", "verify", "--man=no", *units).stdout == ""
    for unit in units:
        machine.run("systemd-analyze", "security", "--threshold=20", "--no-pager", unit)


def test_workers_and_api_serve(serving, keys):
    """Both workers are ready, with admin ports of their own, and the API answers from what they wrote."""
    wait_answer(keys)
    for unit, port in zip(WORKERS, (9471, 9472)):
        wait_for(lambda port=port: requests.get(f"http://127.0.0.1:{port}/ready", timeout=5).ok, 30, f"{unit} is ready")
        wait_for(lambda unit=unit: serving.show(unit, "StatusText").startswith("ready, "), 10, "its status says so")
    wait_for(lambda: serving.show(API, "StatusText") == "ready", 10, "the API's status says so")
    assert requests.get("http://127.0.0.1:9465/live", timeout=5).ok
    status = serving.run("caseview", "status", "--config", "/etc/caseview/caseview.conf", "--check").stdout
    assert "healthy" in status and re.search(r":\d+", status)
    policy = serving.run("chrt", "-p", process(serving, API)).stdout
    assert "SCHED_BATCH" in policy, "the sandbox lets the API choose it"


def test_the_secret_is_not_to_be_seen(serving):
    pid = process(serving, WORKERS[0])
    assert "a-secret" not in serving.run("cat", f"/proc/{pid}/environ", f"/proc/{pid}/cmdline").stdout
    owner = serving.run("stat", "-c", "%u", f"/proc/{pid}").stdout.strip()
    assert owner not in ("0", serving.run("stat", "-c", "%u", f"/proc/{process(serving, API)}").stdout.strip())
    copy = f"/run/credentials/{WORKERS[0]}/caseview.conf"
    # The user's own, or root's with an ACL for the user (systemd 257), whose mask stat shows as the group's rights.
    assert serving.run("stat", "-c", "%a %u", copy).stdout.split() in (["400", owner], ["440", "0"])
    stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    for path in (copy, "/etc/caseview/caseview.conf"):
        assert serving.run(*stranger, "cat", path, check=False).returncode != 0
    assert "a-secret" not in serving.journal("-n", "all")


def documented_drop_in():
    """The line that gives the API a file of its own, as the unit, the configuration and the manual have it."""
    unit, *others = (ROOT / path for path in ("deploy/debian/caseview.caseview-api.service", "deploy/debian/caseview.conf",
                                              "docs/operations.md"))  # fmt: skip
    (line,) = re.findall(r"(?m)^#   (LoadCredential=caseview\.conf:.*)$", unit.read_text())
    for other in others:
        assert re.search(rf"(?m)^[# ]*\[Service\]\n[# ]*{re.escape(line)}$", other.read_text()), other
    return line


def test_the_api_can_have_a_file_of_its_own(serving, stack, keys):
    """Its own options only, with a login that only reads. It never gets the workers' passwords, not even without its file."""
    server = stack.postgres
    server.query("postgres", "CREATE ROLE api_login LOGIN IN ROLE caseview_reader")
    text = (
        f"database = host=127.0.0.1 port={server.port} dbname={stack.database.name} user=api_login\n"
        f"issuer = {tokens.ISSUER}\naudience = {tokens.AUDIENCE}\njwks = /etc/caseview/jwks.json\n"
    )
    own = serving.root / "etc/caseview/api.conf"
    own.write_text(text)
    own.chmod(0o600)
    with drop_in(serving, API, documented_drop_in()):
        serving.run("systemctl", "restart", API)
        wait_answer(keys)
        users = "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name = 'caseview-api'"
        wait_for(lambda: server.query("postgres", users) == [("api_login",)], 10, "only its login has connections")
        given = f"/run/credentials/{API}"
        assert serving.run("ls", "-A", given).stdout.split() == ["caseview.conf"]
        assert serving.run("cat", f"{given}/caseview.conf").stdout == text
        assert "a-secret" not in serving.run("cat", f"/proc/{process(serving, API)}/environ").stdout
        own.unlink()
        assert serving.run("systemctl", "restart", API, check=False).returncode != 0
        serving.run("systemctl", "stop", API)
        assert "status=243/CREDENTIALS" in serving.journal("-u", API)


def test_reload_reads_files_again(serving, keys):
    serving.run("systemctl", "reload", *WORKERS, API)
    wait_for(lambda: "SIGHUP: reading schema-dir" in serving.journal("-u", WORKERS[0], "-n", "all"), 20, "the worker reads")
    wait_for(lambda: "SIGHUP: reading tls-certificate" in serving.journal("-u", API, "-n", "all"), 20, "the API reads")
    assert serving.is_active(WORKERS[0]) and serving.is_active(API)


def test_a_wrong_configuration_fails_once(serving, stack, keys):
    """Exit code 2: a restart would not help. The error is in the journal."""
    configure(serving, stack, keys, memory="1")
    unit = "caseview-worker@9473.service"
    assert serving.run("systemctl", "start", unit, check=False).returncode != 0
    assert serving.show(unit, "Result") == "exit-code" and serving.show(unit, "ExecMainStatus") == "2"
    assert serving.show(unit, "NRestarts") == "0" and serving.show(unit, "ActiveState") == "failed"
    assert re.search(r"memory: .*out of range", serving.journal("-u", unit))


def test_a_start_does_not_wait_for_the_database(serving, stack, keys):
    configure(serving, stack, keys)
    path = serving.root / "etc/caseview/worker-9473.env"
    path.write_text("CASEVIEW_DATABASE='host=127.0.0.1 port=1 dbname=x'\n")
    unit = "caseview-worker@9473.service"
    serving.run("systemctl", "start", unit)
    assert serving.is_active(unit)
    wait_for(lambda: serving.show(unit, "StatusText") == "waiting for the database", 20, "its status")
    serving.run("systemctl", "stop", unit)
    assert serving.show(unit, "Result") == "success" and serving.show(unit, "ExecMainStatus") == "0"
    path.unlink()


@pytest.mark.parametrize("unit", [WORKERS[0], API])
def test_the_watchdog_restarts_what_is_stuck(serving, keys, unit):
    with drop_in(serving, unit, "WatchdogSec=4s", "TimeoutAbortSec=2s"):
        serving.run("systemctl", "restart", unit)
        before, restarts = process(serving, unit), int(serving.show(unit, "NRestarts"))
        serving.run("kill", "-STOP", before)
        wait_for(lambda: int(serving.show(unit, "NRestarts")) > restarts, 60, "it is restarted")
        serving.wait_active(unit)
        assert process(serving, unit) != before
        assert "Watchdog timeout" in serving.journal("-u", unit)
    serving.run("systemctl", "restart", unit)
    wait_answer(keys)


def test_a_killed_worker_comes_back(serving):
    before = process(serving, WORKERS[0])
    serving.run("kill", "-KILL", before)
    wait_for(lambda: process(serving, WORKERS[0]) not in ("0", before), 60, "another process")
    serving.wait_active(WORKERS[0])


def test_an_upgrade_restarts_what_runs_one_worker_after_the_other(serving, packages, keys, folder):
    serving.run("systemctl", "enable", WORKERS[0])
    before = {unit: process(serving, unit) for unit in (*WORKERS, API)}
    higher = packages.with_higher_version(folder / "upload")
    install(serving, f"/upload/{higher.name}")
    for unit, pid in before.items():
        serving.wait_active(unit)
        assert process(serving, unit) != pid, unit
    first_active, second_stopped = (
        int(serving.show(unit, name))
        for unit, name in zip(WORKERS, ("ActiveEnterTimestampMonotonic", "ActiveExitTimestampMonotonic"))
    )
    assert first_active <= second_stopped
    assert "caseview-worker@9473" not in serving.run("systemctl", "list-units", "--state=active").stdout
    assert serving.show(WORKERS[0], "UnitFileState") == "enabled"
    wait_answer(keys)


def test_an_upgrade_starts_nothing_that_was_stopped(serving, packages, folder):
    serving.run("systemctl", "stop", WORKERS[1], API)
    install(serving, f"/packages/{packages.deb.name}")  # a downgrade: the same scripts
    assert serving.is_active(WORKERS[0]) and not serving.is_active(WORKERS[1]) and not serving.is_active(API)


def left_behind(machine):
    """Every path of the machine that has the name, and every unit that is known."""
    found = machine.run("find", "/", "-xdev", "(", "-path", "/proc", "-o", "-path", "/packages", "-o", "-path", "/upload", ")",
                        "-prune", "-o", "-name", "*caseview*", "-print").stdout.split()  # fmt: skip
    units = machine.run("systemctl", "list-units", "--all", "--plain", "--no-legend", "caseview*").stdout.split("\n")
    return found, [line for line in units if line and "not-found" not in line]


def test_a_removal_stops_all_and_keeps_the_configuration(serving):
    machine = serving
    machine.run("dpkg", "-r", "caseview")
    assert not any(machine.is_active(unit) for unit in (*WORKERS, API))
    assert machine.run("pgrep", "-f", "/usr/bin/caseview", check=False).stdout.split() == []
    assert (machine.root / "etc/caseview/caseview.conf").exists()
    assert not is_installed(machine)


def test_a_purge_leaves_nothing(machine, packages):
    if machine.run("dpkg", "-s", "caseview", check=False).returncode != 0:
        install(machine, f"/packages/{packages.deb.name}")
    machine.run("dpkg", "-P", "caseview")
    machine.run("systemctl", "reset-failed")
    found, units = left_behind(machine)
    assert (found, units) == ([], [])


def test_the_machine_has_no_such_users(machine):
    """DynamicUser: they exist only while the units run."""
    assert subprocess.run(["grep", "-c", "caseview", machine.root / "etc/passwd"], capture_output=True, text=True).stdout == "0\n"
