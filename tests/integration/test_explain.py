"""`caseview explain`: the events of a key, the effect of each, and why a case is listed or not."""

import json
import threading

import pytest

from support import programs
from support.events import agent_event, case_event, directory_event, guid, queued, ref, user
from support.waiting import stays_true, wait_for


def explain(stack, *args, **options):
    registry = ["--schema-registry", stack.registry.url] if stack.registry else []
    return programs.caseview(
        "explain", "--database", stack.database.conninfo, *stack.kafka(), *stack.names(), "--schema-dir",
        stack.schemas.folder, "--log-format", "text", *registry, *args, **options,
    )  # fmt: skip


def explain_json(stack, *args):
    return json.loads(explain(stack, "--json", *args, check=0).stdout)


def effects(found):
    return [event["effect"] for event in found["events"]]


@pytest.fixture
def ids():
    return guid(), guid(), guid(), guid()  # organization, case, user, unit


def folded(stack, *events):
    if not stack.workers:
        stack.start_worker()
    stack.send(*events)
    stack.wait_caught_up()


def test_a_listed_case_is_explained_with_the_effect_of_each_event(stack, ids):
    organization, case, agent, unit = ids
    folded(
        stack,
        queued(organization, case, 1, status="Waiting", lockedBy=None, unit=ref(unit)),
        case_event(organization, case, 3, {"CaseServiceStarted": {"status": "Active", "lockedBy": user(agent)}}),
        case_event(organization, case, 2, {"CasePositionChanged": {"rank": 4.0}}),
        case_event(organization, case, 2, {"CasePositionChanged": {"rank": 4.0}}),
        agent_event(organization, agent, 1, {"AgentCurrentUnitSelected": {"unitId": unit}}),
        agent_event(organization, agent, 2, {"AgentWorkspacesSelected": {"unitId": unit, "workspaceIds": [guid()]}}),
    )
    found = explain_json(stack, "--case", case.upper())
    assert effects(found) == [
        "set all",
        "set status, lockedBy, caseTimestamp",
        "set rank; older than what set caseTimestamp (#3)",
        "duplicate: that sequence was folded before, no effect",
    ]
    assert [(e["type"], e["sequence"]) for e in found["events"]] == [
        ("CaseQueued", 1), ("CaseServiceStarted", 3), ("CasePositionChanged", 2), ("CasePositionChanged", 2),
    ]  # fmt: skip
    assert all(e["schema"].startswith("fingerprint ") for e in found["events"])
    assert found["organization"] == organization and found["state"]["listed"]
    assert found["verdict"] == f"Listed for user {agent} in unit {unit}, which is that user's current unit."
    assert found["row_agrees"] and found["row"] == "The row in the database agrees."

    text = explain(stack, "--case", case, check=0).stdout
    assert f"case {case} of organization {organization}, 4 events" in text
    assert "set rank; older than what set caseTimestamp (#3)" in text and found["verdict"] in text


@pytest.mark.parametrize(
    "fields, verdict",
    [
        ({"status": "Waiting"}, 'Not listed: its status is "Waiting" (#1), not "Active".'),
        ({"lockedBy": None}, "Not listed: it is Active, but not locked by a user (#1)."),
        ({}, "but that user has no current unit, so the endpoint does not return it now."),
    ],
)
def test_the_reason_why_a_case_is_not_listed(stack, ids, fields, verdict):
    organization, case, *_ = ids
    folded(stack, queued(organization, case, 1, **fields))
    assert explain_json(stack, "--case", case)["verdict"].endswith(verdict)


def test_incomplete_over_and_elsewhere(stack, ids):
    organization, case, agent, unit = ids
    incomplete, elsewhere, other = guid(), guid(), guid()
    folded(
        stack,
        queued(organization, case, 1),
        case_event(organization, case, 2, {"CaseClosed": {}}),
        case_event(organization, case, 3, {"CasePositionChanged": {"rank": 4.0}}),
        case_event(organization, incomplete, 2, {"CasePositionChanged": {"rank": 4.0}}),
        queued(organization, elsewhere, 1, lockedBy=user(agent), unit=ref(unit)),
        agent_event(organization, agent, 1, {"AgentCurrentUnitSelected": {"unitId": other}}),
    )
    over = explain_json(stack, "--case", case)
    assert over["verdict"] == "Not listed: the case is over; later events cannot change that."
    assert effects(over) == ["set all", "the case is over", "the case was over before: no effect"]
    assert "it is incomplete" in explain_json(stack, "--case", incomplete)["verdict"]
    found = explain_json(stack, "--case", elsewhere)
    assert found["verdict"].endswith(f"but that user's current unit is {other}, so the endpoint does not return it now.")


