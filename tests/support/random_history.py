"""Random histories: every kind of event, for several organizations, late, doubled, with gaps and with odd values.

Everything follows from the seed, which the tests print. Nothing here breaks a producer's promises (one event a number,
one organization a case); broken input is made by the tests of bad input.
"""

import os
import random
import struct
import uuid

from . import case_json, events

# All processes that share the tests must agree on them: tests/run sets the variable.
SEEDS = [int(s) for s in os.environ.get("CASEVIEW_TEST_SEEDS", "").split(",") if s] or [random.SystemRandom().randrange(10**9)]

TEXTS = [
    "", " ", "Ann", "Reception", 'say "hi"', "back\\slash", "a/b", "tab\there", "line\nfeed\r\n", "\x01\x1f\x7f\x80",
    "שלום", "漢字", "😀 𝄞", "e\u0301", "\u2028\u2029\ufeff\uffff", "\u202eabc", "'; DROP TABLE x; --", "{}", "null",
    "\\u0041", "%s%n", "&lt;b&gt;", "x" * 300, "ß" * 200, "\b\f",
]  # fmt: skip
RANKS = [0.0, -0.0, 1.0, 5.0, -2.5, 0.1, 3.7090777e37, 1e-5, 9.9e-6, 1e14, 1e15, 16777216.0, 1.17549435e-38]
BIT_RANKS = [0x00000001, 0x7F7FFFFF, 0xFF7FFFFF, 0x00800000, 0x4B800000, 0x3F800001, 0x58635FA9, 0x38D1B717]
TIMES = [0, -1, 1, case_json.TIME_MIN, case_json.TIME_MAX, 1712834018500000, 1712834018000000, -62135596799999999]
MEETINGS = [
    "{}", ' {"a":1} ', '\n{"url":"https://x/\\u00e9?a=b","n":1e400,"big":123456789012345678901234567890}\t',
    '{"a":{"b":[1,2,{"c":null}]},"t":"\\ud83d\\ude00 😀","e":"\\\\u0000"}', '{"x":-0.0,"y":[true,false,[]]}',
    '{"a":1,"a":2}', '{ "spaced" : [ 1 , 2 ] }',
]  # fmt: skip
CHANNELS = ["FaceToFace", "Video", "Phone", "Chat", "Pigeon Post"]
STATUSES = ["Active", "Active", "Active", "Waiting", "active", "Active ", "Hold", "Resolved"]


class World:
    """The entities that a history speaks of."""

    def __init__(self, rng, organizations):
        self.rng = rng
        self.organizations = [Organization(self) for _ in range(organizations)]

    def guid(self):
        return str(uuid.UUID(int=self.rng.getrandbits(128)))


class Organization:
    def __init__(self, world):
        self.id = world.guid()
        make = world.guid
        self.users = [make() for _ in range(5)]
        self.units = [make() for _ in range(3)]
        self.workspaces = [make() for _ in range(4)]
        self.inboxes = [make() for _ in range(3)]
        self.categories = [make() for _ in range(2)]
        self.types = [make() for _ in range(3)]
        self.workstations = [make() for _ in range(3)]
        self.customers = [make() for _ in range(4)]
        self.tables = [make() for _ in range(2)]
        self.applications = [make() for _ in range(2)]


