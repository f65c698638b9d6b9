"""A record's header traceparent is in the log lines about this record: parked, waiting for a schema, refused by PostgreSQL."""

import json
import re

import pytest

from support import avro_codec, events
from support.waiting import wait_for

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = ("traceparent", f"00-{TRACE}-{SPAN}-01".encode())
OTHER = ("traceparent", b"00-11111111111111111111111111111111-2222222222222222-00")


def lines(worker, words):
    """The log lines with these words in their message, as objects; waits for the first one."""

    def found():
        objects = [json.loads(line) for line in worker.log().splitlines()]
        return [line for line in objects if words in line["message"]]

    return wait_for(found, 40, f"a log line has {words!r}")


def json_worker(stack, **options):
    worker = stack.start_worker("--log-format", "json", ready=False, **options)
    wait_for(lambda: "group: assigned" in worker.log(), 40, "it has partitions")
    return worker


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        ([PARENT], (TRACE, SPAN)),
        ([("a", b"1"), OTHER, ("traceparent", b""), PARENT, ("z", None)], (TRACE, SPAN)),
        ([PARENT, ("traceparent", b"no trace")], (None, None)),
        ([("Traceparent", PARENT[1])], (None, None)),
        ([("traceparent", None)], (None, None)),
        ([], (None, None)),
    ],
    ids=["one", "the last one counts", "not valid", "other name", "no value", "none"],
)
def test_parked(make_stack, headers, shown):
    stack = make_stack()
    worker = json_worker(stack)
    stack.send_raw("case", [(b"key", b"no event", headers)], 0)
    (line,) = lines(worker, "events parked")
    assert "at offset 0 " in line["message"] and line["level"] == "warn"
    assert (line.get("trace_id"), line.get("span_id")) == shown
    stack.check()


def test_waiting_for_a_schema(make_stack, registry):
    stack = make_stack(registry=registry)
    worker = json_worker(stack)
    schema = avro_codec.Schema({**stack.schemas.by_role["case"].json, "doc": "met for the first time"})
    schema_id = registry.register(schema.text)
    registry.behave("error")
    role, value = events.queued(events.guid(), events.guid())
    stack.send_raw("case", [(events.key_of(role, value), schema.registry_framed(schema_id, value), [PARENT])], 0)
    line = lines(worker, "waiting at offset 0")[0]
    assert (line["trace_id"], line["span_id"]) == (TRACE, SPAN)
    registry.behave("slow")
    stack.check()


def test_refused_by_the_database(make_stack):
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    organization, refused = events.guid(), events.guid()
    stack.database.query("""
        CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'not wanted' USING ERRCODE = '22023'; END $$""")
    stack.database.query(f"""
        CREATE TRIGGER refuse BEFORE INSERT ON gen_1.case_state FOR EACH ROW WHEN (NEW.case_id = '{refused}')
        EXECUTE FUNCTION public.refuse()""")
    made = [events.queued(organization, events.guid()) for _ in range(20)]
    made[10] = events.queued(organization, refused)
    parent = [[OTHER]] * 10 + [[PARENT]] + [[OTHER]] * 9
    stack.send_raw("case", [(events.key_of(*e), stack.encode(*e), h) for e, h in zip(made, parent, strict=True)], 0)
    worker = json_worker(stack)
    for words in ("the database refuses what the record at offset 10", "events parked, the last at offset 10"):
        line = lines(worker, words)[0]
        assert (line["trace_id"], line["span_id"]) == (TRACE, SPAN), words
    wait_for(lambda: stack.progress()[stack.topics.case, 0][0] == 20, 30, "the others are folded")
    assert len(stack.active_cases()) == 19


def test_lines_as_text(make_stack):
    stack = make_stack()
    worker = stack.start_worker()
    stack.send_raw("case", [(b"key", b"no event", [PARENT])], 0)
    line = worker.wait_log("(?m)^.*events parked.*$")[0]
    assert re.search(f" trace_id={TRACE} span_id={SPAN}$", line)
