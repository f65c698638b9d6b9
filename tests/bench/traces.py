"""What log-traces costs the endpoint: the same requests with a trace each and without, to the same API, in turn."""

import dataclasses

import endpoint

CONNECTIONS = (1, 8, 32)


@dataclasses.dataclass
class Traced:
    """The API, asked with a traceparent in each request or in none."""

    api: endpoint.CaseviewApi
    name: str
    traces: bool

    def each(self, connections):
        self.api.environment = {"BENCH_TRACES": "1"} if self.traces else {}
        return self.api.each(connections)


def notes(rig):
    return [*endpoint.notes(rig), "with traces: statements name the traceparent of their requests and are not prepared"]


def run(rig):
    database = endpoint.fill(rig)
    endpoint.write_requests(rig)
    api = endpoint.CaseviewApi(rig, database, "--log-traces")
    targets = [Traced(api, "without traces", False), Traced(api, "with traces", True)]
    samples = {(connections, t.name): [] for connections in CONNECTIONS for t in targets}
    try:
        for turn in range(rig.wanted.repetitions):
            for connections in CONNECTIONS:
                rig.say(f"traces, {connections} connections, turn {turn + 1} of {rig.wanted.repetitions}")
                for t in targets[turn % 2 :] + targets[: turn % 2]:
                    samples[connections, t.name].append(t.each(connections))
    finally:
        api.close()
    database.drop()
    return [endpoint.figures(t.name, c, samples[c, t.name], None) for c in CONNECTIONS for t in targets]
