"""Names of the directory while a batch is filled and the previous one is still in flight."""

import contextlib

from support import events
from support.stack import batches_of
from support.waiting import all_the_time, stays_true, wait_for

WAITING = """
SELECT count(*) FROM pg_locks WHERE NOT granted
   AND pid IN (SELECT pid FROM pg_stat_activity WHERE application_name = 'caseview worker')"""


@contextlib.contextmanager
def held_up(stack, sql, *args):
    """Inside the block the worker's next batch waits for the lock that sql takes, and the worker continues reading."""
    with contextlib.closing(stack.postgres.connect(stack.database.name)) as blocker:
        blocker.autocommit = False
        blocker.cursor().execute(sql, args)

        def wait_for_batch():
            wait_for(lambda: stack.database.value(WAITING) > 0, 10, "a batch waits for the lock")

        yield wait_for_batch
        blocker.rollback()


def read_up_to(stack, worker, records):
    """The worker has taken so many records of the directory from Kafka."""
    wait_for(lambda: worker.metric("caseview_records_total", kind="directory") >= records, 20, f"{records} are taken")


def test_a_name_that_changes_back_in_the_next_batch(make_stack):
    """A, then B in one batch, then A again in the next one, which is full before the first is committed."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1}, options=[])
    worker = stack.start_worker(environment=batches_of(4))
    organization, unit, case = events.guid(), events.guid(), events.guid()
    stack.send(events.unit_event(organization, unit, 1, "A"), events.queued(organization, case, unit=events.ref(unit)))
    stack.wait_body(case, lambda body: body and '"unitName":"A"' in body)
    stack.check()
    others = [events.guid() for _ in range(8)]
    with held_up(stack, "SELECT FROM gen_1.directory WHERE entity_id = %s FOR UPDATE", unit) as wait_for_batch:
        stack.send(events.unit_event(organization, unit, 2, "B"))
        wait_for_batch()
        stack.send(
            events.unit_event(organization, unit, 3, "A"),
            *(events.unit_event(organization, other, 1, "other") for other in others),
        )
        read_up_to(stack, worker, 6)
        stays_true(worker.is_running, 0.3, "the second batch is made")
    stack.check()


def test_an_entity_forgotten_and_recreated_in_the_next_batch(make_stack):
    """After a null value any upsert is applied, even with a lower version."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1}, options=[])
    worker = stack.start_worker(environment=batches_of(4))
    organization, unit, case = events.guid(), events.guid(), events.guid()
    stack.send(events.unit_event(organization, unit, 9, "old"), events.queued(organization, case, unit=events.ref(unit)))
    stack.wait_body(case, lambda body: body and '"unitName":"old"' in body)
    others = [events.guid() for _ in range(8)]
    with held_up(stack, "SELECT FROM gen_1.directory WHERE entity_id = %s FOR UPDATE", unit) as wait_for_batch:
        stack.send_items([("directory", events.directory_key("unit", organization, unit), None)])
        wait_for_batch()
        stack.send(
            events.unit_event(organization, unit, 1, "new"),
            *(events.unit_event(organization, other, 1, "other") for other in others),
        )
        read_up_to(stack, worker, 6)
        stays_true(worker.is_running, 0.3, "the second batch is made")
    stack.check()


def test_new_names_reach_a_case_with_a_duplicate_in_the_same_batch(make_stack):
    """A duplicate changes nothing, and must not suppress the rendering that a new name requires."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    organization, unit, case, user = events.guid(), events.guid(), events.guid(), events.guid()
    of_case = events.queued(organization, case, unit=events.ref(unit, "Jerusalem"))
    of_agent = events.agent_event(organization, user, 1, {"AgentCurrentUnitSelected": {"unitId": unit}})
    stack.send(of_case, of_agent)
    stack.wait_body(case)

    def shown():
        return f'"unitName":"{name}"' in stack.body(case) and (
            stack.agents()[organization, user][0] == (None if removed else unit)
        )

    duplicates = [(role, events.key_of(role, value), value) for role, value in (of_case, of_agent)] * 5
    with all_the_time(lambda: stack.send_items(duplicates)):  # so that each batch has one of them
        wait_for(lambda: worker.metric("caseview_duplicates_total") > 100, 20, "duplicates come")
        for version in range(1, 21):
            removed = version % 4 == 0
            name = "Jerusalem" if removed else f"name {version}"
            payload = {"EntityRemoved": {"kind": "unit"}} if removed else {"UnitUpserted": {"name": name}}
            stack.send(events.directory_event(organization, unit, version, payload))
            wait_for(shown, 5, f"version {version} is shown")
    stack.check()


def test_a_name_that_thousands_of_cases_show_is_spread_over_batches(make_stack):
    """Events do not wait until all are rendered, and memory does not grow."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    organization, unit, case = events.guid(), events.guid(), events.guid()
    stack.send(events.queued(organization, case, unit=events.ref(unit, "old")))
    stack.wait_body(case)
    stack.database.query("CREATE TABLE ids AS SELECT gen_random_uuid() AS id FROM generate_series(1, 4500)")
    stack.database.query(
        "INSERT INTO gen_1.case_state SELECT id, rev, part, flags, NULL, NULL, state FROM gen_1.case_state, ids"
    )
    stack.database.query("""
        INSERT INTO gen_1.active_case
        SELECT organization_id, id, user_id, unit_id, status_date, case_timestamp, degraded, part, customer_ref, refs, body
        FROM gen_1.active_case, ids""")
    before = worker.metric("caseview_batches_total")
    stack.send(events.unit_event(organization, unit, 1, "new"))
    old = "SELECT count(*) FROM caseview.active_case WHERE body NOT LIKE %s"
    wait_for(lambda: stack.database.value(old, ('%"unitName":"new"%',)) == 0, 60, "all show the new name")
    assert worker.metric("caseview_rerendered_total") == 4501
    assert worker.metric("caseview_batches_total") - before >= 5


def test_new_names_reach_the_rows_of_a_halted_partition(make_stack):
    """The partition is not read any more, but its rows get new names and its cursor advances in the change feed."""
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.start_worker()
    organization, unit, case = events.guid(), events.guid(), events.guid()
    stack.send(events.queued(organization, case, unit=events.ref(unit)), partition=0)
    stack.wait_body(case)
    stack.send_raw("case", [(b"no guid", b"no event", ())] * 1500, 0)
    stack.wait_halt("case", 0, "poison-flood")
    stack.send(events.unit_event(organization, unit, 1, "new"))
    stack.wait_body(case, lambda body: '"unitName":"new"' in body)
    numbers = "SELECT count(DISTINCT dir_no) = 1 AND min(dir_no) = 1 FROM ctl.cursor WHERE topic = ANY (%s)"
    wait_for(
        lambda: stack.database.value(numbers, ([stack.topics.case, stack.topics.agent],)), 10, "all cursors show the number"
    )
    stack.check()
