"""The container image: built twice, looked into, and run by podman as Kubernetes' restricted policy would run it."""

import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import uuid

import psycopg2
import pytest

from support import page_sample, tokens, venv
from support.image import ANY_USER, NAME, Archive, ApiContainer, Container, podman
from support.postgres import Postgres
from support.programs import binary
from support.tls import Authority, Door, https_server
from support.waiting import PATIENCE, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAX_BYTES = 40_000_000
BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PROGRAMS = ("usr/bin/caseview", "usr/bin/caseview-api")
CONTENT = re.compile(
    r"""etc | etc/(passwd|group|nsswitch\.conf|os-release) | etc/ssl | etc/ssl/certs(/ca-certificates\.crt)?
    | lib | lib64 | tmp | usr | usr/(bin|lib|lib64|share) | usr/bin/caseview(-api)?
    | usr/lib/os-release | usr/lib/ssl | usr/lib/ssl/(cert\.pem|certs) | usr/lib/[a-z0-9_]+-linux-gnu
    | usr/lib/[a-z0-9_]+-linux-gnu/lib[A-Za-z0-9_.+-]+\.so\.[0-9.]+ | usr/lib(64)?/ld-linux[a-z0-9-]*\.so\.\d
    | usr/share/caseview | usr/share/caseview/schemas | usr/share/caseview/schemas/(agent|case|directory)-event\.avsc
    | usr/share/common-licenses(/[A-Z][A-Za-z0-9.-]*)? | usr/share/doc | usr/share/doc/[a-z0-9.+-]+(/copyright)?
    | var | var/lib | var/lib/dpkg | var/lib/dpkg/status\.d(/[a-z0-9.+-]+)?""",
    re.VERBOSE,
)


def run(*words, check=0, **options):
    argv = [str(word) for word in words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=400 * PATIENCE, **options)
    assert check is None or done.returncode == check, f"{argv}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def not_sources(folder, names):
    return {".git", "build", "state"} & set(names) if pathlib.Path(folder) == ROOT else {"__pycache__"}


def checkout_of_what_is_tested(folder):
    """A copy of these files, committed or not, in a repository whose only commit has a fixed time."""
    shutil.copytree(ROOT, folder, symlinks=True, ignore=not_sources)
    date = {f"GIT_{who}_DATE": "1700000000 +0000" for who in ("AUTHOR", "COMMITTER")}
    git = ["git", "-C", folder, "-c", "user.name=test", "-c", "user.email=test@localhost"]
    run(*git, "init", "-q")
    run(*git, "add", "-A")
    run(*git, "commit", "-q", "-m", "what is tested", env={**os.environ, **date})
    return folder


class Build:
    """One run of deploy/image/build in a checkout."""

    def __init__(self, checkout, tag, output, **options):
        self.checkout = checkout
        self.revision = run("git", "-C", checkout, "rev-parse", "HEAD").stdout.strip()
        run(checkout / "deploy/image/build", tag, "--output", output, **options)
        self.archive_path, self.spdx_path = (output / f"caseview-{tag}.{end}" for end in ("tar", "spdx.json"))


@pytest.fixture(scope="module")
def tag():
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield name
    podman("rmi", "--force", f"{NAME}:{name}", check=None)


@pytest.fixture(scope="module")
def built(tmp_path_factory, tag):
    folder = tmp_path_factory.mktemp("image")
    return Build(checkout_of_what_is_tested(folder / "checkout"), tag, folder / "output")


@pytest.fixture(scope="module")
def archive(built):
    return Archive(built.archive_path)


@pytest.fixture(scope="module")
def spdx(built):
    return json.loads(built.spdx_path.read_text())


@pytest.fixture(scope="module")
def image(built, tag):
    """The image as the build left it in the local storage."""
    return f"{NAME}:{tag}"


@pytest.fixture
def start(image, tmp_path):
    """start(WORDS…, kind=Container, …): a container that is removed at the end of the test."""
    started = []

    def make(*words, kind=Container, **options):
        started.append(kind(image, tmp_path, *words, **options))
        return started[-1]

    yield make
    for container in started:
        container.remove()


# --- what was built


