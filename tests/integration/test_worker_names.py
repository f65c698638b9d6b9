"""Names of the directory while a batch is filled and the previous one is still in flight."""

import contextlib
import functools
import itertools

from support import events
from support.stack import batches_of
from support.waiting import all_the_time, stays_true, wait_for

WAITING = """
SELECT count(*) FROM pg_locks WHERE NOT granted
   AND pid IN (SELECT pid FROM pg_stat_activity WHERE application_name = 'caseview worker')"""

VERSIONS = itertools.count(1)


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


def make_second_batch(stack, worker, event):
    """Makes the worker close a batch with this directory event, which is full, while the first one is held up."""
    organization = event[1]["organizationId"]
    stack.send(event, *(events.unit_event(organization, events.guid(), 1, "other") for _ in range(8)))
    read_up_to(stack, worker, 6)
    stays_true(worker.is_running, 0.3, "the second batch is made")


def test_a_name_that_changes_back_in_the_next_batch(make_stack):
    """A, then B in one batch, then A again in the next one, which is full before the first is committed."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1}, options=[])
    worker = stack.start_worker(environment=batches_of(4))
    organization, unit, case = events.guid(), events.guid(), events.guid()
    stack.send(events.unit_event(organization, unit, 1, "A"), events.queued(organization, case, unit=events.ref(unit)))
    stack.wait_body(case, lambda body: body and '"unitName":"A"' in body)
    stack.check()
    with held_up(stack, "SELECT FROM gen_1.directory WHERE entity_id = %s FOR UPDATE", unit) as wait_for_batch:
        stack.send(events.unit_event(organization, unit, 2, "B"))
        wait_for_batch()
        make_second_batch(stack, worker, events.unit_event(organization, unit, 3, "A"))
    stack.check()


def test_an_entity_forgotten_and_recreated_in_the_next_batch(make_stack):
    """After a null value any upsert is applied, even with a lower version."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1}, options=[])
    worker = stack.start_worker(environment=batches_of(4))
    organization, unit, case = events.guid(), events.guid(), events.guid()
    stack.send(events.unit_event(organization, unit, 9, "old"), events.queued(organization, case, unit=events.ref(unit)))
    stack.wait_body(case, lambda body: body and '"unitName":"old"' in body)
    with held_up(stack, "SELECT FROM gen_1.directory WHERE entity_id = %s FOR UPDATE", unit) as wait_for_batch:
        stack.send_items([("directory", events.directory_key("unit", organization, unit), None)])
        wait_for_batch()
        make_second_batch(stack, worker, events.unit_event(organization, unit, 1, "new"))
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


def copy_case(stack, case, count):
    """So many more listed cases like this one."""
    stack.database.query("DROP TABLE IF EXISTS ids")
    stack.database.query("CREATE TABLE ids AS SELECT gen_random_uuid() AS id FROM generate_series(1, %s)", (count,))
    stack.database.query("""
        INSERT INTO gen_1.case_state SELECT id, rev, part, flags, NULL, NULL, state
        FROM gen_1.case_state, ids WHERE case_id = %s""", (case,))  # fmt: skip
    stack.database.query("""
        INSERT INTO gen_1.active_case
        SELECT organization_id, id, user_id, unit_id, status_date, case_timestamp, degraded, part, customer_ref, refs, body
        FROM gen_1.active_case, ids WHERE case_id = %s""", (case,))  # fmt: skip


def test_a_name_that_thousands_of_cases_show_is_spread_over_batches(make_stack):
    """Events do not wait until all are rendered, and memory does not grow."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    organization, unit, case = events.guid(), events.guid(), events.guid()
    stack.send(events.queued(organization, case, unit=events.ref(unit, "old")))
    stack.wait_body(case)
    copy_case(stack, case, 4500)
    before = worker.metric("caseview_batches_total")
    stack.send(events.unit_event(organization, unit, 1, "new"))
    wait_for(lambda: stack.database.value(OLD, ('%"unitName":"new"%',)) == 0, 60, "all show the new name")
    assert worker.metric("caseview_rerendered_total") == 4501
    assert worker.metric("caseview_batches_total") - before >= 4501 / 250


OLD = "SELECT count(*) FROM caseview.active_case WHERE body NOT LIKE %s"
REVISIONS = "SELECT coalesce(sum(rev), 0)::bigint FROM gen_1.case_state"
RECLAIM = "UPDATE ctl.cursor SET claim = gen_random_uuid() WHERE topic = ANY (%s)"
BATCH = 50  # rows


def slow_batches(stack):
    """A batch with listed cases takes so long that other statements come between two of them, on a busy machine, too."""
    stack.database.query("""
        CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.06); RETURN NULL; END';
        CREATE TRIGGER slow AFTER INSERT ON gen_1.active_case EXECUTE FUNCTION public.slow()""")


def claimed_again(stack, is_done, every=600):
    """Takes the worker's claims after so many rows were rendered, until it is done. Returns how many times."""
    claims, next_at = 0, stack.database.value(REVISIONS) + every

    def look():
        nonlocal claims, next_at
        if is_done():
            return True
        if stack.database.value(REVISIONS) >= next_at:
            stack.database.query(RECLAIM, ([stack.topics.case, stack.topics.agent],))
            claims, next_at = claims + 1, stack.database.value(REVISIONS) + every
        return False

    wait_for(look, 120, "all rows are rendered", poll_s=0.01)
    return claims


