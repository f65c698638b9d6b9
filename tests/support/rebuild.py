"""The rebuild commands of `caseview` on a stack, and the workers of another generation."""

import json

from . import programs
from .waiting import Late, wait_for


def arguments(stack, *words, database=None, bootstrap=None):
    """Kafka's options are given to the commands that ask it, and harmless for the others. database, bootstrap: other addresses
    of the servers."""
    kafka = stack.kafka(**({"bootstrap.servers": bootstrap} if bootstrap else {}))
    options = ["--database", database or stack.database.conninfo, "--log-format", "text", *kafka, *stack.names()]
    return ["rebuild", *map(str, words), *options]


def run(stack, *words, check=0, environment=(), **servers):
    """`caseview rebuild WORDS`."""
    return programs.caseview(*arguments(stack, *words, **servers), check=check, environment=environment)


def begin(stack, name, *words, environment=(), under=(), **servers):
    """The same, as a programs.Program that runs, by the command `under`."""
    argv = [*under, programs.binary("caseview"), *arguments(stack, *words, **servers)]
    return programs.Program(name, argv, stack.folder, environment)


def start(stack, *options):
    return json.loads(run(stack, "start", "--json", *options).stdout)


def status(stack, *options):
    return json.loads(run(stack, "status", "--json", *options).stdout)


def phase(stack, *options):
    return status(stack, *options)["phase"]


def fill(stack, generation=2, workers=1, **options):
    """Starts workers of the generation."""
    return [stack.start_worker("--generation", str(generation), **options) for _ in range(workers)]


def wait_phase(stack, wanted, deadline_s=60):
    wait_for(
        lambda: run(stack, "status", "--check", wanted, check=None).returncode == 0, deadline_s, f"the phase is {wanted}", poll_s=0.2
    )


def fill_up(stack, *args, **options):
    """Starts workers of the generation, and returns them when they have caught up."""
    filling = fill(stack, *args, **options)
    wait_phase(stack, "caught-up")
    return filling


def until_caught_up(stack, generation=2, workers=1, start_options=(), **options):
    """start, fill_up: returns the workers of the new generation."""
    started = start(stack, *start_options)
    assert started["generation"] == generation
    return fill_up(stack, generation, workers, **options)


def until_ready(stack, *args, **options):
    """start, fill_up, prepare: returns the workers of the new generation."""
    filling = until_caught_up(stack, *args, **options)
    run(stack, "prepare")
    return filling


def prepare_when_read(stack):
    """A prepare that is refused until everything is read; returns the run that succeeded."""

    def prepared():
        done = run(stack, "prepare", check=None)
        return done if done.returncode == 0 else None

    return wait_for(prepared, 60, "it is prepared", poll_s=0.5)


def switch(stack, generation, *options, check=0):
    return run(stack, "switch", generation, *options, check=check)


def generations(stack):
    return dict(stack.database.query("SELECT gen, state FROM ctl.generation ORDER BY gen"))


def switch_when_level(stack, generation, deadline_s=30):
    """A switch that waits for a generation that still lags."""
    wait_for(lambda: switch(stack, generation, check=None).returncode == 0, deadline_s, "the switch succeeds", poll_s=0.2)


def wait_equal(stack, view, deadline_s=20):
    """The live views are, within a moment, those of the naive fold."""
    last = {}

    def equal():
        last["lines"] = stack.differences(view)
        return not last["lines"]

    try:
        wait_for(equal, deadline_s, "rows equal the naive fold", poll_s=0.2)
    except Late:
        raise AssertionError("the rows differ from the naive fold:\n" + "\n".join(last["lines"])) from None


def views(stack, schema):
    """All rows that a reader of this schema sees, in any order; of parked records not the time at which they were parked."""
    rows = {}
    for view in ("active_case", "agent", "application", "parked"):
        found = stack.database.query(f"SELECT to_jsonb(v) - 'parked_at' FROM {schema}.{view} v")
        rows[view] = sorted(json.dumps(row, sort_keys=True) for (row,) in found)
    return rows
