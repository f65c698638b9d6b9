"""Records that can never be folded, one fault each, by the reason with which they are parked (contract, section 4)."""

import os
import struct

from . import events

YEAR_10000 = 253402300800000000
YEAR_0 = -62135596800000001
LARGE = (1 << 20) + 1


class Maker:
    """Makes (key, value, headers) of records that have one fault each."""

    def __init__(self, schemas):
        self.schemas = schemas
        self.organization = events.guid()

    def case(self, change=None, key=None, headers=(), **fields):
        """A valid CaseQueued with faulty fields of the snapshot, or with any fault that change(event) makes."""
        role, event = events.queued(self.organization, events.guid(), **fields)
        key = events.key_of(role, event) if key is None else key
        if change:
            change(event)
        return key, self.schemas.encode(role, event), headers

    def update(self, payload):
        role, event = events.case_event(self.organization, events.guid(), 2, payload)
        return events.key_of(role, event), self.schemas.encode(role, event), ()

    def agent(self, payload=None, change=None, key=None):
        payload = payload or {"AgentCurrentUnitSelected": {"unitId": events.guid()}}
        role, event = events.agent_event(self.organization, events.guid(), 1, payload)
        key = events.key_of(role, event) if key is None else key
        if change:
            change(event)
        return key, self.schemas.encode(role, event), ()

    def directory(self, payload=None, change=None, key=None):
        role, event = events.directory_event(
            self.organization, events.guid(), 1, payload or {"UnitUpserted": {"name": "x"}}
        )
        key = events.key_of(role, event) if key is None else key
        if change:
            change(event)
        return key, self.schemas.encode(role, event), ()

    def framed(self, data, role="case"):
        return events.guid().encode(), data, ()

    def without_key(self, made):
        return None, made[1], made[2]

    def without_value(self, made):
        return made[0], None, made[2]


def change(**fields):
    return lambda event: event.update(fields)


def truncated(made, by=3):
    return made[0], made[1][:-by], made[2]


def with_more(made):
    return made[0], made[1] + b"\0", made[2]


def bad_branch(m):
    """The branch number of the payload's union does not exist."""
    key, value, headers = m.agent({"AgentCurrentUnitCleared": {}})
    assert value[-1:] == b"\x02"
    return key, value[:-1] + b"\x7e", headers


def bad_json(text):
    return lambda m: m.case(onlineMeeting=text)


GUIDS = ["", "nonsense", "{10a36a3c-ffd8-42db-9eb0-5b0f6a1c2d3e}", "10a36a3cffd842db9eb05b0f6a1c2d3e",
         "10a36a3c-ffd8-42db-9eb0-5b0f6a1c2d3g", "10a36a3c-ffd8-42db-9eb0-5b0f6a1c2d3e ",
         "10a36a3-cffd8-42db-9eb0-5b0f6a1c2d3e"]  # fmt: skip