def test_only_what_is_expected_is_in_it(archive):
    unexpected = [name for name in archive.members if not CONTENT.fullmatch(name.rstrip("/"))]
    assert not unexpected
    for name, member in archive.members.items():
        assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", ""), name
        assert member.mtime == 1700000000, name
        assert member.isdir() or member.isfile() or member.issym(), name
        mode, executable = member.mode & 0o7777, name in PROGRAMS or ".so." in name
        if member.isdir():
            assert mode == (0o1777 if name.rstrip("/") == "tmp" else 0o755), name
        elif member.isfile():
            assert mode == (0o755 if executable else 0o644), name
    assert archive.files["etc/passwd"].decode().splitlines()[1].startswith("caseview:x:65532:65532:")
    assert archive.files["etc/group"].decode().splitlines()[1] == "caseview:x:65532:"


def test_second_build_elsewhere_gives_the_same_bytes(built, tag, tmp_path):
    environment = {**os.environ, "TZ": "Asia/Jerusalem", "LC_ALL": "C.UTF-8"}
    run("git", "clone", "-q", built.checkout, tmp_path / "in/another/folder", umask=0o077)
    other = Build(tmp_path / "in/another/folder", tag, tmp_path / "output", umask=0o077, env=environment)
    assert other.revision == built.revision
    for one, two in ((built.archive_path, other.archive_path), (built.spdx_path, other.spdx_path)):
        assert hashlib.sha256(one.read_bytes()).digest() == hashlib.sha256(two.read_bytes()).digest(), two.name


def test_it_is_small(archive):
    print(f"image: {len(archive.layer)} bytes, compressed {len(archive.compressed)}")
    assert len(archive.layer) <= MAX_BYTES


def test_programs_are_stripped_releases_without_traces_of_the_build(archive, built):
    of_tests = re.compile(rb"CASEVIEW_TEST_\w+")  # fail points, limits of batches
    assert of_tests.search(binary("caseview").read_bytes()), "the tests' own build has them"
    for program in PROGRAMS:
        data = archive.files[program]
        assert not of_tests.search(data)
        assert b".symtab" not in data and b".debug_info" not in data
        for trace in (str(built.checkout), str(built.checkout.parent.parent), socket.gethostname() + "\0"):
            assert trace.encode() not in data, trace


def needed(path):
    """Names of the libraries that a program or library asks for."""
    return set(re.findall(r"\(NEEDED\).*\[(.+)\]", run("readelf", "-d", path).stdout))


def test_the_libraries_are_those_that_the_programs_need(archive, tmp_path):
    archive.unpack(tmp_path)
    found = {p.name: p for p in tmp_path.rglob("*.so.*")}
    wanted, pending = set(), [tmp_path / program for program in PROGRAMS]
    while pending:
        new = needed(pending.pop()) - wanted
        assert new <= set(found), "missing libraries"
        wanted |= new
        pending += [found[name] for name in new]
    assert wanted == set(found)
    assert "libgcc_s.so.1" in found, "the C library loads it when a thread ends itself"
    loader = re.search(r"interpreter: (\S+)\]", run("readelf", "-l", tmp_path / PROGRAMS[0]).stdout)[1]
    folder = pathlib.Path(loader).parent.name
    assert archive.members[folder].linkname == f"usr/{folder}" and f"usr{loader}" in archive.files


def test_certificate_authorities_are_those_of_debian(archive):
    names = re.findall(r"(?m)^/.*/mozilla/.*\.crt$", run("dpkg-query", "-L", "ca-certificates").stdout)
    bundle = archive.files[BUNDLE.lstrip("/")]
    assert len(names) > 100 and bundle.count(b"-----BEGIN CERTIFICATE-----") == len(names)
    assert all(pathlib.Path(name).read_bytes().strip() in bundle for name in names)


