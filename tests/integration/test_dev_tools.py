"""caseview-dev as a program: simulated events, keys and tokens, and the mock broker."""

import collections
import json
import signal
import stat
import subprocess
import sys
import time

import pytest
from jwcrypto import jwk, jws

from support import naive_fold, programs
from support.waiting import wait_for

SIMULATE = ("simulate", "--events", 12_000, "--cases", 100)


def simulate(folder, name="events.jsonl", *args, seed=7):
    """Returns the events as lines, and the manifest."""
    file, manifest = folder / name, folder / f"{name}.manifest"
    programs.run("caseview-dev", *SIMULATE, "--seed", seed, "--output", file, "--manifest", manifest, *args, check=0)
    return file.read_text(encoding="utf-8").splitlines(), json.loads(manifest.read_text())


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    lines, manifest = simulate(tmp_path_factory.mktemp("day"))
    return [json.loads(line) for line in lines], manifest


def payloads(events):
    return collections.Counter(next(iter(e["value"]["payload"])) if e["value"] else "forgotten" for e in events)


def test_same_seed_same_bytes(tmp_path):
    first, second, other = simulate(tmp_path), simulate(tmp_path, "again"), simulate(tmp_path, "other", seed=8)
    assert first == second
    assert first[0] != other[0]


def test_every_event_type_of_the_contract_occurs(day, schemas):
    events, _ = day
    known = set()
    for file in ("case-event", "agent-event", "directory-event"):
        schema = json.loads(open(f"{schemas.folder}/{file}.avsc", encoding="utf-8").read())
        known |= {branch["name"] for field in schema["fields"] if field["name"] == "payload" for branch in field["type"]}
    assert len(events) == 12_000
    assert set(payloads(events)) == known | {"forgotten"}


def test_sequences_and_versions_have_no_gaps(day):
    numbers = collections.defaultdict(list)
    for event in (e for e in day[0] if e["value"]):
        value = event["value"]
        if event["topic"] == "directory":
            numbers[value["entityId"]].append(value["version"])
        else:
            numbers[value["organizationId"], value.get("caseId") or value["userId"]].append(value["sequence"])
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())


def test_events_per_case_is_close_to_the_option(tmp_path):
    for wanted in (2, 5, 20):
        lines, _ = simulate(tmp_path, f"mean-{wanted}", "--events-per-case", wanted)
        counts = collections.Counter(e["value"]["caseId"] for e in map(json.loads, lines) if e["topic"] == "case")
        over = {
            e["value"]["caseId"]
            for e in map(json.loads, lines)
            if e["topic"] == "case" and {"CaseClosed", "QueueAbandoned"} & set(e["value"]["payload"])
        }
        mean = sum(counts[c] for c in over) / len(over)
        assert 0.7 * wanted <= mean <= 1.5 * wanted, f"{mean} for {wanted}"


def test_one_event_per_case_queues_and_nothing_else(tmp_path):
    lines, _ = simulate(tmp_path, "one", "--events-per-case", 1)
    events = [json.loads(line) for line in lines]
    cases = [e for e in events if e["topic"] == "case"]
    first = events.index(cases[0])
    assert events[first:] == cases
    assert set(payloads(cases)) == {"CaseQueued"} and len({e["value"]["caseId"] for e in cases}) == len(cases) > 10_000


def test_manifest_agrees_with_the_log(make_stack, tmp_path):
    """Compares the simulator's manifest with the naive fold of its events; no worker runs."""
    stack = make_stack()
    file = tmp_path / "manifest.json"
    stack.dev(*SIMULATE, "--seed", 11, "--manifest", file, deadline_s=60)
    manifest = json.loads(file.read_text())
    view = stack.expected()
    assert not view.parked

    agents, listed = {}, collections.defaultdict(list)
    for (organization, case), row in view.active_cases.items():
        user, unit, date = row[:3]
        if view.agents.get((organization, user), (None,))[0] == unit:
            listed[organization, user].append((date, case))
    for organization in manifest["organizations"]:
        for agent in organization["agents"]:
            key = (organization["organizationId"], agent["userId"])
            agents[key] = (agent["currentUnitId"], agent["hasWorkspaces"])
            assert [case for _, case in sorted(listed.pop(key, []))] == agent["activeCases"], key
        for application in organization["applications"]:
            row = view.applications[organization["organizationId"], application["applicationId"]]
            assert row[0] == application["clientId"] and row[2] == application["enabled"]
    assert not listed
    assert {k: (v[0], v[1] if v[0] else False) for k, v in view.agents.items()} == agents
    assert sum(len(a["activeCases"]) for o in manifest["organizations"] for a in o["agents"]) > 10


def test_rate_and_stop(make_stack, tmp_path):
    """Runs at a fixed rate by the wall clock until SIGTERM: exit 0, all delivered, the manifest up to date."""
    stack = make_stack(migrate=False)
    manifest = tmp_path / "manifest.json"
    argv = [
        programs.binary("caseview-dev"), "simulate", *stack.kafka(), *stack.names(), "--schema-dir",
        stack.schemas.folder, "--rate", 200, "--warm-up", 1000, "--clock", "wall", "--manifest", manifest,
    ]  # fmt: skip
    before = time.time()
    program = programs.Program("simulate", argv, tmp_path)
    wait_for(lambda: manifest.exists() and json.loads(manifest.read_text())["records"] > 1200, 30, "it goes on")
    program.stop()
    records = json.loads(manifest.read_text())["records"]
    assert sum(end for _, end in stack.broker.ends(stack.topics).values()) == records
    assert records < 1000 + 200 * (time.time() - before) + 100
    decoder = naive_fold.Decoder(stack.schemas, None)
    cases = [decoder.decode("case", r)[1] for r in stack.broker.read_all(stack.topics)["case"]]
    assert all(abs(c["occurredAt"] / 1e6 - time.time()) < 120 for c in cases)