class History:
    """items: (role, key, value or None), in the order of sending."""

    def __init__(self, seed, organizations=3, cases=60, agents=True, directory=True, gaps=0.05, doubles=0.1, versions=5,
                 ordered_directory=False):  # fmt: skip
        """ordered_directory: the last record of an entity has its highest version, so that compaction keeps that one."""
        self.seed = seed
        self.rng = random.Random(seed)
        self.gaps, self.doubles, self.versions = gaps, doubles, versions
        self.ordered_directory = ordered_directory
        self.world = World(self.rng, organizations)
        streams = []
        for _ in range(cases):
            streams.append(self.disturbed(self.case(self.rng.choice(self.world.organizations))))
        for organization in self.world.organizations:
            if agents:
                users = organization.users + [self.world.guid() for _ in range(15)]
                streams += [self.disturbed(self.agent(organization, user)) for user in users]
            if directory:
                streams += self.directory(organization)
        self.items = self.interleaved(streams)

    # --- delivery

    def disturbed(self, stream):
        """Out of order, doubled, with holes. At most 20 events a key, so never more than 32 gaps."""
        rng = self.rng
        stream = [event for event in stream if rng.random() >= self.gaps]
        stream += [event for event in stream if rng.random() < self.doubles]
        if rng.random() < 0.7:
            for i in range(len(stream)):
                if rng.random() < 0.3:
                    j = rng.randrange(len(stream))
                    stream[i], stream[j] = stream[j], stream[i]
        if rng.random() < 0.2:
            rng.shuffle(stream)
        return [self.keyed(*event) for event in stream]

    def keyed(self, role, value):
        key = events.key_of(role, value)
        return role, (key.upper() if self.rng.random() < 0.05 and role != "directory" else key), value

    def interleaved(self, streams):
        order = [i for i, stream in enumerate(streams) for _ in stream]
        self.rng.shuffle(order)
        nexts = [iter(stream) for stream in streams]
        return [next(nexts[i]) for i in order]

    # --- values

    def text(self):
        return self.rng.choice(TEXTS)

    def maybe(self, make, chance=0.5):
        return make() if self.rng.random() < chance else None

    def some(self, ids):
        chosen = self.rng.choice(ids)
        return chosen.upper() if self.rng.random() < 0.05 else chosen

    def time(self):
        if self.rng.random() < 0.2:
            return self.rng.choice(TIMES)
        return events.NOW + self.rng.randrange(-10**13, 10**13)

    def rank(self):
        roll = self.rng.random()
        if roll < 0.4:
            return self.rng.choice(RANKS)
        bits = self.rng.choice(BIT_RANKS) if roll < 0.5 else self.rng.getrandbits(32)
        if bits & 0x7F800000 == 0x7F800000:
            bits &= ~0x00800000
        return struct.unpack("<f", struct.pack("<I", bits))[0]

    def ref(self, ids):
        return events.ref(self.some(ids), self.maybe(self.text))

    def user(self, o):
        return events.user(self.some(o.users), *(self.maybe(self.text) for _ in range(3)))

    def inbox(self, o):
        return events.inbox(self.some(o.inboxes), self.maybe(self.text), self.maybe(self.text))

    def customer(self, o):
        return events.customer(self.some(o.tables), self.some(o.customers), self.maybe(self.text))

    def ticket(self):
        number = self.rng.choice([0, 1, 119, -5, 2**31 - 1, -(2**31)])
        return {"prefix": self.maybe(self.text), "suffix": self.maybe(self.text), "number": number}

    def meeting(self):
        return self.rng.choice(MEETINGS)

    def set_or_clear(self, make):
        return self.maybe(lambda: {"value": self.maybe(make, 0.7)})

    # --- cases

    def snapshot(self, o):
        return {
            "ticket": self.maybe(self.ticket), "serviceCategory": self.ref(o.categories),
            "serviceType": self.ref(o.types), "status": self.rng.choice(STATUSES), "statusDate": self.time(),
            "referenceDate": self.time(), "dateOpened": self.time(), "dateClosed": self.maybe(self.time, 0.2),
            "assignedTo": self.maybe(lambda: self.user(o)), "lockedBy": self.maybe(lambda: self.user(o)),
            "channel": self.rng.choice(CHANNELS), "rank": self.rank(), "unit": self.ref(o.units),
            "inbox": self.inbox(o), "caseTimestamp": self.time(),
            "workstation": self.maybe(lambda: self.ref(o.workstations)),
            "customer": self.maybe(lambda: self.customer(o)), "onlineMeeting": self.maybe(self.meeting),
            "printedTicket": self.rng.random() < 0.3, "contactPhoneNumber": self.maybe(self.text),
            "contactEmail": self.maybe(self.text), "entryMode": self.rng.choice(["WalkIn", "Appointment", "Kiosk"]),
        }  # fmt: skip

    def change(self, o, kind):
        """The payload of any event but a snapshot."""
        fields = {"caseTimestamp": self.time()}
        status = {"status": self.rng.choice(STATUSES), "statusDate": self.time()}
        if kind in ("AppointmentCheckedIn", "CaseReturnedToQueue", "CaseReopened", "CaseMoved"):
            fields.update(status, rank=self.rank())
        if kind in ("CaseStatusChanged", "CaseServiceStarted", "AppointmentCancelled", "QueueAbandoned"):
            fields.update(status)
        if kind in ("CaseResolved", "CaseClosed"):
            fields["statusDate"] = self.time()
        if kind in ("AppointmentCancelled", "QueueAbandoned", "CaseClosed"):
            fields["dateClosed"] = self.time()
        if kind == "AppointmentCheckedIn":
            fields["ticket"] = self.maybe(self.ticket)
        if kind == "CaseServiceStarted":
            fields.update(lockedBy=self.user(o), workstation=self.maybe(lambda: self.ref(o.workstations)))
            fields["status"] = "Active"
        if kind == "CaseMoved":
            fields.update(inbox=self.inbox(o), unit=self.ref(o.units))
            fields.update(lockedBy=self.maybe(lambda: self.user(o)))
            fields.update(workstation=self.maybe(lambda: self.ref(o.workstations)))
        if kind == "CasePositionChanged":
            fields["rank"] = self.rank()
        if kind == "CaseUserAssigned":
            fields["assignedTo"] = self.user(o)
        if kind == "CaseUpdated":
            fields.update(channel=self.maybe(lambda: self.rng.choice(CHANNELS)))
            fields.update(customer=self.set_or_clear(lambda: self.customer(o)))
            fields.update(contactPhoneNumber=self.set_or_clear(self.text), contactEmail=self.set_or_clear(self.text))
        if kind == "CaseOnlineMeetingSet":
            fields["onlineMeeting"] = self.maybe(self.meeting, 0.7)
        return {kind: fields}

    def case(self, o):
        rng, case_id = self.rng, self.world.guid()
        plain = [
            "AppointmentCheckedIn", "CaseStatusChanged", "CaseReturnedToQueue", "CaseMoved", "CaseResolved",
            "CaseReopened", "CasePositionChanged", "CaseUserAssigned", "CaseUserUnassigned", "CaseUpdated",
            "CaseTicketPrinted", "CaseOnlineMeetingSet",
        ]  # fmt: skip
        kinds = [rng.choice(plain) for _ in range(rng.randrange(0, 12))]
        if rng.random() < 0.95:
            place = 0 if rng.random() < 0.8 else rng.randrange(len(kinds) + 1)
            kinds.insert(place, rng.choice(["CaseQueued", "AppointmentBooked"]))
        if rng.random() < 0.1:
            kinds.append("CaseQueued")
        if rng.random() < 0.8:
            kinds.append("CaseServiceStarted")
            kinds += rng.choices(["CasePositionChanged", "CaseUpdated", "CaseUserAssigned", "CaseTicketPrinted"], k=2)
        if rng.random() < 0.15:
            kinds.append(rng.choice(["CaseClosed", "QueueAbandoned", "AppointmentCancelled"]))
            kinds += rng.choices(plain + ["CaseQueued"], k=rng.randrange(3))
        out = []
        for number, kind in enumerate(kinds, 1):
            snapshot = kind in ("CaseQueued", "AppointmentBooked")
            payload = {kind: {"case": self.snapshot(o)}} if snapshot else self.change(o, kind)
            shown = case_id.upper() if rng.random() < 0.03 else case_id
            out.append(events.case_event(o.id, shown, number, payload, eventId=self.world.guid(), occurredAt=self.time()))
        return out

    # --- agents

    def agent(self, o, user_id):
        rng, out = self.rng, []
        for number in range(1, rng.randrange(2, 18)):
            kind = rng.choice(
                ["AgentCurrentUnitSelected"] * 4
                + ["AgentWorkspacesSelected"] * 8
                + ["AgentCurrentUnitCleared", "AgentUnitAccessRevoked"]
            )
            fields = {} if kind == "AgentCurrentUnitCleared" else {"unitId": self.some(o.units)}
            if kind == "AgentWorkspacesSelected":
                fields["workspaceIds"] = [self.some(o.workspaces) for _ in range(rng.choice([0, 1, 2, 3]))]
            out.append(events.agent_event(o.id, user_id, number, {kind: fields}, eventId=self.world.guid()))
        return out

    # --- directory

    def entity(self, o, kind):
        rng = self.rng
        return {
            "unit": lambda: {"UnitUpserted": {"name": self.text()}},
            "service-category": lambda: {"ServiceCategoryUpserted": {"name": self.text()}},
            "service-type": lambda: {
                "ServiceTypeUpserted": {"serviceCategoryId": self.some(o.categories), "name": self.text()}
            },
            "inbox": lambda: {
                "InboxUpserted": {"unitId": self.some(o.units), "name": self.text(), "colorCode": self.maybe(self.text)}
            },
            "workstation": lambda: {"WorkstationUpserted": {"unitId": self.some(o.units), "name": self.text()}},
            "workspace": lambda: {"WorkspaceUpserted": {"unitId": self.some(o.units), "name": self.text()}},
            "user": lambda: {
                "UserUpserted": {
                    "displayName": self.text(), "initials": self.maybe(self.text), "picture": self.maybe(self.text),
                }  # fmt: skip
            },
            "customer": lambda: {
                "CustomerUpserted": {"dataTableId": self.some(o.tables), "displayName": self.text()}
            },
            "application": lambda: {
                "ApplicationUpserted": {
                    "clientId": self.text(), "name": self.text(), "enabled": rng.random() < 0.8,
                    "roles": rng.sample(["Agent Impersonator", "AgentImpersonator", "Other", "x\ty", ""], rng.randrange(4)),
                }  # fmt: skip
            },
        }[kind]()

    def directory(self, o):
        """One stream an entity: upserts, removals, null values, in an order that the log then fixes."""
        groups = {
            "unit": o.units, "service-category": o.categories, "service-type": o.types, "inbox": o.inboxes,
            "workstation": o.workstations, "workspace": o.workspaces, "user": o.users, "customer": o.customers,
            "application": o.applications,
        }  # fmt: skip
        streams = []
        for kind, ids in groups.items():
            for entity_id in ids:
                if self.rng.random() < 0.85:
                    streams.append(self.entity_stream(o, kind, entity_id))
        return streams

    def entity_stream(self, o, kind, entity_id):
        rng, stream = self.rng, []
        for version in range(1, rng.randrange(2, self.versions + 1)):
            payload = {"EntityRemoved": {"kind": kind}} if rng.random() < 0.15 else self.entity(o, kind)
            event = events.directory_event(o.id, entity_id, version, payload, eventId=self.world.guid())
            stream.append((event[0], events.key_of(*event), event[1]))
        if not self.ordered_directory:
            stream += rng.sample(stream, rng.randrange(2))
            if rng.random() < 0.3:
                rng.shuffle(stream)
        if rng.random() < 0.15:
            stream.insert(rng.randrange(len(stream) + 1), ("directory", events.directory_key(kind, o.id, entity_id), None))
        return stream
