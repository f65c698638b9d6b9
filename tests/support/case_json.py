"""An independent implementation of the Case object (contract, section 2): numbers, times, escapes and key order."""

import datetime
import fractions
import re
import struct

EPOCH = datetime.datetime(1970, 1, 1)
TIME_MIN = -62135596800000000
TIME_MAX = 253402300799999999


def text(value):
    if value is None:
        return "null"
    short = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}
    return '"' + "".join(short.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in value) + '"'


def guid(value):
    return "null" if value is None else f'"{value.lower()}"'


def time(us):
    if us is None:
        return "null"
    moment = EPOCH + datetime.timedelta(microseconds=us)
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    day = f"{moment.year:04d}-{moment.month:02d}-{moment.day:02d}"
    return f'"{day}T{moment.hour:02d}:{moment.minute:02d}:{moment.second:02d}{fraction}Z"'


def float_bits(value):
    return struct.unpack("<I", struct.pack("<f", value))[0]


def exact(bits):
    return fractions.Fraction(struct.unpack("<f", struct.pack("<I", bits))[0])


def shortest(bits):
    """(digits, exponent) of the shortest decimal that reads back to this positive float32; the nearest of several."""
    value = exact(bits)
    if bits == 0x7F7FFFFF:
        upper = fractions.Fraction(2) ** 128 - fractions.Fraction(2) ** 103
    else:
        upper = (value + exact(bits + 1)) / 2
    lower = (value + exact(bits - 1)) / 2
    ties_are_ours = bits % 2 == 0
    exponent = 0
    while fractions.Fraction(10) ** (exponent + 1) <= value:
        exponent += 1
    while fractions.Fraction(10) ** exponent > value:
        exponent -= 1
    for precision in range(1, 12):
        unit = fractions.Fraction(10) ** (exponent - precision + 1)
        floor = value // unit
        good = [
            n
            for n in (floor, floor + 1)
            if lower < n * unit < upper or (ties_are_ours and n * unit in (lower, upper))
        ]
        if good:
            best = min(good, key=lambda n: (abs(n * unit - value), n % 2))
            digits = str(best)
            return digits.rstrip("0"), exponent + len(digits) - precision
    raise AssertionError("no decimal reads back")


def rank(value):
    bits = float_bits(value)
    sign = "-" if bits >> 31 else ""
    bits &= 0x7FFFFFFF
    assert bits < 0x7F800000, "a rank is finite"
    if bits == 0:
        return sign + "0"
    digits, exponent = shortest(bits)
    if not -5 <= exponent <= 14:
        mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        return f"{sign}{mantissa}E{'+' if exponent >= 0 else '-'}{abs(exponent):02d}"
    if exponent < 0:
        return sign + "0." + "0" * (-exponent - 1) + digits
    if len(digits) <= exponent + 1:
        return sign + digits + "0" * (exponent + 1 - len(digits))
    return sign + digits[: exponent + 1] + "." + digits[exponent + 1 :]


def meeting(value):
    if value is None:
        return "null"
    return re.search(r"\{.*\}", value, re.S)[0]


def user(ref):
    if ref is None:
        return "null"
    return (
        f'{{"userId":{guid(ref["userId"])},"displayName":{text(ref["displayName"])},'
        f'"initials":{text(ref["initials"])},"picture":{text(ref["picture"])}}}'
    )


def ticket(value):
    if value is None:
        return "null"
    return f'{{"prefix":{text(value["prefix"])},"suffix":{text(value["suffix"])},"number":{value["number"]}}}'


def customer(value):
    if value is None:
        return "null"
    return (
        f'{{"dataTableId":{guid(value["dataTableId"])},"recordId":{guid(value["recordId"])},'
        f'"displayName":{text(value["displayName"])}}}'
    )


def case_object(c):
    """c: the fields of a case by the contract's names of events, texts already resolved."""
    station = c["workstation"] or {"id": None, "name": None}
    parts = [
        ("caseId", guid(c["caseId"])),
        ("ticket", ticket(c["ticket"])),
        ("serviceCategoryId", guid(c["serviceCategory"]["id"])),
        ("serviceCategoryName", text(c["serviceCategory"]["name"])),
        ("serviceTypeId", guid(c["serviceType"]["id"])),
        ("serviceTypeName", text(c["serviceType"]["name"])),
        ("status", text(c["status"])),
        ("statusDate", time(c["statusDate"])),
        ("referenceDate", time(c["referenceDate"])),
        ("dateOpened", time(c["dateOpened"])),
        ("dateClosed", time(c["dateClosed"])),
        ("assignedTo", user(c["assignedTo"])),
        ("lockedBy", user(c["lockedBy"])),
        ("channel", text(c["channel"])),
        ("rank", rank(c["rank"])),
        ("unitId", guid(c["unit"]["id"])),
        ("unitName", text(c["unit"]["name"])),
        ("inboxId", guid(c["inbox"]["id"])),
        ("inboxName", text(c["inbox"]["name"])),
        ("inboxColorCode", text(c["inbox"]["colorCode"])),
        ("caseTimestamp", time(c["caseTimestamp"])),
        ("workstationId", guid(station["id"])),
        ("workstationName", text(station["name"])),
        ("customer", customer(c["customer"])),
        ("onlineMeeting", meeting(c["onlineMeeting"])),
        ("printedTicket", "true" if c["printedTicket"] else "false"),
        ("contactPhoneNumber", text(c["contactPhoneNumber"])),
        ("contactEmail", text(c["contactEmail"])),
        ("entryMode", text(c["entryMode"])),
        ("fields", "null"),
        ("tags", "null"),
    ]
    return "{" + ",".join(f'"{key}":{value}' for key, value in parts) + "}"
