"""The sample of the endpoint's page, from events in Apache Kafka to the bytes of the answer."""

import pytest

from support import page_sample
from support.tokens import Keys
from support.waiting import wait_for


@pytest.mark.parametrize("framing", ["single-object", "registry"])
def test_page_sample_byte_for_byte(make_kafka_stack, request, framing):
    registry = request.getfixturevalue("registry") if framing == "registry" else None
    stack = make_kafka_stack(registry=registry)
    keys = Keys()
    stack.start_worker()
    api = stack.start_api(keys)
    stack.dev("produce", page_sample.EVENTS)
    view = stack.check()
    assert len(view.active_cases) == 1
    if registry:
        subjects = {f"{stack.topics.name(role)}-value" for role in ("case", "agent", "directory")}
        assert set(registry.subjects) == subjects
        assert {r.value[:1] for rs in stack.broker.read_all(stack.topics).values() for r in rs} == {b"\0"}

    token = keys.token(page_sample.CLIENT)
    answer = api.active_cases(page_sample.APPLICATION, page_sample.USER, token)
    assert answer.status_code == 200
    assert answer.content == page_sample.ANSWER.read_bytes().strip()
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    tag = answer.headers["ETag"]
    assert tag.startswith('"') and tag.endswith('"'), "a strong ETag"

    for match in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        same = api.active_cases(page_sample.APPLICATION, page_sample.USER, token, If_None_Match=match, X_Request_Id="mine-1")
        assert (same.status_code, same.content) == (304, b"")
        assert (same.headers["ETag"], same.headers["X-Request-Id"]) == (tag, "mine-1")
    assert api.active_cases(page_sample.APPLICATION, page_sample.USER, token, If_None_Match='"other"').status_code == 200
    head = api.active_cases(page_sample.APPLICATION, page_sample.USER, token, method="HEAD")
    assert (head.status_code, head.content, head.headers["ETag"]) == (200, b"", tag)
    assert head.headers["Content-Length"] == str(len(answer.content))

    report = stack.status()
    assert report["healthy"] is True
    assert (report["parked"], report["incomplete"], report["degraded"]) == (0, 0, 0)
    assert sum(p["next_offset"] for p in report["partitions"]) == len(page_sample.items())
    assert {p["lag"] for p in report["partitions"]} == {0}


def test_produce_names_the_bad_line(make_kafka_stack, tmp_path):
    """The tests' own tools must not lose an event silently."""
    stack = make_kafka_stack()
    lines = page_sample.EVENTS.read_text().splitlines()
    lines[2] = lines[2].replace('"version":3', '"version":"three"')
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(lines))
    done = stack.dev("produce", file, check=None)
    assert done.returncode != 0 and f"{file}:3" in done.stderr and "version" in done.stderr
    counted = sum(len(records) for records in stack.broker.read_all(stack.topics).values())
    assert counted == 2, "what came before the bad line has been delivered"


def test_change_is_another_etag(make_kafka_stack):
    stack, keys = make_kafka_stack(), Keys()
    stack.dev("produce", page_sample.EVENTS)
    stack.start_worker()
    api = stack.start_api(keys)
    stack.check()
    token = keys.token(page_sample.CLIENT, kid="ec")

    def get(**headers):
        return api.active_cases(page_sample.APPLICATION, page_sample.USER, token, **headers)

    first = get()
    role, key, value = page_sample.items()[-1]
    change = {"CasePositionChanged": {"rank": 0.5, "caseTimestamp": value["occurredAt"] + 1}}
    stack.send_items([(role, key, {**value, "sequence": value["sequence"] + 1, "payload": change})])
    wait_for(lambda: b'"rank":0.5,' in get().content, 5, "the change is shown")
    second = get(If_None_Match=first.headers["ETag"])
    assert second.status_code == 200 and second.headers["ETag"] != first.headers["ETag"]
