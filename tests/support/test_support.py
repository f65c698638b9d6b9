"""Tests of the tests' own tools, against the specifications and python3-avro."""

import collections
import io
import re
import signal
import struct
import subprocess
import sys
import types

import avro.io
import avro.schema
import pytest

from crash import faults, points
from support import avro_codec, case_json, cgroup, events, naive_fold, page_sample, programs, random_history
from support.kafka import Record
from support.tokens import Keys


def records_of(items, schemas):
    out = {role: [] for role in naive_fold.ROLES}
    for role, key, value in items:
        encoded = None if value is None else schemas.encode(role, value)
        out[role].append(Record(role, 0, len(out[role]), 0, key, encoded, ()))
    return out


def test_fingerprint_of_known_schemas():
    # The first is from the specification's test set, the second has every transformation of the canonical form.
    assert avro_codec.fingerprint("null") == 0x63DD24E7CC258F8A
    schema = {
        "doc": "x", "type": "record", "namespace": "n", "name": "R",
        "fields": [{"default": 1, "name": "f", "type": {"type": "long", "logicalType": "timestamp-micros"}},
                   {"name": "g", "type": ["null", "R"]}],
    }  # fmt: skip
    expected = '{"name":"n.R","type":"record","fields":[{"name":"f","type":"long"},{"name":"g","type":["null","n.R"]}]}'
    assert avro_codec.canonical(schema) == expected


def unbranched(value):
    """python3-avro reads a union without its branch's name."""
    ((_, payload),) = value["payload"].items()
    return {**value, "payload": payload}


def without_logical_types(schema):
    if isinstance(schema, dict):
        return {k: without_logical_types(v) for k, v in schema.items() if k != "logicalType"}
    return [without_logical_types(v) for v in schema] if isinstance(schema, list) else schema


def test_codec_against_python_avro(schemas):
    seen = collections.Counter()
    for role, _, value in random_history.History(20, cases=120).items:
        if value is None:
            continue
        schema = schemas.by_role[role]
        data = schema.encode(value)
        theirs = avro.schema.make_avsc_object(without_logical_types(schema.json))
        decoder = avro.io.BinaryDecoder(io.BytesIO(data))
        read = avro.io.DatumReader(theirs).read(decoder)
        assert read == unbranched(schema.decode(data))
        seen[next(iter(value["payload"]))] += 1
    assert len(seen) == len(naive_fold.CASE_TYPES | naive_fold.AGENT_TYPES | naive_fold.DIRECTORY_TYPES)


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.7090777e37, "3.7090777E+37"), (5.0, "5"), (0.0, "0"), (-0.0, "-0"), (0.1, "0.1"), (1e-5, "0.00001"),
     (9.9e-6, "9.9E-06"), (1e14, "100000000000000"), (1e15, "1E+15"), (16777216.0, "16777216"), (-2.5, "-2.5"),
     (3.4028234663852886e38, "3.4028235E+38"), (1.401298464324817e-45, "1E-45")],
)  # fmt: skip
def test_rank(value, text):
    assert case_json.rank(value) == text
    assert struct.pack("<f", float(text)) == struct.pack("<f", value)


def test_page_sample_by_the_naive_fold(schemas):
    view = naive_fold.fold(records_of(page_sample.items(), schemas), naive_fold.Decoder(schemas))
    ((row),) = view.active_cases.values()
    assert b"[" + row[-1] + b"]" == page_sample.ANSWER.read_bytes().strip()
    assert not view.parked
    assert view.agents == {
        (page_sample.items()[0][2]["organizationId"], page_sample.USER): (row[1], True, False)
    }


def test_random_histories_repeat_and_are_rich(schemas):
    one, two = (random_history.History(5, cases=200) for _ in range(2))
    assert one.items == two.items
    view = naive_fold.fold(records_of(one.items, schemas), naive_fold.Decoder(schemas))
    assert not view.parked
    assert len(view.active_cases) > 60
    assert any(row[4] for row in view.active_cases.values()), "some listed case is degraded"
    assert view.incomplete and view.degraded and view.duplicates
    gates = collections.Counter((bool(unit), spaces) for unit, spaces, _ in view.agents.values())
    assert gates[True, True] and gates[True, False] and gates[False, False]


def test_naive_fold_parks_what_it_must(schemas):
    case, organization = events.guid(), events.guid()
    _, good = events.queued(organization, case)
    records = [
        (b"x", b"hello"), (case.encode(), schemas.encode("case", {**good, "sequence": 0})), (None, b""),
        (case.encode(), schemas.encode("case", {**good, "eventId": "x"})), (case.encode(), None),
        (events.guid().encode(), schemas.encode("case", good)), (case.upper().encode(), schemas.encode("case", good)),
        (case.encode(), schemas.encode("case", good) + b"\0"),
    ]  # fmt: skip
    log = {"case": [Record("t", 0, i, 0, k, v, ()) for i, (k, v) in enumerate(records)], "agent": [], "directory": []}
    view = naive_fold.fold(log, naive_fold.Decoder(schemas))
    found = {offset: reason for (_, _, offset), (reason, _, _) in view.parked.items()}
    reasons = ["not-avro", "bad-sequence", "missing-key", "bad-guid", "no-value", "key-mismatch", None, "not-avro"]
    assert found == {i: reason for i, reason in enumerate(reasons) if reason}
    assert len(view.active_cases) == 1


