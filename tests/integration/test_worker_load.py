"""Work that must not wait until a partition with a large backlog has been read."""

import threading
import time

from support import events
from support.stack import batches_of
from support.waiting import stays_true, wait_for


def backlog(stack, records, partition):
    """Many cases in one partition; small batches make it take long."""
    organization = events.guid()
    stack.send(*(events.queued(organization, events.guid()) for _ in range(records)), partition=partition)


def is_behind(stack, role, partition):
    return (stack.topics.name(role), partition) in stack.behind()


def test_a_flood_halts_while_another_partition_is_read(make_stack):
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    backlog(stack, 8000, 1)
    stack.send_raw("case", [(b"no guid", b"no event", ())] * 1500, 0)
    stack.start_worker(ready=False, environment=batches_of(4))
    stack.wait_halt("case", 0, "poison-flood")
    assert is_behind(stack, "case", 1), "the other one is still being read"
    stack.check()


def test_sweeps_keep_up(make_stack):
    """Tombstones and forgotten entities are deleted in small pieces, without a pause while there are more."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    organization, case, unit = events.guid(), events.guid(), events.guid()
    stack.send(events.queued(organization, case), events.case_event(organization, case, 2, {"CaseClosed": {}}))
    stack.send(events.directory_event(organization, unit, 1, {"UnitUpserted": {"name": "x"}}))
    stack.stop_worker(stack.start_worker())
    stack.database.query("UPDATE gen_1.case_state SET over_at = now() - interval '91 days'")
    stack.database.query("CREATE TABLE ids AS SELECT gen_random_uuid() AS id, n FROM generate_series(1, 6500) n")
    stack.database.query("""
        INSERT INTO gen_1.case_state SELECT (jsonb_populate_record(t, jsonb_build_object('case_id', id))).*
        FROM gen_1.case_state t, ids""")
    stack.database.query("""
        INSERT INTO gen_1.directory
        SELECT (jsonb_populate_record(t, jsonb_build_object('entity_id', id, 'status', 0, 'change_no', -n))).*
        FROM gen_1.directory t, ids""")
    stack.start_worker()
    counts = "SELECT (SELECT count(*) FROM gen_1.case_state), (SELECT count(*) FROM gen_1.directory)"
    wait_for(lambda: stack.database.query(counts) == [(0, 1)], 40, "all that is old is gone")


def test_a_lasting_refusal_backs_off(make_stack):
    """The database refuses every row of a case, for a reason that may be temporary: the delay between attempts grows."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    stack.database.query("""
        CREATE FUNCTION gen_1.say_no() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '58030'; END $$;
        CREATE TRIGGER say_no BEFORE INSERT ON gen_1.case_state FOR EACH ROW EXECUTE FUNCTION gen_1.say_no()""")
    case = events.guid()
    stack.send(events.queued(events.guid(), case))
    worker.wait_log("SQLSTATE 58030")
    stays_true(worker.is_running, 10, "it tries again")
    assert worker.metric("caseview_recoveries_total") <= 10
    stack.database.query("DROP TRIGGER say_no ON gen_1.case_state")
    stack.wait_body(case)


def test_look_ups_do_not_depend_on_statistics(make_stack):
    """Statistics of empty tables make the planner scan a table for each key, and tables grow before the next ANALYZE."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.database.query("ANALYZE")
    worker = stack.start_worker(environment=batches_of(200))
    organization, rows = events.guid(), 3000
    agents, units = [[events.guid() for _ in range(rows)] for _ in range(2)]
    named = [events.directory_event(organization, unit, 1, {"UnitUpserted": {"name": "x"}}) for unit in units]
    select = [{"AgentCurrentUnitSelected": {"unitId": unit}} for unit in units]
    stack.send(*named, *(events.agent_event(organization, agent, 1, unit) for agent, unit in zip(agents, select, strict=True)))
    stack.check()
    read = "SELECT pg_stat_clear_snapshot(), relname::text, sum(idx_tup_read)::int FROM pg_stat_user_indexes GROUP BY relname"
    stack.stop_worker(worker)  # cached states need no look-up
    stack.start_worker(environment=batches_of(200))
    before = {table: number for _, table, number in stack.database.query(read)}
    stack.send(
        *(events.agent_event(organization, agent, 2, unit) for agent, unit in zip(agents, select, strict=True)),
        *(events.queued(organization, events.guid(), unit=events.ref(unit)) for unit in units),
        *(events.directory_event(organization, unit, 2, {"UnitUpserted": {"name": "x"}}) for unit in units),
    )
    stack.check()

    def numbers():
        return {table: number - before.get(table, 0) for _, table, number in stack.database.query(read)}

    wait_for(lambda: numbers()["agent"] >= rows, 20, "the statistics are there")
    found = numbers()
    assert found["agent"] <= 4 * rows and found["directory"] <= 8 * rows, found


SLOW_FENCE = """
CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.03); RETURN NEW; END $$;
CREATE TRIGGER slow BEFORE UPDATE ON ctl.cursor FOR EACH ROW EXECUTE FUNCTION public.slow()"""


def test_batches_are_rarer_while_the_fence_is_slow(make_stack):
    """As while another session's snapshot keeps old versions of the cursors (docs/decisions/0016)."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    worker, organization = stack.start_worker(), events.guid()
    stack.database.query(SLOW_FENCE)
    pause = threading.Event()

    def batches_in(seconds):
        before, began = worker.metric("caseview_batches_total"), time.monotonic()
        while time.monotonic() < began + seconds:
            stack.send(events.queued(organization, events.guid()))
            pause.wait(0.005)  # the mock cluster keeps 5 MB of a partition
        return worker.metric("caseview_batches_total") - before, time.monotonic() - began

    wait_for(lambda: batches_in(0.2) and worker.metric("caseview_batches_total") > 20, 60, "some fences were measured")
    count, seconds = batches_in(5)
    assert 2 <= count <= seconds / 0.3 + 2
    stack.database.query("DROP TRIGGER slow ON ctl.cursor")
    stack.check()