# --- token


def token(folder, *args, **options):
    return programs.run("caseview-dev", "token", "--keys", folder / "keys", *args, **{"check": 0, **options}).stdout.strip()


def verified(folder, text, algorithm):
    """Returns header and claims after verifying the signature with the published key."""
    keys = jwk.JWKSet.from_json((folder / "keys/jwks.json").read_text())
    signed = jws.JWS()
    signed.allowed_algs = [algorithm]
    signed.deserialize(text)
    signed.verify(keys.get_key(signed.jose_header["kid"]))
    return signed.jose_header, json.loads(signed.payload)


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256"])
def test_token_signature_and_claims(tmp_path, algorithm):
    now = time.time()
    text = token(
        tmp_path, "--algorithm", algorithm, "--issuer", "https://i.example", "--audience", "a,b", "--client", "c",
        "--client-claim", "appid", "--roles", "Agent Impersonator,x", "--valid-in-s", -5, "--claims", '{"iat":null,"n":1.5}',
    )  # fmt: skip
    header, claims = verified(tmp_path, text, algorithm)
    assert header == {"alg": algorithm, "kid": algorithm.lower(), "typ": "JWT"}
    assert abs(claims.pop("exp") - now - 3600) < 60 and abs(claims.pop("nbf") - now + 5) < 60
    assert claims == {
        "iss": "https://i.example", "aud": ["a", "b"], "appid": "c", "roles": ["Agent Impersonator", "x"], "n": 1.5,
    }  # fmt: skip


def test_token_keys_stay_and_new_ones_join(tmp_path):
    first = token(tmp_path)
    before = json.loads((tmp_path / "keys/jwks.json").read_text())["keys"]
    rotated = token(tmp_path, "--kid", "next")
    after = json.loads((tmp_path / "keys/jwks.json").read_text())["keys"]
    assert [k["kid"] for k in after] == ["rs256", "ps256", "es256", "next"] and after[:3] == before
    assert verified(tmp_path, first, "RS256") and verified(tmp_path, rotated, "RS256")[0]["kid"] == "next"
    done = programs.run(
        "caseview-dev", "token", "--keys", tmp_path / "keys", "--kid", "es256", "--algorithm", "RS256", check=2
    )
    assert "--kid es256" in done.stderr and not done.stdout


def test_token_private_halves_stay_private(tmp_path):
    token(tmp_path)
    private = tmp_path / "keys/private.json"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    secrets = {k[m] for k in json.loads(private.read_text())["keys"] for m in ("d", "p", "q") if m in k}
    published = (tmp_path / "keys/jwks.json").read_text()
    assert len(secrets) == 7 and not any(secret in published for secret in secrets)


def test_token_several_at_once_make_one_set(tmp_path):
    argv = [programs.binary("caseview-dev"), "token", "--keys", str(tmp_path / "keys"), "--algorithm", "ES256"]
    running = [
        subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=programs.clean_environment()) for _ in range(6)
    ]
    texts = [process.communicate(timeout=60)[0].strip() for process in running]
    assert all(process.returncode == 0 for process in running)
    assert len(json.loads((tmp_path / "keys/jwks.json").read_text())["keys"]) == 3
    assert all(verified(tmp_path, text, "ES256") for text in texts)


# --- broker


def test_broker_ends_with_its_parent(tmp_path):
    """The broker exits when its parent process is killed."""
    file = tmp_path / "bootstrap"
    code = (
        "import subprocess, sys\n"
        "p = subprocess.Popen(sys.argv[1:])\n"
        "print(p.pid, flush=True)\n"
        "sys.stdin.read()\n"
    )
    argv = [sys.executable, "-c", code, programs.binary("caseview-dev"), "broker", "--end-with-parent", "--bootstrap-file", file]
    parent = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=programs.clean_environment()
    )
    broker = int(parent.stdout.readline())
    wait_for(file.exists, 20, "the broker tells its address")
    parent.send_signal(signal.SIGKILL)
    parent.wait(20)
    parent.stdin.close()
    parent.stdout.close()

    def gone():
        try:
            with open(f"/proc/{broker}/stat", encoding="ascii") as state:
                return state.read().rpartition(") ")[2].startswith("Z")
        except FileNotFoundError:
            return True

    wait_for(gone, 20, "the broker ended")


def test_broker_has_the_given_topics_and_partitions(make_stack):
    stack = make_stack(migrate=False, partitions={"cases": 7, "agents": 3, "directory": 1})
    found = stack.broker.producer().list_topics(timeout=20).topics
    assert {name: len(t.partitions) for name, t in found.items()} == {
        stack.topics.case: 7, stack.topics.agent: 3, stack.topics.directory: 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    "args, named",
    [
        (("broker", "--case-partitions", 0), "--case-partitions"),
        (("broker", "more"), "more"),
        (("simulate", "--output", "/nonexistent/x"), "--output"),
        (("simulate", "--seed", -1), "--seed"),
        (("token", "--claims", "[]"), "--claims"),
        (("token", "--algorithm", "HS256"), "--algorithm"),
        (("token", "--keys", "/proc/no"), "--keys"),
        ((), "usage"),
        (("no-such",), "usage"),
    ],
)
def test_wrong_usage(args, named):
    assert named in programs.run("caseview-dev", *args, check=2).stderr


def test_simulate_without_broker_says_so(schemas):
    done = programs.run(
        "caseview-dev", "simulate", "--kafka", "bootstrap.servers=127.0.0.1:1", "--schema-dir", schemas.folder,
        "--connect-timeout-s", 1, check=3,
    )  # fmt: skip
    assert "cannot reach any broker" in done.stderr