def test_metrics_parser_is_strict():
    good = '# TYPE a counter\n# HELP a b\na_total{x="1",y="\\""} 2\n# TYPE b gauge\nb 1.5\n# EOF\n'
    assert programs.parse_metrics(good) == {("a_total", (("x", "1"), ("y", '\\"'))): 2, ("b", ()): 1.5}
    for bad in (
        "a 1\n# EOF\n", "# TYPE a counter\na 1\n# EOF\n", "# TYPE a gauge\na 1\n", "# TYPE a gauge\na one\n# EOF\n",
        '# TYPE a gauge\na{x=1} 1\n# EOF\n', "# TYPE a gauge\na 1\na 1\n# EOF\n",
    ):  # fmt: skip
        with pytest.raises((AssertionError, ValueError)):
            programs.parse_metrics(bad)


def test_tokens_are_signed_and_public():
    keys = Keys()
    assert keys.token("client").count(".") == 2
    assert all("d" not in key for key in keys.set()["keys"])


def run_in(group, mebibytes):
    """The exit code of a process that fills so much memory."""
    code = f"x = bytearray({mebibytes} << 20); x[::4096] = b'x' * len(x[::4096])"
    return subprocess.run([sys.executable, "-c", code], preexec_fn=group.join).returncode


def test_memory_cgroup(make_cgroup):
    group = make_cgroup(64 << 20)
    assert run_in(group, 20) == 0
    assert 20 << 20 <= group.peak() <= 64 << 20 and group.oom_kills() == 0
    assert run_in(group, 200) == -signal.SIGKILL
    assert group.peak() <= 64 << 20 and group.oom_kills() == 1
    folder = group.folder
    group.close()
    assert not folder.exists()


def test_every_fail_point_is_listed():
    """crash/points.py has each fail point of the workers, and no other."""
    sources = [path.read_text() for path in (programs.ROOT / "workers").rglob("*.c")]
    found = set(re.findall(r'FAIL_POINT\("([^"]+)"\)', "".join(sources)))
    listed = points.STEPS + points.REBUILD + points.OTHER
    assert sorted(found) == sorted(listed)


@pytest.mark.parametrize("root, own, expected", [
    ("/", "/a/b", ["a/b", "a", ""]),
    ("/docker/x", "/docker/x/a", ["a", ""]),  # a container that sees the host's paths
    ("/", "/not/mounted/here", [""]),
])  # fmt: skip
def test_cgroup_is_created_below_our_own_or_the_ones_above(tmp_path, root, own, expected):
    (tmp_path / "a/b").mkdir(parents=True)
    assert list(cgroup._candidates((tmp_path, root), own)) == [tmp_path / path for path in expected]


def test_cgroup_figures_of_version_2(tmp_path):
    group = cgroup.MemoryCgroup.__new__(cgroup.MemoryCgroup)  # without a cgroup file system
    group.version, group.folder = 2, tmp_path
    (tmp_path / "memory.peak").write_text("201326592\n")
    (tmp_path / "memory.events").write_text("low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n")
    assert (group.peak(), group.oom_kills()) == (192 << 20, 2)


def test_cgroup_is_created_in_a_folder_of_version_2(tmp_path):
    group = cgroup.MemoryCgroup.__new__(cgroup.MemoryCgroup)
    group.version, group.limit_bytes, group.folder = 2, 192 << 20, None
    control = tmp_path / "cgroup.subtree_control"
    control.write_text("cpu\n")
    group._create(tmp_path)
    assert control.read_text() == "+memory"  # the kernel adds it to the others
    assert (group.folder / "memory.max").read_text() == str(192 << 20)


def test_cgroup_candidates_go_up_to_the_mount(tmp_path):
    (tmp_path / "pod/worker").mkdir(parents=True)
    own = [tmp_path / "pod/worker", tmp_path / "pod", tmp_path]
    assert list(cgroup._candidates((tmp_path, "/"), "/pod/worker")) == own
    assert list(cgroup._candidates((tmp_path, "/host"), "/host/pod/worker")) == own
    assert list(cgroup._candidates((tmp_path, "/"), "/of/another/namespace")) == [tmp_path]


class Standing:
    """A worker of the crash matrix that runs."""

    def __init__(self, pid):
        self.process = types.SimpleNamespace(pid=pid)

    def check_running(self):
        pass


@pytest.mark.parametrize("step", ["random", "folded"])
def test_crash_matrix_freezes_an_owner(step):
    """At a random moment both workers own partitions; a step is reached by an owner anyway."""
    victim, other, asked = Standing(11), Standing(22), []

    def owners():  # the other one is first, and the group takes its time
        asked.append(None)
        return [{None}, {None, "host:22"}, {"host:22", "host:11"}][min(len(asked) // 4, 2)]

    run = types.SimpleNamespace(step=step, victim=victim, other=other, owners=owners, wait_moment=lambda: moments.append(len(asked)))
    moments = []
    faults.wait_freezable(run)
    assert len(moments) == 1 and (moments[0] >= 8) == (step == "random")
