"""The operators' other commands on a generation whose rows for readers are not rendered yet."""

import json

from support import events, programs, rebuild
from support.random_history import History

SCHEMA_ID = 7001
NOT_RENDERED = "the rows for readers of generation 2 are not rendered yet: run `caseview rebuild prepare`"


def command(stack, words, *args, **options):
    where = ["--database", stack.database.conninfo, *stack.kafka(), *stack.names(), "--log-format", "text"]
    decoding = ["--schema-dir", stack.schemas.folder, "--schema-registry", stack.registry.url]
    return programs.caseview(*words.split(), *where, *decoding, "--generation", 2, *args, **options)


def check_refused(done):
    assert done.stdout == "" and len(done.stderr.splitlines()) == 1, done.stderr
    assert f"{NOT_RENDERED}, or verify another generation (--generation)" in done.stderr


def unfinished(stack, check=1):
    """`status --check` of the generation: what it says to do about the rebuild."""
    report = json.loads(command(stack, "status", "--check", "--json", check=check).stdout)
    assert report["healthy"] == (check == 0)
    return [line for line in report["next"] if "rebuild" in line]


def test_commands_before_and_after_prepare(make_stack, registry):
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1}, registry=registry)
    stack.start_worker()
    stack.send_items(History(51, organizations=1, cases=60).items)
    organization, unit, case, damaged, parked = (events.guid() for _ in range(5))
    stack.send(
        *(events.queued(organization, each, unit=events.ref(unit)) for each in (case, damaged)),
        events.unit_event(organization, unit, 1, "Haifa"),
    )
    role, late = events.queued(organization, parked)
    framed = stack.schemas.by_role[role].registry_framed(SCHEMA_ID, late)
    stack.send_raw(role, [(parked.encode(), framed, ())])
    stack.wait_caught_up()

    rebuild.start(stack)
    check_refused(command(stack, "verify", check=2))
    rebuild.fill_up(stack)
    assert unfinished(stack) == [
        "generation 2 is not prepared: caseview rebuild status; when it has caught up, caseview rebuild prepare"
    ]
    check_refused(command(stack, "verify", check=2))
    check_refused(command(stack, "verify", "--json", check=2))

    told = json.loads(command(stack, "explain", "--case", case, "--json", check=0).stdout)
    assert told["row_agrees"] and told["differences"] == [] and told["state"]["listed"]
    assert f" in unit {unit} once the generation is prepared." in told["verdict"]
    assert told["row"] == f"The row in the database agrees. Only the state was compared: {NOT_RENDERED}."
    assert "nothing had to be changed" in command(stack, "repair", "--case", case, check=0).stdout

    # What these commands change is shown by the rows that are rendered later.
    stack.database.query("UPDATE gen_2.case_state SET state = 'x' WHERE case_id = %s", (damaged,))
    told = json.loads(command(stack, "explain", "--case", damaged, "--json", check=0).stdout)
    assert not told["row_agrees"] and [d["field"] for d in told["differences"]] == ["case_state.state"]
    assert "repaired from 1 events" in command(stack, "repair", "--case", damaged, check=0).stdout
    registry.register(stack.schemas.by_role[role].text, SCHEMA_ID)
    assert "1 tried, 1 folded, 0 left" in command(stack, "parked retry", check=0).stdout
    check_refused(command(stack, "verify", check=2))

    rebuild.run(stack, "prepare")
    assert json.loads(command(stack, "verify", "--json", check=0).stdout)["differences"] == []
    assert unfinished(stack, check=0) == []
    programs.caseview("parked", "retry", "--database", stack.database.conninfo, *stack.names(), "--schema-dir",
                      stack.schemas.folder, "--schema-registry", registry.url, check=0)  # fmt: skip
    rebuild.switch_when_level(stack, 2)
    stack.check()
