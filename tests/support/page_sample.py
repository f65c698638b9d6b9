"""The sample of the endpoint's page, as tests/data has it: the events that lead to it and the answer, byte for byte."""

import datetime
import json
import pathlib

from . import events

DATA = pathlib.Path(__file__).resolve().parents[1] / "data"
EVENTS = DATA / "page-sample-events.jsonl"
ANSWER = DATA / "page-sample.json"
CLIENT = "page-sample-client"
APPLICATION = "c3b9d1f0-6a52-4e08-9b7c-1d2e3f405162"
USER = "accef80a-0491-4865-8f1b-66778899aabb"
TIMES = {"occurredAt", "statusDate", "referenceDate", "dateOpened", "dateClosed", "caseTimestamp"}
EPOCH = datetime.datetime(1970, 1, 1)


def micros(text):
    """ISO 8601 with Z and any fraction → microseconds since 1970."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    seconds = (datetime.datetime.fromisoformat(whole) - EPOCH) // datetime.timedelta(seconds=1)
    return seconds * 1_000_000 + int((fraction + "000000")[:6])


def plain(name, value):
    if isinstance(value, dict):
        return {key: plain(key, item) for key, item in value.items()}
    if name in TIMES and isinstance(value, str):
        return micros(value)
    return value


def items():
    """(role, key, value) of each event."""
    out = []
    for line in EVENTS.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        value = plain("", event["value"])
        out.append((event["topic"], events.key_of(event["topic"], value), value))
    return out
