"""Makes events as plain values; fields that a test does not name get defaults."""

import itertools
import uuid

NOW = 1712834018008222  # 2024-04-11T11:13:38.008222Z
ticks = itertools.count()


def guid():
    return str(uuid.uuid4())


def ref(id=None, name=None):
    return {"id": guid() if id is None else id, "name": name}


def inbox(id=None, name=None, color=None):
    return {"id": guid() if id is None else id, "name": name, "colorCode": color}


def user(id=None, name=None, initials=None, picture=None):
    return {"userId": guid() if id is None else id, "displayName": name, "initials": initials, "picture": picture}


def customer(table=None, record=None, name=None):
    return {"dataTableId": table or guid(), "recordId": record or guid(), "displayName": name}


def snapshot(**fields):
    """A CaseSnapshot that an agent serves, unless fields say otherwise."""
    return {
        "ticket": None,
        "serviceCategory": ref(name="Inquiry"),
        "serviceType": ref(name="Special Inquiry"),
        "status": "Active",
        "statusDate": NOW,
        "referenceDate": NOW - 86_400_000_000,
        "dateOpened": NOW - 86_400_000_000,
        "dateClosed": None,
        "assignedTo": None,
        "lockedBy": user(name="John Doe"),
        "channel": "FaceToFace",
        "rank": 1.5,
        "unit": ref(name="Jerusalem"),
        "inbox": inbox(name="Reception", color="#03a9f4"),
        "caseTimestamp": NOW + 1,
        "workstation": None,
        "customer": None,
        "onlineMeeting": None,
        "printedTicket": False,
        "contactPhoneNumber": None,
        "contactEmail": None,
        "entryMode": "WalkIn",
        **fields,
    }


def timed(payload):
    """Adds the times that most payloads have."""
    ((kind, fields),) = payload.items()
    if kind not in ("CaseQueued", "AppointmentBooked"):
        fields = {"caseTimestamp": NOW + 1000 + next(ticks), "statusDate": NOW + 5, "dateClosed": NOW + 6, **fields}
    return {kind: fields}


def case_event(organization, case_id, sequence, payload, **envelope):
    return "case", {
        "eventId": guid(),
        "organizationId": organization,
        "caseId": case_id,
        "sequence": sequence,
        "occurredAt": NOW,
        "actor": {"kind": "Agent", "userId": None},
        "payload": timed(payload),
        **envelope,
    }


def queued(organization, case_id, sequence=1, **fields):
    return case_event(organization, case_id, sequence, {"CaseQueued": {"case": snapshot(**fields)}})


def agent_event(organization, user_id, sequence, payload, **envelope):
    return "agent", {
        "eventId": guid(),
        "organizationId": organization,
        "userId": user_id,
        "sequence": sequence,
        "occurredAt": NOW,
        "actor": None,
        "payload": payload,
        **envelope,
    }


def directory_event(organization, entity_id, version, payload, **envelope):
    return "directory", {
        "eventId": guid(),
        "organizationId": organization,
        "entityId": entity_id,
        "version": version,
        "occurredAt": NOW,
        "payload": payload,
        **envelope,
    }


def unit_event(organization, unit, version, name):
    return directory_event(organization, unit, version, {"UnitUpserted": {"name": name}})


KIND_OF = {
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


def directory_key(kind, organization, entity_id):
    return f"{kind}:{organization}:{entity_id}".lower().encode()


def key_of(role, value):
    if role == "case":
        return value["caseId"].lower().encode()
    if role == "agent":
        return value["userId"].lower().encode()
    ((name, payload),) = value["payload"].items()
    return directory_key(KIND_OF.get(name) or payload["kind"], value["organizationId"], value["entityId"])