def test_image_configuration(archive, built):
    given = archive.config["config"]
    assert (archive.config["os"], given["User"], given["WorkingDir"]) == ("linux", "65532:65532", "/")
    assert given["Cmd"] == ["caseview", "--help"] and "Entrypoint" not in given
    assert given["Env"] == ["PATH=/usr/bin"]
    assert set(given["ExposedPorts"]) == {"8080/tcp", "9464/tcp", "9465/tcp"}
    assert given["StopSignal"] == "SIGTERM"
    project = (built.checkout / "CMakeLists.txt").read_text()
    assert given["Labels"] == {
        "org.opencontainers.image.title": "caseview",
        "org.opencontainers.image.description": re.search(r'DESCRIPTION "(.+)"', project)[1],
        "org.opencontainers.image.version": re.search(r"project\(caseview VERSION (\S+)", project)[1],
        "org.opencontainers.image.revision": built.revision,
        "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
        "org.opencontainers.image.licenses": "Apache-2.0",
    }
    assert archive.manifest["annotations"] == given["Labels"]
    assert archive.config["created"] == "2023-11-14T22:13:20Z"


def test_archive_can_be_loaded_elsewhere(built, image, archive):
    with tempfile.TemporaryDirectory(prefix="cv-") as folder:  # podman takes short paths only
        storage = ["--root", f"{folder}/root", "--runroot", f"{folder}/run", "--storage-driver", "vfs"]
        podman(*storage, "load", "-q", "-i", built.archive_path)
        identity = podman(*storage, "image", "inspect", "--format", "{{.Id}}", image).stdout.strip()
    assert identity == archive.manifest["config"]["digest"].removeprefix("sha256:")


def test_what_cannot_be_built_is_refused(tmp_path):
    build = ROOT / "deploy/image/build"
    assert "not a tag" in run(build, "-x", check=1).stderr
    assert "deploy/image/build TAG" in run(build, check=1).stderr
    assert "deploy/image/build TAG" in run(build, "1", "--out", tmp_path, check=1).stderr


# --- the list of what is in it


def test_list_of_contents_is_valid_spdx(built, tmp_path):
    spdx = json.loads(built.spdx_path.read_text())
    assert spdx["spdxVersion"] == "SPDX-2.3"
    validate = venv.programs_of("image", pathlib.Path(__file__).with_name("requirements.txt")) / "pyspdxtools"
    run(validate, "-i", built.spdx_path)
    spdx["packages"][0]["SPDXID"] = "SPDXRef-another"  # which no relationship knows
    broken = tmp_path / "broken.spdx.json"
    broken.write_text(json.dumps(spdx))
    run(validate, "-i", broken, check=1)


def test_list_of_contents_has_each_file_and_its_package(archive, spdx):
    packages = {package["SPDXID"]: package for package in spdx["packages"]}
    files = {file["SPDXID"]: file for file in spdx["files"]}
    digests = {
        (f["fileName"].removeprefix("./"), c["algorithm"]): c["checksumValue"] for f in files.values() for c in f["checksums"]
    }
    expected = {
        (path, name): hashlib.new(name, data).hexdigest() for path, data in archive.files.items() for name in ("SHA1", "SHA256")
    }
    assert digests == expected
    owners = {
        files[r["relatedSpdxElement"]]["fileName"].removeprefix("./"): packages[r["spdxElementId"]]
        for r in spdx["relationships"]
        if r["relationshipType"] == "CONTAINS" and r["relatedSpdxElement"] in files
    }
    assert owners.keys() == archive.files.keys()
    for path in archive.files:
        if re.search(r"\.so\.", path):
            check_package(owners[path], archive)
    assert {owners[program]["name"] for program in PROGRAMS} == {"caseview"}
    check_package(owners[BUNDLE.lstrip("/")], archive)


def check_package(package, archive):
    """It is the installed one, and its licence and record are in the image."""
    fields = run("dpkg-query", "-W", "-f", "${Version} ${Architecture}\n", package["name"]).stdout.split()[:2]
    (reference,) = package["externalRefs"]
    name, version = (text.replace("+", "%2B").replace(":", "%3A") for text in (package["name"], fields[0]))
    assert package["versionInfo"] == fields[0]
    assert reference["referenceLocator"] == f"pkg:deb/debian/{name}@{version}?arch={fields[1]}"
    assert archive.files[f"usr/share/doc/{package['name']}/copyright"]
    record = archive.files[f"var/lib/dpkg/status.d/{package['name']}"].decode()
    assert f"\nVersion: {fields[0]}\n" in record


