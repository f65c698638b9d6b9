"""Names from the directory, and the gates that agents pass: units, workspaces, applications (contract, section 3)."""

import pytest

from support import events
from support.one_case import Case, check_whole_log, counts
from support.waiting import stays_true, wait_for


@pytest.fixture(scope="module")
def stack(one_worker):
    return one_worker


# --- names


ENTITIES = {
    "unit": ("UnitUpserted", {}, lambda b: b["unitId"], lambda b: [b["unitName"]], ["Jerusalem"]),
    "service-category": (
        "ServiceCategoryUpserted", {}, lambda b: b["serviceCategoryId"], lambda b: [b["serviceCategoryName"]], ["Inquiry"],
    ),
    "service-type": (
        "ServiceTypeUpserted", {"serviceCategoryId": events.guid()}, lambda b: b["serviceTypeId"],
        lambda b: [b["serviceTypeName"]], ["Special Inquiry"],
    ),
    "inbox": (
        "InboxUpserted", {"unitId": events.guid()}, lambda b: b["inboxId"],
        lambda b: [b["inboxName"], b["inboxColorCode"]], ["Reception", "#03a9f4"],
    ),
    "workstation": (
        "WorkstationUpserted", {"unitId": events.guid()}, lambda b: b["workstationId"], lambda b: [b["workstationName"]],
        ["Desk 1"],
    ),
    "user": (
        "UserUpserted", {"initials": None}, lambda b: b["lockedBy"]["userId"],
        lambda b: [b["lockedBy"][k] for k in ("displayName", "initials", "picture")], ["John Doe", None, None],
    ),
    "customer": (
        "CustomerUpserted", {}, lambda b: b["customer"]["recordId"], lambda b: [b["customer"]["displayName"]], ["B. S."],
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ENTITIES)
def test_names_come_from_the_directory_while_it_knows(stack, org, kind):
    upsert, fields, id_of, texts_of, own = ENTITIES[kind]
    case = Case(stack, org)
    stack.send(events.queued(org, case.id, workstation=events.ref(name="Desk 1"), customer=events.customer(name="B. S.")))
    stack.wait_caught_up()
    entity, table = id_of(case.body), case.body["customer"]["dataTableId"]

    def payload(name):
        texts = {"name": name, "displayName": name, "colorCode": None, "picture": "p", "dataTableId": table}
        return {upsert: {**texts, **fields}}

    def shows(texts):
        wait_for(lambda: texts_of(case.body) == texts, 1, f"{kind} is shown as {texts}")

    def named(name):
        return {"inbox": [name, None], "user": [name, None, "p"]}.get(kind, [name])

    shows(own)
    stack.send(events.directory_event(org, entity, 1, payload("First")))
    shows(named("First"))
    stack.send(events.directory_event(events.guid(), entity, 9, payload("Other organization's")))
    stack.send(events.directory_event(org, entity, 2, payload('Second "2"')))
    shows(named('Second "2"'))
    stack.send(events.directory_event(org, entity, 3, {"EntityRemoved": {"kind": kind}}))
    shows(own)
    stack.send(events.directory_event(org, entity, 4, payload("Third")))
    shows(named("Third"))
    stack.send_items([("directory", events.directory_key(kind, org, entity), None)])
    shows(own)
    stack.send(events.directory_event(org, entity, 1, payload("Known again")))
    shows(named("Known again"))


def test_names_known_before_the_case_arrived(stack, org):
    unit, user = events.guid(), events.guid()
    stack.send(
        events.directory_event(org, unit, 1, {"UnitUpserted": {"name": "Before"}}),
        events.directory_event(org, user, 1, {"UserUpserted": {"displayName": "Known", "initials": "K", "picture": None}}),
    )
    stack.wait_caught_up()
    case = Case(stack, org)
    both = {"lockedBy": events.user(user, "x"), "assignedTo": events.user(user, "y")}
    stack.send(events.queued(org, case.id, unit=events.ref(unit, "old"), **both))
    stack.wait_caught_up()
    known = {"userId": user, "displayName": "Known", "initials": "K", "picture": None}
    wait_for(lambda: case.body["unitName"] == "Before", 1, "the unit's name")
    assert case.body["lockedBy"] == case.body["assignedTo"] == known


def test_customer_of_another_table_keeps_its_own_name(stack, org):
    case = Case(stack, org)
    stack.send(events.queued(org, case.id, customer=events.customer(name="own")))
    stack.wait_caught_up()
    record = case.body["customer"]["recordId"]
    other = {"CustomerUpserted": {"dataTableId": events.guid(), "displayName": "other"}}
    stack.send(events.directory_event(org, record, 1, other))
    stack.wait_caught_up()
    stays_true(lambda: case.body["customer"]["displayName"] == "own", 0.5, "the name of another table's record")
    mine = {"CustomerUpserted": {"dataTableId": case.body["customer"]["dataTableId"].upper(), "displayName": "mine"}}
    stack.send(events.directory_event(org, record, 2, mine))
    wait_for(lambda: case.body["customer"]["displayName"] == "mine", 1, "the right table's name")


def test_name_follows_a_case_that_moves(stack, org):
    case, inbox = Case(stack, org), events.guid()
    upsert = {"InboxUpserted": {"unitId": events.guid(), "name": "New place", "colorCode": "#fff"}}
    stack.send(events.directory_event(org, inbox, 1, upsert))
    case.send((1, {}))
    moved = {"status": "Active", "inbox": events.inbox(inbox), "unit": events.ref(), "rank": 2.0, "lockedBy": events.user()}
    case.send((2, {"CaseMoved": moved}))
    wait_for(lambda: (case.body["inboxName"], case.body["inboxColorCode"]) == ("New place", "#fff"), 1, "the new inbox")


# --- gates


class Agent:
    def __init__(self, stack, organization):
        self.stack, self.organization, self.id, self.sequence = stack, organization, events.guid(), 0

    def send(self, **payloads):
        for kind, fields in payloads.items():
            self.sequence += 1
            self.stack.send(events.agent_event(self.organization, self.id, self.sequence, {f"Agent{kind}": fields}))

    @property
    def row(self):
        return self.stack.agents().get((self.organization, self.id))

    def becomes(self, unit, workspaces, degraded=False):
        self.stack.wait_caught_up()
        wait_for(lambda: self.row == (unit, workspaces, degraded), 2, f"the agent is {unit, workspaces, degraded}: {self.row}")


def test_unit_and_workspaces_of_an_agent(stack, org):
    agent, one, two = Agent(stack, org), events.guid(), events.guid()
    agent.send(CurrentUnitSelected={"unitId": one})
    agent.becomes(one, False)
    agent.send(WorkspacesSelected={"unitId": one, "workspaceIds": [events.guid()]})
    agent.becomes(one, True)
    agent.send(CurrentUnitSelected={"unitId": two})
    agent.becomes(two, False)
    agent.send(CurrentUnitSelected={"unitId": one.upper()})
    agent.becomes(one, True)
    agent.send(WorkspacesSelected={"unitId": one, "workspaceIds": []})
    agent.becomes(one, False)
    agent.send(WorkspacesSelected={"unitId": one, "workspaceIds": [events.guid(), events.guid()]})
    agent.send(UnitAccessRevoked={"unitId": one})
    agent.becomes(None, False)
    agent.send(CurrentUnitSelected={"unitId": one})
    agent.becomes(one, False)
    agent.send(CurrentUnitCleared={})
    agent.becomes(None, False)


def test_agent_events_late_and_missing(stack, org):
    agent, unit = Agent(stack, org), events.guid()
    agent.sequence = 1
    degraded, _ = counts(stack)
    agent.send(CurrentUnitSelected={"unitId": unit}, WorkspacesSelected={"unitId": unit, "workspaceIds": [events.guid()]})
    agent.becomes(unit, True, True)
    assert counts(stack)[0] == degraded + 1, "number 1 is missing too"
    agent.sequence = 0
    agent.send(UnitAccessRevoked={"unitId": unit})
    agent.becomes(unit, True, False)
    assert counts(stack)[0] == degraded


def test_same_user_of_two_organizations_is_two_agents(stack, org):
    agent, other, unit = Agent(stack, org), Agent(stack, events.guid()), events.guid()
    other.id = agent.id
    agent.send(CurrentUnitSelected={"unitId": unit})
    other.send(CurrentUnitCleared={})
    agent.becomes(unit, False)
    other.becomes(None, False)


def test_removed_unit_and_workspace_do_not_count_until_upserted(stack, org):
    agent, unit, spaces = Agent(stack, org), events.guid(), [events.guid(), events.guid()]
    agent.send(CurrentUnitSelected={"unitId": unit}, WorkspacesSelected={"unitId": unit, "workspaceIds": spaces})
    agent.becomes(unit, True)

    def directory(entity, version, payload):
        stack.send(events.directory_event(org, entity, version, payload))

    directory(unit, 1, {"EntityRemoved": {"kind": "unit"}})
    agent.becomes(None, False)
    directory(unit, 2, {"UnitUpserted": {"name": "back"}})
    agent.becomes(unit, True)
    for space in spaces:
        directory(space, 4, {"EntityRemoved": {"kind": "workspace"}})
    agent.becomes(unit, False)
    directory(spaces[1], 3, {"WorkspaceUpserted": {"unitId": unit, "name": "stale"}})
    directory(spaces[1], 5, {"WorkspaceUpserted": {"unitId": unit, "name": "back"}})
    agent.becomes(unit, True)
    directory(unit, 3, {"EntityRemoved": {"kind": "unit"}})
    agent.becomes(None, False)
    stack.send_items([("directory", events.directory_key("unit", org, unit), None)])
    agent.becomes(unit, True)


def test_removed_before_the_agent_arrived(stack, org):
    unit, agent = events.guid(), Agent(stack, org)
    stack.send(events.directory_event(org, unit, 1, {"EntityRemoved": {"kind": "unit"}}))
    stack.wait_caught_up()
    agent.send(CurrentUnitSelected={"unitId": unit})
    agent.becomes(None, False)


def test_applications(stack, org):
    application = events.guid()

    def send(version, payload):
        stack.send(events.directory_event(org, application, version, payload))
        stack.wait_caught_up()
        return stack.applications().get((org, application))

    upsert = {"clientId": "Client é", "name": "n", "roles": ["Agent Impersonator", "x"], "enabled": True}
    assert send(1, {"ApplicationUpserted": upsert}) == ("Client é", ["Agent Impersonator", "x"], True)
    assert send(2, {"ApplicationUpserted": {**upsert, "roles": [], "enabled": False}}) == ("Client é", [], False)
    assert send(3, {"EntityRemoved": {"kind": "application"}}) is None
    assert send(4, {"ApplicationUpserted": upsert}) == ("Client é", ["Agent Impersonator", "x"], True)
    stack.send_items([("directory", events.directory_key("application", org, application), None)])
    stack.wait_caught_up()
    assert (org, application) not in stack.applications()


def test_an_application_that_changes_hands_several_times_in_one_batch(stack, org):
    """Each former owner's row is blanked once, and the last owner has the application."""
    application, other, worker = events.guid(), events.guid(), stack.workers[0]
    upsert = {"ApplicationUpserted": {"clientId": "c", "name": "n", "roles": [], "enabled": True}}

    def upserted(organization, version):
        return events.directory_key("application", organization, application), events.directory_event(
            organization, application, version, upsert
        )[1]

    def forgotten(organization):
        return events.directory_key("application", organization, application), None

    stack.send_items([("directory", *upserted(org, 1))], partition=0)
    stack.wait_caught_up()
    worker.freeze()
    hands = [forgotten(org), upserted(other, 1), forgotten(other), upserted(org, 2), forgotten(org), upserted(other, 2)]
    stack.send_items([("directory", *item) for item in hands], partition=0)
    worker.thaw()
    stack.wait_caught_up()
    assert (other, application) in stack.applications() and (org, application) not in stack.applications()
    assert worker.metric("caseview_recoveries_total") == 0


def test_the_whole_log_folded_again(stack):
    """Last in this file: everything that the tests above sent."""
    check_whole_log(stack)