def test_values_read_as_in_the_view(stack, ids):
    """explain prints values as the view does: this float32 as a double would have more digits."""
    organization, case, *_ = ids
    meeting = '{ "url": "https://meet.example/1", "big": 12345678901234567890.10 }'
    folded(
        stack,
        queued(organization, case, 1, rank=2.7504616e37, onlineMeeting=meeting, statusDate=1712834018500000,
               ticket={"prefix": "A", "number": 7, "suffix": None}),
    )  # fmt: skip
    body = stack.body(case)
    values = {group["group"]: group["value"] for group in explain_json(stack, "--case", case)["state"]["groups"]}
    assert values["rank"] == '{"rank":2.7504616E+37}'
    text = explain(stack, "--case", case, check=0).stdout
    for member in (values["rank"][1:-1], values["ticket"][1:-1], values["onlineMeeting"][1:-1],
                   values["status"][1:-1], values["caseTimestamp"][1:-1]):  # fmt: skip
        assert member in body and member in text, member


def test_parked_and_not_yet_folded_events_are_shown(stack, ids):
    organization, case, *_ = ids
    worker = stack.start_worker()
    folded(stack, queued(organization, case, 1))
    key = case.encode()
    elsewhere = (guid().encode(), stack.encode("case", queued(organization, case, 2)[1]), ())
    stack.send_raw("case", [(key, b"nonsense", ()), elsewhere])
    foreign = queued(guid(), case, 3)
    stack.send(foreign)
    stack.wait_caught_up()
    stack.stop_worker(worker)
    stack.send(case_event(organization, case, 4, {"CasePositionChanged": {"rank": 4.0}}))
    found = explain_json(stack, "--case", case)
    by_effect = {event["effect"].split(" ")[0] + " " + str(event["parked"]): event for event in found["events"]}
    assert "not-avro" in by_effect["parked: not-avro"]["effect"]
    mismatches = [e for e in found["events"] if e["parked"] == "key-mismatch"]
    assert sorted(e["foreign_key"] for e in mismatches) == [False, True]
    assert found["not_folded_yet"] == 1 and "not folded yet" in effects(found)
    assert found["organization"] == organization and found["row_agrees"]


def test_skipped_events_are_shown(stack, ids):
    organization, case, *_ = ids
    folded(stack, queued(organization, case, 1))
    stack.send_raw("case", [(case.encode(), b"nonsense", ())])
    stack.wait_caught_up()
    stack.database.query(
        "WITH gone AS (DELETE FROM gen_1.parked RETURNING *) INSERT INTO ctl.skipped"
        " SELECT 1, gone.*, now(), 'not needed' FROM gone RETURNING 1"
    )
    event = explain_json(stack, "--case", case)["events"][1]
    assert event["skipped"] == "not-avro" and event["effect"].startswith("skipped by an operator")


def test_an_agent_is_explained_with_the_directory(stack, ids):
    organization, _, agent, unit = ids
    gone, stays = guid(), guid()
    folded(
        stack,
        agent_event(organization, agent, 1, {"AgentWorkspacesSelected": {"unitId": unit, "workspaceIds": [gone, stays]}}),
        agent_event(organization, agent, 3, {"AgentCurrentUnitSelected": {"unitId": unit}}),
        agent_event(organization, agent, 2, {"AgentCurrentUnitCleared": {}}),
    )
    found = explain_json(stack, "--user", agent)
    assert effects(found) == [
        f"set the 2 workspaces of unit {unit}",
        f"set the current unit: {unit}",
        "older than what set the current unit (#3)",
    ]
    assert found["verdict"].endswith("2 current workspaces: the user passes both gates.")

    def removed(kind, id):
        folded(stack, directory_event(organization, id, 1, {"EntityRemoved": {"kind": kind}}))
        return explain_json(stack, "--user", agent, "--organization", organization.upper())["verdict"]

    assert removed("workspace", gone).endswith("1 of its 2 workspaces are removed.")
    assert removed("workspace", stays).endswith("the directory says that all 2 are removed.")
    assert removed("unit", unit) == f"No current unit: the directory says that {unit} is removed."
    folded(stack, agent_event(organization, agent, 4, {"AgentUnitAccessRevoked": {"unitId": unit}}))
    assert "was revoked after it was chosen (#3)" in explain_json(stack, "--user", agent)["verdict"]