def test_a_long_rendering_continues_after_claims(make_stack):
    """No row is rendered twice: what is committed counts, and what a claim refused is not written."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker(environment=batches_of(BATCH))
    organization, unit, case = events.guid(), events.guid(), events.guid()
    stack.send(events.queued(organization, case, unit=events.ref(unit, "old")))
    stack.wait_body(case)
    copy_case(stack, case, 4000)
    slow_batches(stack)
    before = stack.database.value(REVISIONS)
    stack.send(events.unit_event(organization, unit, 1, "new"))
    claims = claimed_again(stack, lambda: stack.database.value(OLD, ('%"unitName":"new"%',)) == 0)
    assert claims >= 4
    assert stack.database.value(REVISIONS) - before == 4001


def test_a_long_rendering_continues_after_a_crash(make_stack):
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    worker = stack.start_worker(environment=batches_of(BATCH))
    organization, user, cases = events.guid(), events.guid(), [events.guid(), events.guid()]
    for partition, case in enumerate(cases):
        stack.send(events.queued(organization, case, lockedBy=events.user(user, "old")), partition=partition)
        stack.wait_body(case)
        copy_case(stack, case, 1500)
    before = stack.database.value(REVISIONS)
    stack.send(upserted("User", organization, user, "new"))
    for rows in (700, 1700):
        wait_for(lambda: stack.database.value(REVISIONS) >= before + rows, 60, "some rows are rendered")
        stack.kill_worker(worker)
        worker = stack.start_worker(environment=batches_of(BATCH))
    wait_for(lambda: stack.database.value(OLD, ('%"displayName":"new"%',)) == 0, 60, "all show the new name")
    assert stack.database.value(REVISIONS) - before == 3002


def test_a_worker_far_behind_finishes_despite_claims(make_stack):
    """It renders all listed cases, whichever entities have changed."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker(environment=batches_of(BATCH))
    organization, unit, case = events.guid(), events.guid(), events.guid()
    stack.send(events.unit_event(organization, unit, 1, "old"), events.queued(organization, case, unit=events.ref(unit)))
    stack.wait_body(case, lambda body: body and '"unitName":"old"' in body)
    copy_case(stack, case, 4000)
    slow_batches(stack)
    before = stack.database.value(REVISIONS)
    stack.database.query("""
        WITH clock AS (UPDATE ctl.dir_clock SET no = no + 25000 RETURNING no),
             renamed AS (UPDATE gen_1.directory SET name = 'new', change_no = no - 2000 FROM clock)
        INSERT INTO gen_1.directory (kind, organization_id, entity_id, status, version, change_no, name, enabled)
        SELECT 1, gen_random_uuid(), gen_random_uuid(), 1, 1, no - n, 'other', false
          FROM clock, generate_series(0, 1099) n""")
    claims = claimed_again(stack, lambda: stack.database.value(OLD, ('%"unitName":"new"%',)) == 0)
    assert claims >= 4
    numbers = "SELECT count(*) FROM ctl.cursor WHERE topic = %s AND dir_no = (SELECT no FROM ctl.dir_clock)"
    wait_for(lambda: stack.database.value(numbers, (stack.topics.case,)) == 1, 20, "the round is done")
    assert stack.database.value(REVISIONS) - before == 4001


def upserted(kind, organization, entity, name, table=None):
    """An event with the next version."""
    fields = {
        "ServiceType": {"serviceCategoryId": events.guid()},
        "Inbox": {"unitId": events.guid()},
        "Workstation": {"unitId": events.guid()},
        "Workspace": {"unitId": events.guid()},
        "Customer": {"dataTableId": table or events.guid()},
    }.get(kind, {})
    fields["displayName" if kind in ("User", "Customer") else "name"] = name
    return events.directory_event(organization, entity, next(VERSIONS), {f"{kind}Upserted": fields})