def test_list_of_contents_names_what_is_compiled_in_and_the_image(archive, spdx):
    packages = {package["name"]: package for package in spdx["packages"]}
    assert re.fullmatch(r"1\.1[56]\+dfsg-.+", packages["civetweb"]["versionInfo"])
    assert packages["civetweb"]["licenseDeclared"] == "MIT"
    assert packages["caseview"]["licenseDeclared"] == "Apache-2.0"
    (digest,) = [p["checksums"][0]["checksumValue"] for p in spdx["packages"] if p["primaryPackagePurpose"] == "CONTAINER"]
    assert f"sha256:{digest}" == archive.entry["digest"]
    licences = [package["licenseDeclared"] for package in spdx["packages"]]
    assert licences.count("NOASSERTION") < len(licences) / 2
    named = {t for text in archive.files.values() for t in re.findall(rb"usr/share/common-licenses/[\w.-]*\w", text)}
    assert {name.decode() for name in named} <= archive.files.keys()


# --- run


@pytest.mark.parametrize("user", ["65532:65532", ANY_USER])
@pytest.mark.parametrize("program", ["caseview", "caseview-api"])
def test_programs_start(image, program, user):
    done = podman("run", "--rm", "--network=none", "--read-only", "--user", user, image, program, "--version")
    assert re.fullmatch(rf"{program} \d+\.\d+\.\d+\n", done.stdout)


def test_without_a_command_it_shows_its_help(image):
    assert "usage: caseview COMMAND" in podman("run", "--rm", "--network=none", image).stdout


def test_there_is_no_shell(image):
    for shell in ("sh", "/bin/sh", "/bin/bash", "busybox"):
        assert podman("run", "--rm", "--network=none", image, shell, "-c", "true", check=None).returncode == 127


def tcp(server, database):
    return f"host=127.0.0.1 port={server.port} dbname={database} user=postgres"


@pytest.fixture
def server():
    """A database server that the test may stop."""
    own = Postgres()
    yield own
    own.close()


@pytest.fixture
def platform(make_stack, server, start):
    """A stack on that server, and the options of its worker in a container."""
    stack = make_stack(postgres=server, migrate=False)
    stack.conninfo = tcp(server, stack.database.name)
    migrate = start("caseview", "migrate", "--database", stack.conninfo)
    assert migrate.wait(60) == 0

    def worker(database=stack.conninfo, kafka=(), mounts=()):
        kafka = stack.kafka(**{"session.timeout.ms": 6000, "heartbeat.interval.ms": 500, **dict(kafka)})
        given = ["--database", database, "--admin-listen", "127.0.0.1:0", "--log-format", "text"]
        return start("caseview", "worker", *kafka, *stack.names(), *given, mounts=mounts)

    def api(jwks, mounts=()):
        """jwks: a file here, or a URL."""
        if isinstance(jwks, pathlib.Path):
            mounts, jwks = [*mounts, (jwks, "/etc/caseview/jwks.json")], "/etc/caseview/jwks.json"
        return start(
            "caseview-api", "--database", stack.conninfo, "--jwks", jwks, "--issuer", tokens.ISSUER, "--audience",
            tokens.AUDIENCE, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--log-format", "text",
            kind=ApiContainer, mounts=mounts,
        )  # fmt: skip

    stack.container_worker, stack.container_api = worker, api
    return stack


def test_worker_folds_and_api_answers_and_both_drain(platform, tmp_path):
    """With the schemas of the image, a read-only root, no capabilities, and a user that no file knows."""
    keys = tokens.Keys()
    worker, api = platform.container_worker(), platform.container_api(keys.write(tmp_path / "jwks.json"))
    worker.wait_ready()
    api.wait_ready()
    for program in (worker, api):
        status = program.status()
        assert status["NSpid"][-1] == "1" and status["Uid"][0] == ANY_USER.partition(":")[0]
        assert status["CapEff"] == ["0000000000000000"] and status["NoNewPrivs"] == ["1"]
        assert program.inspect()["HostConfig"]["ReadonlyRootfs"] is True

    platform.dev("produce", page_sample.EVENTS)
    platform.wait_caught_up()
    token = keys.token(page_sample.CLIENT)
    answer = api.active_cases(page_sample.APPLICATION, page_sample.USER, token)
    assert answer.status_code == 200 and answer.content == page_sample.ANSWER.read_bytes().strip()
    podman("stop", "--time", 60, api.container)  # by the image's own stop signal
    assert api.wait() == 0
    worker.stop()
    for program in (worker, api):
        assert not program.is_running()