def test_a_user_of_two_organizations_needs_the_organization(stack, ids):
    one, two, agent, unit = ids
    folded(
        stack,
        agent_event(one, agent, 1, {"AgentCurrentUnitSelected": {"unitId": unit}}),
        agent_event(two, agent, 1, {"AgentCurrentUnitCleared": {}}),
    )
    refused = explain(stack, "--user", agent, check=2)
    assert one in refused.stderr and two in refused.stderr and "--organization" in refused.stderr
    assert len(explain_json(stack, "--user", agent, "--organization", two)["events"]) == 1


def test_a_damaged_row_is_reported_and_an_unknown_key_is_exit_1(stack, ids):
    organization, case, *_ = ids
    folded(stack, queued(organization, case, 1))
    stack.database.query("UPDATE gen_1.active_case SET body = '{}' RETURNING 1")
    found = explain_json(stack, "--case", case)
    assert not found["row_agrees"] and [d["field"] for d in found["differences"]] == ["active_case.body"]
    assert f"caseview repair --case {case}" in found["row"]
    found = explain_json(stack, "--case", case, "--generation", "1")
    assert f"caseview repair --generation 1 --case {case}" in found["row"]
    _, _, agent, unit = ids
    folded(stack, agent_event(organization, agent, 1, {"AgentCurrentUnitSelected": {"unitId": unit}}))
    stack.database.query("UPDATE gen_1.agent SET current_unit_id = NULL RETURNING 1")
    found = explain_json(stack, "--user", agent)
    assert f"caseview repair --user {agent} --organization {organization}" in found["row"]
    assert "has no event of case" in explain(stack, "--case", guid(), check=1).stdout


def test_a_case_whose_topic_grew_is_explained_from_all_partitions(make_stack, ids):
    organization, case, *_ = ids
    stack = make_stack(partitions={"cases": 2})
    stack.start_worker()
    stack.send(queued(organization, case, 1), partition=1)
    stack.send(case_event(organization, case, 2, {"CasePositionChanged": {"rank": 4.0}}), partition=0)
    stack.wait_caught_up()
    found = explain_json(stack, "--case", case)
    assert sorted(e["partition"] for e in found["events"]) == [0, 1] and found["row_agrees"]


def test_wrong_usage_is_reported_in_one_line(stack):
    id = guid()
    for args, code, words in [
        ((), 2, "give either --case ID or --user ID"),
        (("--case", id, "--user", id), 2, "not both"),
        (("--case", "x"), 2, "is not a GUID"),
        (("--case", id, "--generation", "7"), 2, "caseview migrate"),
        (("--case", id, "--connect-timeout-s", "1", "--kafka", "bootstrap.servers=127.0.0.1:1"), 3, "no broker answered"),
        (("--case", id, "--connect-timeout-s", "1", "--database", "host=127.0.0.1 port=1"), 3, ""),
    ]:
        given = {"--database": stack.database.conninfo, "--schema-dir": stack.schemas.folder, "--log-format": "text"}
        given.update(zip(stack.names()[::2], stack.names()[1::2]))
        given.update(dict(zip(stack.kafka()[::2], stack.kafka()[1::2])))
        given.update(zip(args[::2], args[1::2]))
        out = programs.caseview("explain", *[item for pair in given.items() for item in pair], check=code)
        assert words in out.stderr and len(out.stderr.strip().splitlines()) == 1, out.stderr


@pytest.mark.parametrize("command", ["explain", "repair"])
def test_no_snapshot_is_open_while_the_topic_is_read(stack, ids, command):
    """A large topic takes minutes, during which PostgreSQL could not remove dead rows."""
    organization, case, *_ = ids
    folded(stack, queued(organization, case, 1))
    activity = f"FROM pg_stat_activity WHERE application_name = 'caseview {command}'"
    settled = f"SELECT bool_and(state = 'idle' AND state_change < clock_timestamp() - interval '0.3 s') {activity}"
    states = f"SELECT DISTINCT state {activity}"
    registry = ["--schema-registry", stack.registry.url] if stack.registry else []
    out = []
    thread = threading.Thread(
        target=lambda: out.append(programs.caseview(
            command, "--database", stack.database.conninfo, *stack.kafka(), *stack.names(), "--schema-dir",
            stack.schemas.folder, *registry, "--case", case,
        ))
    )  # fmt: skip
    stack.broker.freeze()
    try:
        thread.start()
        wait_for(lambda: stack.database.value(settled), 10, "it is connected, and its first queries are over")
        stays_true(lambda: stack.database.query(states) == [("idle",)], 1, "it waits for the broker outside a transaction")
    finally:
        stack.broker.thaw()
        thread.join()
    assert out[0].returncode == 0, out[0].stderr
    assert ("The row in the database agrees." in out[0].stdout) == (command == "explain")
    assert ("nothing had to be changed" in out[0].stdout) == (command == "repair")