def test_new_names_of_each_kind_are_found(make_stack):
    """Each entity that a case or an agent names in any way."""
    stack = make_stack()
    stack.start_worker()
    organization, case = events.guid(), events.guid()
    ids = {kind: events.guid() for kind in (
        "serviceCategory", "serviceType", "unit", "inbox", "workstation", "server", "assigned", "customer", "table",
        "workspace", "agent",
    )}  # fmt: skip
    stack.send(
        events.queued(
            organization, case, serviceCategory=events.ref(ids["serviceCategory"]),
            serviceType=events.ref(ids["serviceType"]), unit=events.ref(ids["unit"]), inbox=events.inbox(ids["inbox"]),
            workstation=events.ref(ids["workstation"]), lockedBy=events.user(ids["server"]),
            assignedTo=events.user(ids["assigned"]), customer=events.customer(ids["table"], ids["customer"]),
        ),
        events.agent_event(organization, ids["agent"], 1, {"AgentCurrentUnitSelected": {"unitId": ids["unit"]}}),
        events.agent_event(organization, ids["agent"], 2, {
            "AgentWorkspacesSelected": {"unitId": ids["unit"], "workspaceIds": [ids["workspace"]]}}),
    )  # fmt: skip
    stack.wait_body(case)
    stack.check()
    renamed = {**{kind: f"{kind[0].upper()}{kind[1:]}" for kind in ids}, "server": "User", "assigned": "User"}
    for what in ("serviceCategory", "serviceType", "unit", "inbox", "workstation", "server", "assigned", "customer"):
        stack.send(upserted(renamed[what], organization, ids[what], f"name of {what}", table=ids["table"]))
        stack.wait_body(case, lambda body: f'"name of {what}"' in body)
    stack.send(events.directory_event(organization, ids["workspace"], 1, {"EntityRemoved": {"kind": "workspace"}}))
    wait_for(lambda: not stack.agents()[organization, ids["agent"]][1], 10, "the agent has no workspace")
    stack.check()


READ = """
SELECT sum(coalesce(idx_tup_fetch, 0) + seq_tup_read)::bigint FROM pg_stat_user_tables
 WHERE schemaname = 'gen_1' AND relname IN ('active_case', 'agent')"""


def rows_read(stack, worker, rename, user):
    """How many rows the worker reads of both tables for what `rename` sends. Servers publish their counts late: the
    rename of a user, with its one row, comes last."""
    stack.database.query("SELECT pg_stat_reset()")
    rename()
    number = stack.database.value("SELECT no FROM ctl.dir_clock")
    wait_for(lambda: worker.metric("caseview_directory_number") >= number > 0, 10, "the changes are shown")
    user(number)
    wait_for(lambda: stack.database.value(READ) > 0, 20, "the server has published its counts")
    return stack.database.value(READ)


def test_a_change_reads_only_rows_that_it_may_concern(make_stack):
    """An entity that no row names: none. Another one: at most the rows of its organization."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    large, small, user, inbox = (events.guid() for _ in range(4))
    cases = {large: events.guid(), small: events.guid()}
    served = {"lockedBy": events.user(user), "assignedTo": events.user(user)}
    stack.send(
        events.queued(large, cases[large], inbox=events.inbox(inbox)),
        events.queued(small, cases[small], inbox=events.inbox(inbox), **served),
    )
    for case in cases.values():
        stack.wait_body(case)
    copy_case(stack, cases[large], 3000)
    # Statistics of a small table with one large organization would make a scan of it the cheapest plan.
    stack.database.query("ALTER TABLE gen_1.active_case SET (autovacuum_enabled = false)")

    written = "SELECT count(*) FROM gen_1.directory WHERE organization_id = %s AND entity_id = %s AND name = %s"

    def upsert(kind, organization, entity, name):
        stack.send(upserted(kind, organization, entity, name))
        wait_for(lambda: stack.database.value(written, (organization, entity, name)), 10, "the change is written")

    def of_user(number):
        upsert("User", small, user, f"user {number}")
        stack.wait_body(cases[small], lambda body: f'"user {number}"' in body)

    def unnamed():
        for kind in ("Unit", "ServiceCategory", "ServiceType", "Inbox", "Workstation", "Workspace", "Customer", "User"):
            upsert(kind, large, events.guid(), "unnamed")
        upsert("Inbox", events.guid(), inbox, "unnamed")  # of another organization
        upsert("User", large, user, "unnamed")

    assert rows_read(stack, worker, unnamed, of_user) < 20
    of_small = functools.partial(upsert, "Inbox", small, inbox, "of small")
    assert rows_read(stack, worker, of_small, of_user) < 20
    stack.wait_body(cases[small], lambda body: '"of small"' in body)
    of_large = functools.partial(upsert, "Inbox", large, inbox, "of large")
    rows_read(stack, worker, of_large, of_user)
    wait_for(lambda: stack.database.value(READ) >= 3001, 20, "the server has published all counts")
    assert stack.database.value(OLD, ('%"of %',)) == 0


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
