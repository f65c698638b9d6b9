"""An independent, deliberately naive fold of the whole log: collect each case's events, sort by number, replay.

Written from the contract, sections 2 to 4, and nothing else. Good events are replayed in order, so there is no need of
groups, caches or names that change: the final directory is applied at the end.
"""

import base64
import collections
import copy
import json
import math
import re

from . import avro_codec, case_json

GUID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
MAX_BYTES = 1 << 20
MAX_TEXT = 1 << 10
MAX_TEXTS = {"contactEmail": 2 << 10, "picture": 4 << 10, "onlineMeeting": 64 << 10}
MAX_ITEMS = 1000
# A key that is none at all: the contract leaves the choice of the reason open.
NO_KEY = "bad-guid|key-mismatch|bad-text"
ROLES = ("case", "agent", "directory")
FULLNAMES = {"case": "caseview.CaseEvent", "agent": "caseview.AgentEvent", "directory": "caseview.DirectoryEvent"}

SNAPSHOTS = {"CaseQueued", "AppointmentBooked"}
OVER = {"AppointmentCancelled", "QueueAbandoned", "CaseClosed"}
UNLOCKS = OVER | {"CaseReturnedToQueue", "CaseResolved", "CaseReopened"}
SETS = {
    "AppointmentCheckedIn": ("status", "statusDate", "rank"),
    "AppointmentCancelled": ("status", "statusDate", "dateClosed"),
    "QueueAbandoned": ("status", "statusDate", "dateClosed"),
    "CaseStatusChanged": ("status", "statusDate"),
    "CaseServiceStarted": ("status", "statusDate", "lockedBy", "workstation"),
    "CaseReturnedToQueue": ("status", "statusDate", "rank"),
    "CaseMoved": ("status", "statusDate", "inbox", "unit", "rank", "lockedBy", "workstation"),
    "CaseResolved": ("statusDate",),
    "CaseReopened": ("status", "statusDate", "rank"),
    "CaseClosed": ("statusDate", "dateClosed"),
    "CasePositionChanged": ("rank",),
    "CaseUserAssigned": ("assignedTo",),
    "CaseUserUnassigned": (),
    "CaseUpdated": (),
    "CaseTicketPrinted": (),
    "CaseOnlineMeetingSet": ("onlineMeeting",),
}
CASE_TYPES = SNAPSHOTS | set(SETS)
AGENT_TYPES = {
    "AgentCurrentUnitSelected",
    "AgentCurrentUnitCleared",
    "AgentWorkspacesSelected",
    "AgentUnitAccessRevoked",
}
KINDS = {
    "UnitUpserted": "unit",
    "ServiceCategoryUpserted": "service-category",
    "ServiceTypeUpserted": "service-type",
    "InboxUpserted": "inbox",
    "WorkstationUpserted": "workstation",
    "WorkspaceUpserted": "workspace",
    "UserUpserted": "user",
    "CustomerUpserted": "customer",
    "ApplicationUpserted": "application",
}
DIRECTORY_TYPES = set(KINDS) | {"EntityRemoved"}
GUID_FIELDS = {
    "eventId", "organizationId", "caseId", "userId", "id", "dataTableId", "recordId", "unitId", "workspaceIds",
    "entityId", "serviceCategoryId",
}  # fmt: skip
TIME_FIELDS = {"occurredAt", "statusDate", "referenceDate", "dateOpened", "dateClosed", "caseTimestamp"}


class Parked(Exception):
    def __init__(self, reason, organization=None):
        super().__init__(reason)
        self.reason = reason
        self.organization = organization


def check_length(name, value):
    if len(value.encode()) > MAX_TEXTS.get(name, MAX_TEXT):
        raise Parked("too-large")


def check_text(value):
    if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
        raise Parked("bad-text")


def check_meeting(value):
    check_text(value)

    def no_constant(_):
        raise ValueError("not JSON")

    try:
        parsed = json.loads(value, parse_int=str, parse_float=str, parse_constant=no_constant)
    except (ValueError, RecursionError):
        raise Parked("bad-json") from None
    if not isinstance(parsed, dict):
        raise Parked("bad-json")
    pending = [parsed]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            pending += list(node) + list(node.values())
        elif isinstance(node, list):
            pending += node
        elif isinstance(node, str):
            check_text(node)


