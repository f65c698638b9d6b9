"""Records that no producer should send."""

import contextlib
import json

from support import avro_codec, events


def test_a_flood_of_another_organizations_events_halts(make_stack):
    """Records that only the fold can refuse count for the flood, too."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    case, other = events.guid(), events.guid()
    stack.send(events.queued(events.guid(), case))
    stack.check()
    foreign = [events.case_event(other, case, n, {"CasePositionChanged": {"rank": 2.0}}) for n in range(2, 1600)]
    stack.send(*foreign)
    row = stack.wait_halt("case", 0, "poison-flood")
    assert row[2] == 1, "back at the first one"
    assert not stack.parked(), "what was parked is taken back"
    stack.check()


def test_batches_that_would_exceed_memory_are_smaller(make_stack):
    """Small events of cases with large texts: the folded states are hundreds of times larger than the records."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1}, options=["--memory", 64 << 20])
    worker = stack.start_worker()
    organization, first = events.guid(), events.guid()
    meeting = '{"notes":"' + "x" * 60_000 + '"}'
    stack.send(events.queued(organization, first, onlineMeeting=meeting))
    stack.wait_body(first)
    stack.database.query("CREATE TABLE ids AS SELECT gen_random_uuid() AS id FROM generate_series(1, 1500)")
    stack.database.query("""
        INSERT INTO gen_1.case_state SELECT (jsonb_populate_record(t, jsonb_build_object('case_id', id))).*
        FROM gen_1.case_state t, ids""")
    cases = [row[0] for row in stack.database.query("SELECT id::text FROM ids")]
    sent = [events.case_event(organization, case, 2, {"CasePositionChanged": {"rank": 2.0}}) for case in cases]
    # Frozen meanwhile, so that it reads all of them at once.
    worker.freeze()
    stack.send(*sent)
    worker.thaw()
    stack.wait_caught_up()
    assert stack.database.value("SELECT count(*) FROM caseview.active_case") == 1501
    stack.wait_body(cases[-1], lambda body: '"rank":2,' in body)


class OddRegistry(avro_codec.Registry):
    """The schemas name a type with two bytes per character after an odd number of bytes."""

    def _answer(self, request, body):
        request.send_response(200)
        text = json.dumps({"schemaType": "x" + "é" * 100, "schema": "{}"}).encode()
        request.send_header("Content-Length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    close = avro_codec.Registry.stop


def test_a_reason_with_a_cut_character_is_stored(make_stack):
    """A parked row that the database refuses would otherwise be sent again indefinitely."""
    registry = OddRegistry()
    with contextlib.closing(registry):
        stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1}, registry=registry)
        stack.start_worker()
        stack.send_raw("case", [(events.guid().encode(), b"\0\0\0\0\1body", ())])
        stack.wait_caught_up(20)
        ((row,),) = [stack.parked().values()]
        assert row[0] == "unknown-schema" and "é" in row[6]
