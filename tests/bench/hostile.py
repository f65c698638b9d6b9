"""What one client with long lists, or many requests, does to a client of another organization, and to the API's memory."""

import http.client
import subprocess
import threading
import time

import rig as rigs
from measure import Row
from support import api_views, programs

CONNECTIONS = 120
VICTIM_PAUSE_S = 0.005
FLOODED = 5_000  # agents
VICTIM = ("eeeeeeee-0000-4000-8000-000000000001", "eeeeeeee-0000-4000-8000-000000000002")  # organization, application
AGENT = "ffffffff-0000-4000-8000-{:012d}"
# name → agents, cases of each, bytes of a case
ATTACKS = {
    "5,000 cases, 4.8 MB": (1, 5_000, 960),
    "20,000 cases, 86 MB": (1, 20_000, 4_300),
    "2,000 cases, 8 MB": (1, 2_000, 4_000),
    f"{FLOODED:,} agents, 2 cases each": (FLOODED, 2, 1_100),
}
NOTES = [
    f"`wrk` asks on {CONNECTIONS} connections as fast as it can; a client of another organization, with two cases, asks "
    f"every {VICTIM_PAUSE_S * 1000:.0f} ms on one connection; load, database and API share the machine",
]
FILL = """
insert into caseview.agent select %(org)s, ('ffffffff-0000-4000-8000-' || lpad(a::text, 12, '0'))::uuid, %(unit)s, true, false
  from generate_series(%(first)s, %(last)s) a;
insert into caseview.active_case
select %(org)s, ('ffffffff-0000-4000-8000-' || lpad(a::text, 12, '0'))::uuid, %(unit)s, md5(a || ' ' || c)::uuid,
       now() + c * interval '1 s', now(), false,
       '"' || substr(repeat(md5(random()::text), %(bytes)s / 32 + 1), 1, %(bytes)s - 2) || '"'
  from generate_series(%(first)s, %(last)s) a, generate_series(1, %(cases)s) c"""


def fill(database):
    """Returns the paths that each attack requests."""
    database.query(api_views.SCHEMA)
    attacker = (api_views.ORG, api_views.APP)
    for organization, application in (VICTIM, attacker):
        database.query(
            "insert into caseview.application values (%s, %s, 'client-1', '{}', true)", (application, organization)
        )
    first, paths = 1, {}
    for name, (agents, cases, size) in {"victim": (1, 2, 1_100), **ATTACKS}.items():
        organization, application = VICTIM if name == "victim" else attacker
        numbers = {"org": organization, "unit": api_views.UNIT, "first": first, "last": first + agents - 1}
        database.query(FILL, {**numbers, "cases": cases, "bytes": size})
        paths[name] = [f"/{application}/agents/{AGENT.format(n)}/activeCases" for n in range(first, first + agents)]
        first += agents
    database.query("vacuum analyze")
    return paths


class Victim:
    """Sends requests continuously; records latencies and failures."""

    def __init__(self, api, path, token):
        self.times, self.failures = [], 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(api.url.removeprefix("http://"), path, token), daemon=True)
        self._thread.start()

    def _run(self, address, path, token):
        connection = http.client.HTTPConnection(address, timeout=10)
        while not self._ended.is_set():
            begin = time.monotonic()
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
            answer = connection.getresponse()
            answer.read()
            self.times.append((time.monotonic() - begin) * 1000)
            self.failures += answer.status != 200
            time.sleep(VICTIM_PAUSE_S)

    def stop(self):
        self._ended.set()
        self._thread.join(30)
        if not self.times:
            raise rigs.Broken("the victim had no answer")
        return sorted(self.times)


def peak_mib(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM"))


def attack(rig, database, name, paths, token):
    """One run of one attack on a fresh API."""
    requests = rig.folder / "hostile"
    requests.write_text("".join(f"{path}\t{token}\n" for path in paths[name]))
    api = rig.api(database.conninfo)
    victim = Victim(api, paths["victim"][0], token)
    done = subprocess.run(
        ["wrk", "-t", "2", "-c", str(CONNECTIONS), "-d", f"{rig.wanted.seconds}s", "--timeout", "10s",
         "-s", str(rigs.ROOT / "tests/bench/endpoint.lua"), api.url],
        env=programs.clean_environment({"BENCH_REQUESTS": str(requests)}), capture_output=True, text=True, check=True,
    )  # fmt: skip
    times = victim.stop()
    figures = dict(pair.split("=") for pair in done.stdout.split("BENCH ")[1].split())
    result = {
        "p50": times[len(times) // 2], "p99": times[int(len(times) * 0.99)], "failures": victim.failures,
        "mib": peak_mib(api.process.pid), "rate": int(figures["requests"]) / int(figures["us"]) * 1e6,
        "refused": int(figures["status"]) / max(int(figures["requests"]), 1),
    }  # fmt: skip
    api.stop()
    return result


def run(rig):
    database = rig.postgres.create_database()
    paths = fill(database)
    token = rig.keys.token("client-1")
    samples = {name: [] for name in ATTACKS}
    for turn in range(rig.wanted.repetitions):
        for name in ATTACKS:
            rig.say(f"hostile, {name}, turn {turn + 1} of {rig.wanted.repetitions}")
            samples[name].append(attack(rig, database, name, paths, token))
    database.drop()
    rows = []
    for name, runs in samples.items():
        rows.append(
            Row(
                f"{name}: victim's p99", [r["p99"] for r in runs], "ms", target="< 50 ms",
                more=f"p50 {max(r['p50'] for r in runs):.1f} ms · {sum(r['failures'] for r in runs)} not answered with 200",
            )  # fmt: skip
        )
        rows.append(
            Row(
                f"{name}: API's peak memory", [r["mib"] for r in runs], "MiB", target="< 256 MiB",
                more=f"attacker {max(r['rate'] for r in runs):,.0f} answers/s, {max(r['refused'] for r in runs):.0%} refused",
            )  # fmt: skip
        )
    return rows