# role, reason, how to make it
KINDS = {
    "empty value": ("case", "not-avro", lambda m: m.framed(b"")),
    "text": ("case", "not-avro", lambda m: m.framed(b"hello")),
    "json": ("agent", "not-avro", lambda m: m.framed(b'{"a":1}')),
    "short single-object header": ("case", "not-avro", lambda m: m.framed(b"\xc3\x01\x00")),
    "short registry header": ("case", "not-avro", lambda m: m.framed(b"\x00\x00\x01")),
    "other marker": ("case", "not-avro", lambda m: m.framed(b"\xc3\x02" + bytes(40))),
    "body cut": ("case", "not-avro", lambda m: truncated(m.case())),
    "body empty": ("agent", "not-avro", lambda m: truncated(m.agent(), len(m.agent()[1]) - 10)),
    "bytes left over": ("directory", "not-avro", lambda m: with_more(m.directory())),
    "no such branch": ("agent", "not-avro", bad_branch),
    "endless number": ("case", "not-avro", lambda m: m.framed(m.case()[1][:10] + b"\xff" * 20)),
    "length beyond the end": ("case", "not-avro", lambda m: m.framed(m.case()[1][:10] + b"\xfe\xff\xff\x0f")),
    "negative length": ("case", "not-avro", lambda m: m.framed(m.case()[1][:10] + b"\x01")),
    "unknown fingerprint": ("case", "unknown-schema", lambda m: m.framed(b"\xc3\x01" + bytes(range(8)) + b"xy")),
    "unknown registry id": ("agent", "unknown-schema", lambda m: m.framed(b"\x00\x00\x01\x02\x03xy")),
    "agent event among cases": ("case", "wrong-type", lambda m: m.agent()),
    "case event among agents": ("agent", "wrong-type", lambda m: m.case()),
    "agent event in the directory": ("directory", "wrong-type", lambda m: (m.directory()[0], m.agent()[1], ())),
    "organization no guid": ("case", "bad-guid", lambda m: m.case(change(organizationId="o"))),
    "event id no guid": ("agent", "bad-guid", lambda m: m.agent(change=change(eventId="e"))),
    "actor's user no guid": ("case", "bad-guid", lambda m: m.case(change(actor={"kind": "x", "userId": "me"}))),
    "unit no guid": ("case", "bad-guid", lambda m: m.case(unit=events.ref("unit-1"))),
    "workspace no guid": (
        "agent", "bad-guid",
        lambda m: m.agent({"AgentWorkspacesSelected": {"unitId": events.guid(), "workspaceIds": [events.guid(), "w"]}}),
    ),
    "entity's parent no guid": (
        "directory", "bad-guid", lambda m: m.directory({"InboxUpserted": {"unitId": "u", "name": "n", "colorCode": None}})
    ),
    "invalid utf-8": ("case", "bad-text", lambda m: m.case(lockedBy=events.user(name="J\udcff"))),
    "overlong utf-8": ("case", "bad-text", lambda m: m.case(contactEmail="\udcc0\udcaf")),
    "surrogate in utf-8": ("case", "bad-text", lambda m: m.case(channel="\udced\udca0\udc80")),
    "beyond U+10FFFF": (
        "directory", "bad-text", lambda m: m.directory({"UnitUpserted": {"name": "\udcf4\udc90\udc80\udc80"}})
    ),
    "NUL in a text": ("case", "bad-text", lambda m: m.case(entryMode="Walk\0In")),
    "NUL in a role": (
        "directory", "bad-text",
        lambda m: m.directory({"ApplicationUpserted": {"clientId": "c", "name": "n", "roles": ["a\0"], "enabled": True}}),
    ),
    "escaped NUL in a meeting": ("case", "bad-text", lambda m: m.case(onlineMeeting='{"a":"\\u0000"}')),
    "escaped NUL in a meeting's key": ("case", "bad-text", lambda m: m.case(onlineMeeting='{"\\u0000":1}')),
    "lone surrogate in a meeting": ("case", "bad-text", lambda m: m.case(onlineMeeting='{"a":"\\ud800x"}')),
    "lone low surrogate in a meeting": ("case", "bad-text", lambda m: m.case(onlineMeeting='{"a":["\\udc00"]}')),
    "rank NaN": ("case", "bad-rank", lambda m: m.case(rank=struct.pack("<I", 0x7FC00000))),
    "rank infinite": ("case", "bad-rank", lambda m: m.case(rank=struct.pack("<I", 0xFF800000))),
    "rank of a change NaN": (
        "case", "bad-rank", lambda m: m.update({"CasePositionChanged": {"rank": struct.pack("<I", 0x7F800001)}})
    ),
    "meeting of a change no object": (
        "case", "bad-json", lambda m: m.update({"CaseOnlineMeetingSet": {"onlineMeeting": "[]"}})
    ),
    "statusDate in year 10000": ("case", "bad-time", lambda m: m.case(statusDate=YEAR_10000)),
    "dateClosed in year 0": ("case", "bad-time", lambda m: m.case(dateClosed=YEAR_0)),
    "occurredAt far away": ("agent", "bad-time", lambda m: m.agent(change=change(occurredAt=-(2**63)))),
    "caseTimestamp of a change": ("case", "bad-time", lambda m: m.update({"CaseTicketPrinted": {"caseTimestamp": 2**63 - 1}})),
    "sequence 0": ("case", "bad-sequence", lambda m: m.case(change(sequence=0))),
    "sequence negative": ("agent", "bad-sequence", lambda m: m.agent(change=change(sequence=-(2**63)))),
    "version 0": ("directory", "bad-sequence", lambda m: m.directory(change=change(version=0))),
    "no key, case": ("case", "missing-key", lambda m: m.without_key(m.case())),
    "no key, agent": ("agent", "missing-key", lambda m: m.without_key(m.agent())),
    "no key, directory": ("directory", "missing-key", lambda m: m.without_key(m.directory())),
    "no key, no value": ("directory", "missing-key", lambda m: (None, None, ())),
    "key of another case": ("case", "key-mismatch", lambda m: m.case(key=events.guid().encode())),
    "key of another agent": ("agent", "key-mismatch", lambda m: m.agent(key=events.guid().encode())),
    "key of another kind": (
        "directory", "key-mismatch", lambda m: m.directory(key=events.directory_key("inbox", m.organization, events.guid())),
    ),
    "key of another organization": ("directory", "key-mismatch", lambda m: other_organization(m)),
    "removed kind differs": ("directory", "key-mismatch", lambda m: removed_kind_differs(m)),
    "key no guid": ("case", "bad-guid|key-mismatch", lambda m: m.case(key=b"case-1")),
    "key no utf-8": ("case", "bad-guid|key-mismatch|bad-text", lambda m: m.case(key=b"\xff\xfe")),
    "key of no kind": ("directory", "bad-guid|key-mismatch", lambda m: m.directory(key=b"planet:a:" + events.guid().encode())),
    "no value, case": ("case", "no-value", lambda m: m.without_value(m.case())),
    "no value, agent": ("agent", "no-value", lambda m: m.without_value(m.agent())),
    "value too large": ("case", "too-large", lambda m: m.case(contactEmail="x" * LARGE)),
    "key and value too large": ("case", "too-large", lambda m: m.case(key=b"k" * (LARGE - 400))),
    "name too long": ("case", "too-large", lambda m: m.case(lockedBy=events.user(name="é" * 512 + "x"))),
    "email too long": ("case", "too-large", lambda m: m.case(contactEmail="x" * 2049)),
    "email of a change too long": (
        "case", "too-large",
        lambda m: m.update({"CaseUpdated": {"channel": None, "customer": None, "contactPhoneNumber": None,
                                            "contactEmail": {"value": "x" * 2049}, "caseTimestamp": 0}}),
    ),
    "meeting too long": ("case", "too-large", lambda m: m.case(onlineMeeting='{"a":"' + "x" * (64 << 10) + '"}')),
    "role too long": (
        "directory", "too-large",
        lambda m: m.directory({"ApplicationUpserted": {"clientId": "c", "name": "n", "roles": ["a" * 1025], "enabled": True}}),
    ),
    "roles too many": (
        "directory", "too-large",
        lambda m: m.directory({"ApplicationUpserted": {"clientId": "c", "name": "n", "roles": ["a"] * 1001, "enabled": True}}),
    ),
    "workspaces too many": (
        "agent", "too-large",
        lambda m: m.agent({"AgentWorkspacesSelected": {"unitId": events.guid(), "workspaceIds": [events.guid()] * 1001}}),
    ),
    "key too large": ("case", "too-large", lambda m: m.case(key=b"k" * LARGE)),
    "headers too large": ("agent", "too-large", lambda m: (*m.agent()[:2], [("h", b"x" * LARGE)])),
    "headers too many": ("case", "too-large", lambda m: (*m.case()[:2], [(f"h{i}", os.urandom(2000)) for i in range(600)])),
}  # fmt: skip
NO_OBJECTS = ["", "null", "[]", '"x"', "{", "}{", '{"a":1}}', '{"a":01}', "{'a':1}", '{"a":1,}', '{"a":NaN}', '{"a":"\n"}',
              '{"a":1} x', '{"a" 1}', "\ufeff{}", '{"a":"\\x"}', "{}{}"]  # fmt: skip
for number, text in enumerate(NO_OBJECTS):
    KINDS[f"meeting {number}"] = ("case", "bad-json", bad_json(text))
for number, text in enumerate(GUIDS):
    KINDS[f"guid {number}"] = ("case", "bad-guid", lambda m, text=text: m.case(inbox=events.inbox(text)))


def other_organization(m):
    key, value, headers = m.directory()
    kind, _, entity = key.decode().split(":")
    return f"{kind}:{events.guid()}:{entity}".encode(), value, headers


def removed_kind_differs(m):
    key, value, headers = m.directory({"EntityRemoved": {"kind": "unit"}})
    return key.replace(b"unit", b"inbox"), value, headers