def test_sigterm_while_the_database_is_away(platform, server, tmp_path):
    keys = tokens.Keys()
    worker, api = platform.container_worker(), platform.container_api(keys.write(tmp_path / "jwks.json"))
    worker.wait_ready()
    api.wait_ready()
    server.stop()
    platform.dev("produce", page_sample.EVENTS)
    worker.wait_log("Connection refused")
    token = keys.token(page_sample.CLIENT)
    assert api.active_cases(page_sample.APPLICATION, page_sample.USER, token).status_code == 503
    api.stop()
    worker.stop()
    waiting = platform.container_worker()
    waiting.wait_log("Connection refused")
    waiting.stop()
    server.start()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256"])
def test_sasl_mechanism_is_there(platform, mechanism):
    """A client of librdkafka cannot be made without the mechanism; this one gets as far as connecting."""
    worker = platform.container_worker(
        kafka={
            "bootstrap.servers": "127.0.0.1:1", "security.protocol": "sasl_plaintext", "sasl.mechanism": mechanism,
            "sasl.username": "user", "sasl.password": "secret",
        },
    )  # fmt: skip
    worker.wait_log("sasl_plaintext://127.0.0.1:1/bootstrap: Connect to .* failed: Connection refused")
    worker.stop()


# --- certificate authorities: those of the image are used, and another file in their place is


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"), "private")


def test_https_of_the_key_set(platform, authority):
    with https_server(tokens.Keys().set()) as provider:
        provider.context.load_cert_chain(authority.server)
        url = f"https://localhost:{provider.server_port}/keys"
        stranger = platform.container_api(url)
        stranger.wait_log("unable to get local issuer certificate")
        trusted = platform.container_api(url, mounts=[(authority.path, BUNDLE)])
        trusted.wait_ready()


def test_https_of_the_schema_registry(make_stack, registry, server, start, authority):
    stack = make_stack(postgres=server, registry=registry)
    stack.dev("produce", page_sample.EVENTS)
    with Door(authority.server) as door:
        worker = start(
            "caseview", "worker", *stack.kafka(), *stack.names(), "--database", tcp(server, stack.database.name),
            "--schema-registry", f"https://localhost:{door.port}/apis/ccompat/v7", "--admin-listen", "127.0.0.1:0",
        )  # fmt: skip
        worker.wait_log("unable to get local issuer certificate")
        assert "ok" not in door.outcomes


def test_tls_of_kafka(platform, authority):
    def outcome(**options):
        with Door(authority.server) as door:
            kafka = {"bootstrap.servers": f"localhost:{door.port}", "security.protocol": "ssl"}
            worker = platform.container_worker(kafka=kafka, **options)
            wait_for(lambda: door.outcomes, 30, "the broker is asked")
            return worker, door.outcomes[0]

    assert outcome(mounts=[(authority.path, BUNDLE)])[1] == "ok"
    stranger, objection = outcome()
    assert "unknown ca" in objection.lower()
    stranger.wait_log("certificate verify failed")


def test_tls_of_postgresql(platform, server, authority, start):
    certificate = server.folder / "server.pem"
    shutil.copy(authority.server, certificate)
    shutil.chown(certificate, server.account)
    certificate.chmod(0o600)
    server.stop()
    server.settings.update(ssl="on", ssl_cert_file=certificate, ssl_key_file=certificate)
    server.start()
    with_tls = platform.conninfo.replace("127.0.0.1", "localhost") + f" sslmode=verify-full sslrootcert={BUNDLE}"
    stranger = platform.container_worker(database=with_tls)
    stranger.wait_log("certificate verify failed")
    trusted = platform.container_worker(database=with_tls, mounts=[(authority.path, BUNDLE)])
    trusted.wait_ready()
    if psycopg2.extensions.libpq_version() >= 160000:  # the same library as in the image
        system = platform.container_worker(database=with_tls.replace(BUNDLE, "system"), mounts=[(authority.path, BUNDLE)])
        system.wait_ready()
