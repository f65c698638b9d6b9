"""Fixtures of the black-box tests: servers per session, one stack per test, logs of failed programs."""

import contextlib
import pathlib
import signal

import pytest

from support import avro_codec, programs
from support.cgroup import CgroupMissing, MemoryCgroup
from support.kafka import ApacheKafka, ServerMissing, fresh_topics
from support.postgres import Postgres
from support.stack import Stack, mock_stack
from support.waiting import PATIENCE

ROOT = pathlib.Path(__file__).resolve().parents[1]
TEST_LIMIT_S = 150
TAIL_BYTES = 6000


# The files that take longest begin first, so that the last ones to end are short.
LONGEST = ("test_rebalancing", "test_parked", "test_worker_faults", "test_verify", "test_worker_operations", "test_repair")


def pytest_collection_modifyitems(items):
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item, nextitem):
    """No test may hang: each has a time limit, fixtures included."""

    def too_long(*_):
        raise TimeoutError(f"the test took longer than {TEST_LIMIT_S * PATIENCE:g} s")

    programs.Program.shown.clear()
    previous = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(int(TEST_LIMIT_S * PATIENCE))
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, previous)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if call.excinfo and isinstance(call.excinfo.value, ServerMissing):
        report.longrepr = str(call.excinfo.value)
    elif report.failed:
        shown = dict.fromkeys([*programs.Program.shown, *(p.log_path for p in programs.Program.running)])
        for path in shown:
            with contextlib.suppress(OSError):
                text = path.read_bytes()[-TAIL_BYTES:].decode("utf-8", "replace")
                report.sections.append((f"end of {path}", text))


def pytest_sessionfinish(session, exitstatus):
    """Nothing that the tests started may outlive them."""
    for program in list(programs.Program.running):
        program.process.kill()
        program.process.wait(20)


@pytest.fixture(scope="session")
def schemas():
    return avro_codec.Schemas(str(ROOT / "schemas/avro"))


@pytest.fixture(scope="session")
def postgres():
    server = Postgres()
    yield server
    server.close()


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """One Apache Kafka for all; every stack has topics of its own."""
    broker = ApacheKafka(tmp_path_factory.mktemp("kafka"))
    yield broker
    broker.close()


@pytest.fixture
def make_kafka_stack(postgres, schemas, kafka, tmp_path):
    """make_kafka_stack(partitions=…, registry=…, options=…): as make_stack, on Apache Kafka, topics made."""
    with contextlib.ExitStack() as open_stacks:

        def make(partitions=None, **options):
            topics = fresh_topics(**(partitions or {}))
            stack = Stack(postgres, kafka, schemas, tmp_path, topics, own_group=True, **options)
            open_stacks.callback(stack.close)
            return stack.migrate().create_topics()

        yield make


@pytest.fixture
def make_stack(postgres, schemas, tmp_path):
    """make_stack(partitions=…, registry=…, options=…): closed at the end of the test, which checks exit codes."""
    with contextlib.ExitStack() as open_stacks:
        yield lambda postgres=postgres, **options: open_stacks.enter_context(
            mock_stack(postgres, schemas, tmp_path, **options)
        )


@pytest.fixture
def make_cgroup():
    """make_cgroup(limit_bytes): a memory cgroup, removed at the end of the test, after its processes."""
    with contextlib.ExitStack() as groups:

        def make(limit_bytes):
            try:
                return groups.enter_context(MemoryCgroup(limit_bytes))
            except CgroupMissing as missing:
                pytest.skip(str(missing))

        yield make


@pytest.fixture
def stack(make_stack):
    return make_stack()


@pytest.fixture
def registry():
    server = avro_codec.Registry()
    yield server
    server.stop()