def check_values(name, value):
    """What the contract asks of any value, by the name of its field."""
    if isinstance(value, dict):
        for key, item in value.items():
            check_values(name if key == "value" else key, item)  # of SetText
    elif isinstance(value, list):
        for item in value:
            check_values(name, item)
        if len(value) > MAX_ITEMS:
            raise Parked("too-large")
    elif name in GUID_FIELDS and value is not None:
        if not GUID.fullmatch(value):
            raise Parked("bad-guid")
    elif name in TIME_FIELDS and value is not None:
        if not case_json.TIME_MIN <= value <= case_json.TIME_MAX:
            raise Parked("bad-time")
    elif name == "rank":
        if not math.isfinite(value):
            raise Parked("bad-rank")
    elif name in ("sequence", "version"):
        if value < 1:
            raise Parked("bad-sequence")
    elif name == "onlineMeeting" and value is not None:
        check_text(value)
        check_length(name, value)
        check_meeting(value)
    elif isinstance(value, str):
        check_text(value)
        check_length(name, value)


def lower_guids(name, value):
    if isinstance(value, dict):
        return {key: lower_guids(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [lower_guids(name, item) for item in value]
    if name in GUID_FIELDS and value is not None:
        return value.lower()
    return value


def split_directory_key(key):
    parts = key.split(":")
    if len(parts) != 3 or parts[0] not in KINDS.values() or not all(GUID.fullmatch(p) for p in parts[1:]):
        raise Parked(NO_KEY)
    return parts[0], parts[1].lower(), parts[2].lower()


class Decoder:
    """Bytes → (payload's type, value); registry: schema id → text."""

    def __init__(self, schemas, registry=None):
        self.schemas = schemas
        self.registry = registry
        self.by_id = {}

    def writer(self, data):
        if data[:2] == b"\xc3\x01" and len(data) >= 10:
            number = int.from_bytes(data[2:10], "little")
            if number not in self.schemas.by_fingerprint:
                raise Parked("unknown-schema")
            return self.schemas.by_fingerprint[number], data[10:]
        if data[:1] == b"\x00" and len(data) >= 5:
            number = int.from_bytes(data[1:5], "big")
            if number not in self.by_id:
                text = self.registry.schemas.get(number) if self.registry else None
                if text is None:
                    raise Parked("unknown-schema")
                self.by_id[number] = avro_codec.Schema(text)
            return self.by_id[number], data[5:]
        raise Parked("not-avro")

    def decode(self, role, record):
        """Known and checked, or Parked. A null value of the directory is (None, key)."""
        key, value = record.key, record.value
        if sum(len(n) + len(v or b"") for n, v in record.headers) > MAX_BYTES:
            raise Parked("too-large")
        if len(key or b"") + len(value or b"") > MAX_BYTES:
            raise Parked("too-large")
        if key is None:
            raise Parked("missing-key")
        if value is None:
            if role != "directory":
                raise Parked("no-value")
            return None, split_directory_key(key.decode("utf-8", "surrogateescape"))
        schema, body = self.writer(value)
        if schema.fullname != FULLNAMES[role]:
            raise Parked("wrong-type")
        try:
            event = schema.decode(body)
        except avro_codec.BadAvro:
            raise Parked("not-avro") from None
        ((kind, payload),) = event["payload"].items()
        known = kind in {"case": CASE_TYPES, "agent": AGENT_TYPES, "directory": DIRECTORY_TYPES}[role]
        try:
            check_values("", event if known else {**event, "payload": None})
            event = lower_guids("", event)
            self.check_key(role, key.decode("utf-8", "surrogateescape"), event, kind, payload)
        except Parked as parked:
            organization = event["organizationId"]
            parked.organization = organization.lower() if GUID.fullmatch(organization) else None
            raise
        event["payload"] = payload = lower_guids("", payload)
        return (kind if known else "?"), event

    def check_key(self, role, key, event, kind, payload):
        if role == "directory":
            key_kind, organization, entity = split_directory_key(key)
            own_kind = KINDS.get(kind) or (payload["kind"] if kind == "EntityRemoved" else key_kind)
            if (key_kind, organization, entity) != (own_kind, event["organizationId"], event["entityId"]):
                raise Parked("key-mismatch")
        elif not GUID.fullmatch(key):
            raise Parked(NO_KEY)
        elif key.lower() != event["caseId" if role == "case" else "userId"]:
            raise Parked("key-mismatch")


def missing(numbers, base):
    """Is a number between base and the highest not among those that came?"""
    above = [n for n in numbers if n > base]
    return bool(above) and len(above) != max(above) - base


class Case:
    def __init__(self, organization):
        self.organization = organization
        self.events = {}

    def replay(self):
        self.over = any(kind in OVER for kind, _ in self.events.values())
        self.fields = None
        for number in sorted(self.events):
            self.apply(*self.events[number])
        snapshot = max((n for n, (kind, _) in self.events.items() if kind in SNAPSHOTS), default=0)
        self.degraded = snapshot > 0 and not self.over and missing(self.events, snapshot)
        self.incomplete = snapshot == 0 and not self.over

    def apply(self, kind, payload):
        if kind in SNAPSHOTS:
            self.fields = copy.deepcopy(payload["case"])
        if kind in SNAPSHOTS or kind == "?" or self.fields is None:
            return
        c = self.fields
        c["caseTimestamp"] = payload["caseTimestamp"]
        for name in SETS[kind]:
            c[name] = payload[name]
        if kind == "AppointmentCheckedIn" and payload["ticket"] is not None:
            c["ticket"] = payload["ticket"]
        elif kind in ("CaseResolved", "CaseClosed"):
            c["status"] = "Resolved" if kind == "CaseResolved" else "Closed"
        elif kind == "CaseUserUnassigned":
            c["assignedTo"] = None
        elif kind == "CaseTicketPrinted":
            c["printedTicket"] = True
        elif kind == "CaseUpdated":
            if payload["channel"] is not None:
                c["channel"] = payload["channel"]
            for name in ("customer", "contactPhoneNumber", "contactEmail"):
                if payload[name] is not None:
                    c[name] = payload[name]["value"]
        if kind in UNLOCKS or (kind == "CaseStatusChanged" and payload["status"] != "Active"):
            c["lockedBy"] = c["workstation"] = None

    def listed(self):
        return not self.over and self.fields and self.fields["status"] == "Active" and self.fields["lockedBy"]


class Agent:
    def __init__(self):
        self.events = {}

    def replay(self):
        self.unit, self.sets = None, {}
        for number in sorted(self.events):
            kind, payload = self.events[number]
            if kind == "AgentCurrentUnitSelected":
                self.unit = payload["unitId"]
            elif kind == "AgentCurrentUnitCleared":
                self.unit = None
            elif kind == "AgentWorkspacesSelected":
                self.sets[payload["unitId"]] = set(payload["workspaceIds"])
            elif kind == "AgentUnitAccessRevoked":
                self.sets.pop(payload["unitId"], None)
                self.unit = None if self.unit == payload["unitId"] else self.unit
        self.degraded = missing(self.events, 0)


class View:
    """What Caseview must show of a log: rows keyed and valued as the SQL views have them."""

    def __init__(self):
        self.active_cases = {}
        self.agents = {}
        self.applications = {}
        self.parked = {}
        self.incomplete = self.degraded = self.duplicates = self.unknown_types = 0


class Fold:
    def __init__(self, decoder):
        self.decoder = decoder
        self.cases = {}
        self.agents = collections.defaultdict(Agent)
        self.directory = {}
        self.owners = {}
        self.view = View()

    def add(self, role, record):
        try:
            kind, event = self.decoder.decode(role, record)
            if role == "directory":
                self.add_directory(kind, event)
            else:
                self.add_event(role, kind, event)
            self.view.unknown_types += kind == "?"
        except Parked as parked:
            where = (record.topic, record.partition, record.offset)
            self.view.parked[where] = (parked.reason, parked.organization, record)

    def add_event(self, role, kind, event):
        organization = event["organizationId"]
        if role == "case":
            entity = self.cases.setdefault(event["caseId"], Case(organization))
            if entity.organization != organization:
                raise Parked("key-mismatch", organization)
        else:
            entity = self.agents[organization, event["userId"]]
        if event["sequence"] in entity.events:
            self.view.duplicates += 1
        else:
            entity.events[event["sequence"]] = (kind, event["payload"])

    def add_directory(self, kind, event):
        if kind is None:
            if self.directory.pop(event, None) and event[0] == "application":
                self.owners.pop(event[2], None)
            return
        organization, entity = event["organizationId"], event["entityId"]
        entity_kind = KINDS.get(kind) or event["payload"].get("kind")
        if kind == "?":
            return
        if entity_kind == "application" and self.owners.setdefault(entity, organization) != organization:
            raise Parked("key-mismatch", organization)
        key = (entity_kind, organization, entity)
        known = self.directory.get(key)
        if known and event["version"] <= known[0]:
            self.view.duplicates += 1
            return
        self.directory[key] = (event["version"], kind, event["payload"])

    def known(self, kind, organization, entity):
        """The payload of an entity that the directory knows and that is not removed, else None."""
        found = self.directory.get((kind, organization, entity))
        return found[2] if found and found[1] != "EntityRemoved" else None

    def removed(self, kind, organization, entity):
        found = self.directory.get((kind, organization, entity))
        return bool(found) and found[1] == "EntityRemoved"

    def resolve(self, organization, c):
        """Puts the directory's texts in."""
        c = copy.deepcopy(c)
        named = (("serviceCategory", "service-category"), ("serviceType", "service-type"), ("unit", "unit"))
        for field, kind in (*named, ("inbox", "inbox"), ("workstation", "workstation")):
            if c[field] and (payload := self.known(kind, organization, c[field]["id"])):
                c[field]["name"] = payload["name"]
                if kind == "inbox":
                    c[field]["colorCode"] = payload["colorCode"]
        for field in ("assignedTo", "lockedBy"):
            if c[field] and (payload := self.known("user", organization, c[field]["userId"])):
                c[field].update({k: payload[k] for k in ("displayName", "initials", "picture")})
        if c["customer"] and (payload := self.known("customer", organization, c["customer"]["recordId"])):
            if payload["dataTableId"] == c["customer"]["dataTableId"]:
                c["customer"]["displayName"] = payload["displayName"]
        return c

    def finish(self):
        view = self.view
        for case_id, case in self.cases.items():
            case.replay()
            view.incomplete += case.incomplete
            view.degraded += case.degraded
            if case.listed():
                c = {**self.resolve(case.organization, case.fields), "caseId": case_id}
                view.active_cases[case.organization, case_id] = (
                    c["lockedBy"]["userId"], c["unit"]["id"], c["statusDate"], c["caseTimestamp"], case.degraded,
                    case_json.case_object(c).encode(),
                )  # fmt: skip
        for (organization, user), agent in self.agents.items():
            agent.replay()
            view.degraded += agent.degraded
            unit = agent.unit
            if unit and self.removed("unit", organization, unit):
                unit = None
            spaces = [w for w in agent.sets.get(unit, ()) if not self.removed("workspace", organization, w)]
            view.agents[organization, user] = (unit, bool(spaces), agent.degraded)
        for (kind, organization, entity), (_, event_kind, payload) in self.directory.items():
            if kind == "application" and event_kind != "EntityRemoved":
                view.applications[organization, entity] = (payload["clientId"], payload["roles"], payload["enabled"])
        return view


def fold(records_by_role, decoder):
    """records_by_role: role → records, each partition's in offset order."""
    work = Fold(decoder)
    for role in ROLES:
        for record in records_by_role[role]:
            work.add(role, record)
    return work.finish()


def headers_json(headers):
    """What parked.headers holds of a record's headers: 1 MiB of them, each counted with 32 bytes of its own."""
    out = []
    left = MAX_BYTES
    for i, (name, value) in enumerate(headers):
        left -= len(name.encode()) + len(value or b"") + 32
        if left < 0:
            size = sum(len(n.encode()) + len(v or b"") for n, v in headers[i:])
            out.append({"truncated": {"headers": len(headers) - i, "bytes": size}})
            break
        try:
            out.append({"name": name, "value": value.decode("utf-8") if value is not None else None})
        except UnicodeDecodeError:
            out.append({"name": name, "base64": base64.b64encode(value).decode()})
    return out
