"""A version with other tables: the view is filled by workers of the new program next to those of the old one, shown by a
switch, taken back, and shown again, while readers get answers. Each program leaves the other's generation alone."""

import contextlib
import os
import re
import shutil
import subprocess
import time

import pytest

from support import events, programs, rebuild
from support.desk import Desk, Reader
from support.programs import ROOT
from support.tokens import Keys
from support.waiting import PATIENCE, stays_true, wait_for

PARTS = ("CMakeLists.txt", "cmake", "include", "lib", "workers", "api", "schemas", "deploy")
TEMPLATE = re.compile(r"#define GENERATION_TEMPLATE (\d+)\n")
COLUMN = "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'caseview' AND column_name = 'status'"


def change(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1, f"{path}: {old!r} is there {text.count(old)} times"
    path.write_text(text.replace(old, new))


class Build:
    """`caseview` of a copy of the sources whose view of cases has one column more."""

    def __init__(self, folder):
        (folder / "source").mkdir()
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / "source" / part)
        header = folder / "source/workers/ops/generation.h"
        self.old = int(TEMPLATE.search(header.read_text())[1])
        self.new = self.old + 1
        change(header, f"#define GENERATION_TEMPLATE {self.old}\n", f"#define GENERATION_TEMPLATE {self.new}\n")
        view = "case_timestamp, degraded, body\n      FROM gen_N.active_case;"
        column = view.replace("body\n", "body, body::json ->> 'status' AS status\n")
        change(folder / "source/schemas/db/gen.sql", view, column)
        began = time.monotonic()
        make = ["cmake", "-G", "Ninja", "-S", folder / "source", "-B", folder / "build", "-DCMAKE_BUILD_TYPE=Debug", "-DCASEVIEW_TESTS=OFF"]
        for command in (make, ["cmake", "--build", folder / "build", "--target", "caseview", "-j", str(os.cpu_count())]):
            done = subprocess.run(command, capture_output=True, text=True, timeout=140 * PATIENCE)
            assert done.returncode == 0, done.stdout[-3000:] + done.stderr
        print(f"built in {time.monotonic() - began:.0f} s")
        self.folder = folder / "build/bin"

    @contextlib.contextmanager
    def chosen(self):
        """`caseview` is this build's within the block."""
        before = os.environ.get("CASEVIEW_BIN_DIR")
        os.environ["CASEVIEW_BIN_DIR"] = str(self.folder)
        try:
            yield
        finally:
            os.environ.pop("CASEVIEW_BIN_DIR") if before is None else os.environ.update(CASEVIEW_BIN_DIR=before)

    def misfit(self, generation, theirs, ours):
        return f"generation {generation} has tables of version {theirs}, this program writes version {ours}"


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    return Build(tmp_path_factory.mktemp("version"))


def is_shown(stack):
    return stack.database.value(COLUMN) == 1


def check_waits(stack, line):
    """The last worker claims nothing."""
    worker = stack.workers[-1]
    worker.wait_log(line, 40)
    owned = "SELECT count(*) FROM ctl.cursor WHERE owner LIKE %s"
    stays_true(lambda: stack.database.value(owned, (f"%:{worker.process.pid}",)) == 0, 2, "it claims nothing")
    assert worker.log().count(line) == 1
    stack.stop_worker(worker)


def test_the_view_of_a_new_version_is_shown_and_taken_back(make_kafka_stack, build):
    stack = make_kafka_stack(partitions={"cases": 3, "agents": 1, "directory": 1})
    keys = Keys()
    old = stack.start_worker()
    desk = Desk(stack)
    stack.check()
    api = stack.start_api(keys)
    readers = [Reader(desk, api, keys.token("client")) for _ in range(2)]

    def answered():
        asked = [reader.answers for reader in readers]
        wait_for(lambda: all(r.answers > a for r, a in zip(readers, asked, strict=True)), 20, "readers get answers")

    with desk:
        for reader in readers:
            reader.start()
        with build.chosen():
            programs.caseview("migrate", "--database", stack.database.conninfo, check=0)
            assert rebuild.start(stack)["generation"] == 2
            stack.start_worker("--group-id", "waits-new", ready=False)
            check_waits(stack, build.misfit(1, build.old, build.new))
        stack.start_worker("--generation", "2", "--group-id", "waits-old", ready=False)
        check_waits(stack, build.misfit(2, build.new, build.old))
        refused = rebuild.run(stack, "prepare", check=2)
        assert build.misfit(2, build.new, build.old) in refused.stderr and len(refused.stderr.splitlines()) == 1
        with build.chosen():
            rebuild.fill_up(stack)
            rebuild.run(stack, "prepare")
            assert not is_shown(stack)
            for to in (2, 1, 2):
                rebuild.switch_when_level(stack, to)
                assert is_shown(stack) == (to == 2)
                answered()
        assert {row[0] for row in stack.database.query("SELECT DISTINCT status FROM caseview.active_case")} == {"Active"}
        # The old program can still take the view back; its states it must not merge with newer ones.
        rebuild.switch_when_level(stack, 1)
        rebuild.switch_when_level(stack, 2)
        refused = rebuild.run(stack, "start", "--carry-over", check=2)
        assert f"the states of generation 2 have version {build.new}" in refused.stderr
        refused = programs.caseview(
            "parked", "retry", "--database", stack.database.conninfo, "--schema-dir", stack.schemas.folder, check=2
        )
        assert build.misfit(2, build.new, build.old) in refused.stderr
        stack.stop_worker(old)
        with build.chosen():
            rebuild.run(stack, "drop", 1)
        answered()
        for reader in readers:
            reader.ended.set()
    for reader in readers:
        reader.join(30)
        assert not reader.faults and reader.answers > 10, reader.faults[:5]
    case = events.guid()
    stack.send(events.queued(events.guid(), case))
    stack.wait_body(case)
    stack.check()
