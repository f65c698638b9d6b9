"""What a claim checks, and what the cursor says: halts with a named reason, reading to the end, resuming (design, section
The worker)."""

import pytest

from support import events, programs
from support.waiting import stays_true, wait_for

ROWS = 20


def good(n):
    organization = events.guid()
    return [events.queued(organization, events.guid()) for _ in range(n)]


class Cursors:
    def __init__(self, stack):
        self.stack = stack

    def set(self, role, partition, **columns):
        sets = ", ".join(f"{name} = {value}" for name, value in columns.items())
        self.stack.database.query(
            f"UPDATE ctl.cursor SET {sets} WHERE gen = 1 AND topic = %s AND part = %s",
            (self.stack.topics.name(role), partition),
        )

    def get(self, role, partition, column):
        return self.stack.database.value(
            f"SELECT {column} FROM ctl.cursor WHERE gen = 1 AND topic = %s AND part = %s",
            (self.stack.topics.name(role), partition),
        )


def filled(make_stack, cases):
    """A stack whose every case partition was read to its end by a worker that has left."""
    stack = make_stack(partitions={"cases": cases})
    for partition in range(cases):
        stack.send(*good(ROWS), partition=partition)
    worker = stack.start_worker()
    stack.check()
    stack.stop_worker(worker)
    return stack, Cursors(stack)


BROKEN = {
    "beyond-end": {"next_offset": "next_offset + 1000", "last_record_offset": "last_record_offset + 1000"},
    "beyond-end, the last record stands": {"next_offset": "next_offset + 1000"},
    "beyond-end, never had a record": {"next_offset": 1000, "last_record_offset": "NULL", "last_record_at": "NULL", "last_record_crc": "NULL"},
    "recreated, other content": {"last_record_crc": "last_record_crc # 1"},
    "recreated, other time": {"last_record_at": "last_record_at - 1"},
}  # fmt: skip


def test_broken_promises_halt_their_partition_alone(make_stack):
    count = len(BROKEN) + 1
    stack, cursors = filled(make_stack, count)
    for partition, columns in enumerate(BROKEN.values()):
        cursors.set("case", partition, **columns)
    fine = count - 1
    worker = stack.start_worker(ready=False)
    stack.send(*good(10), partition=fine)
    for partition, name in enumerate(BROKEN):
        stack.wait_halt("case", partition, name.partition(",")[0])
    wait_for(lambda: stack.progress()[stack.topics.case, fine][0] == ROWS + 10, 20, "the others go on")
    for partition, name in enumerate(BROKEN):
        worker.wait_log(rf"(?m)^.*{stack.topics.case}/{partition}\b.*{name.partition(',')[0]}.*$")
    assert not worker.is_ready(), "/ready says that something is wrong"

    report = stack.status()
    assert report["healthy"] is False
    halted = {p["partition"]: p for p in report["partitions"] if p["state"] == "halted"}
    assert {p: h["reason"] for p, h in halted.items()} == {p: n.partition(",")[0] for p, n in enumerate(BROKEN)}
    done = programs.caseview("status", "--database", stack.database.conninfo, *stack.kafka(), *stack.names(), "--check")
    assert done.returncode == 1, done.stdout


def test_a_halted_partition_does_not_move(make_stack):
    stack, cursors = filled(make_stack, 2)
    cursors.set("case", 0, last_record_crc="last_record_crc # 1")
    stack.start_worker(ready=False)
    stack.wait_halt("case", 0, "recreated")
    stack.send(*good(5), partition=0)
    stays_true(lambda: cursors.get("case", 0, "next_offset") == ROWS, 1.5, "a halted partition's cursor")


def test_retention_gap(make_stack):
    """The log begins after the cursor: records were lost that were never read."""
    stack = make_stack(partitions={"cases": 2})
    stack.send(*good(ROWS), partition=0)
    worker = stack.start_worker()
    stack.check()
    stack.stop_worker(worker)
    # The mock cluster keeps 5 MB a partition.
    role, event = events.queued(events.guid(), events.guid(), contactEmail="x" * 500_000)
    stack.send_raw("case", [(events.key_of(role, event), stack.encode(role, event), ())] * 14, 0)
    first, _ = stack.broker.ends(stack.topics)[stack.topics.case, 0]
    assert first > ROWS, "the first records are gone"
    stack.send(*good(ROWS), partition=1)
    stack.start_worker(ready=False)
    stack.wait_halt("case", 0, "retention-gap")
    wait_for(lambda: stack.progress()[stack.topics.case, 1][0] == ROWS, 20, "the other partition goes on")


def test_retention_that_took_only_what_was_read_goes_on(make_stack):
    stack = make_stack(partitions={"cases": 1})
    stack.send(*good(3))
    role, event = events.queued(events.guid(), events.guid(), contactEmail="x" * 500_000)
    stack.send_raw("case", [(events.key_of(role, event), stack.encode(role, event), ())] * 14, 0)
    first, end = stack.broker.ends(stack.topics)[stack.topics.case, 0]
    assert first > 3
    # As if the worker had read everything up to the first record that is left.
    stack.start_worker(ready=False)
    wait_for(lambda: stack.progress().get((stack.topics.case, 0), (0,))[0] == end, 30, "a new group starts at the beginning")
    stack.stop_worker(stack.workers[0])
    Cursors(stack).set("case", 0, next_offset=first, last_record_offset=first - 1)
    stack.start_worker()
    stack.wait_caught_up()
    assert stack.metric("caseview_unproven_total") == 1


def test_resume_after_the_cause_was_mended(make_stack):
    stack, cursors = filled(make_stack, 2)
    cursors.set("case", 0, next_offset="next_offset + 1000", last_record_offset="last_record_offset + 1000")
    stack.start_worker(ready=False)
    stack.wait_halt("case", 0, "beyond-end")
    stack.send(*good(5), partition=0)
    cursors.set("case", 0, next_offset="next_offset - 1000", last_record_offset="last_record_offset - 1000")
    resume = ("resume", "--database", stack.database.conninfo, "--topic", stack.topics.case, "--partition")
    assert programs.caseview(*resume, 1).returncode == 1, "partition 1 was not halted"
    programs.caseview(*resume, 0, check=0)
    stack.halted.clear()
    stack.check()
    stack.workers[0].wait_ready()


def test_resume_does_not_help_before_that(make_stack):
    stack, cursors = filled(make_stack, 1)
    cursors.set("case", 0, last_record_at="last_record_at + 1")
    stack.start_worker(ready=False)
    stack.wait_halt("case", 0, "recreated")
    epoch = cursors.get("case", 0, "owner_epoch")
    programs.caseview("resume", "--database", stack.database.conninfo, "--topic", stack.topics.case, check=0)
    wait_for(lambda: cursors.get("case", 0, "owner_epoch") > epoch, 20, "the worker tries again")
    stack.wait_halt("case", 0, "recreated")


def test_complete_at_says_when_a_partition_was_read_to_its_end(make_stack):
    stack = make_stack()
    stack.start_worker()
    stack.wait_caught_up()
    before = {where: complete for where, (_, complete, _) in stack.progress().items()}
    assert len(before) == sum(stack.topics.partitions.values()) and all(before.values()), "empty ones too"
    assert {state for _, _, state in stack.progress().values()} == {"live"}
    stack.send(*good(1), partition=2)
    where = (stack.topics.case, 2)
    wait_for(lambda: stack.progress()[where][1] > before[where], 10, "complete_at moves on")
    assert stack.progress()[where][0] == 1


def test_paused_by_an_operator(make_stack):
    """A cursor that says paused is left alone by whoever claims it."""
    stack, cursors = filled(make_stack, 2)
    cursors.set("case", 0, state="'paused'")
    stack.start_worker(ready=False)
    stack.send(*good(5), partition=0)
    stack.send(*good(5), partition=1)
    wait_for(lambda: stack.progress()[stack.topics.case, 1][0] == ROWS + 5, 20, "the other partition goes on")
    assert stack.progress()[stack.topics.case, 0][::2] == (ROWS, "paused")
    programs.caseview("resume", "--database", stack.database.conninfo, "--topic", stack.topics.case, check=0)
    stack.check()


def test_directory_topic_must_keep_its_partitions(make_stack):
    stack, _ = filled(make_stack, 1)
    stack.database.query("UPDATE ctl.generation SET directory_partitions = directory_partitions + 1 WHERE gen = 1")
    stack.start_worker(ready=False)
    for partition in range(stack.topics.partitions["directory"]):
        stack.wait_halt("directory", partition, "directory-repartitioned")
    stack.send(*good(5))
    stack.check()


def test_tombstones_are_kept_for_tombstone_days(make_stack):
    stack = make_stack(options=["--tombstone-days", 7])
    organization, cases = events.guid(), [events.guid() for _ in range(3)]
    for case in cases:
        stack.send(events.queued(organization, case), events.case_event(organization, case, 2, {"CaseClosed": {}}))
    worker = stack.start_worker()
    stack.check()
    stack.stop_worker(worker)
    for case, days in zip(cases, (6, 8, 0)):
        age = f"UPDATE gen_1.case_state SET over_at = over_at - interval '{days} days' WHERE case_id = %s"
        stack.database.query(age, (case,))
    stack.start_worker()
    left = lambda: {row[0] for row in stack.database.query("SELECT case_id::text FROM gen_1.case_state")}  # noqa: E731
    wait_for(lambda: left() == {cases[0], cases[2]}, 20, "the tombstone of eight days is gone")


@pytest.mark.parametrize("what", ["key", "value"])
def test_the_checksum_covers_key_and_value(make_stack, what):
    """Another record of the same time at the same offset is noticed: the cursor's checksum is not only of one of them."""
    stack = make_stack(partitions={"cases": 2})
    (role, one), (_, two) = good(2)
    key, value = events.key_of(role, one), stack.encode(role, one)
    stack.send_raw("case", [(key, value, ())], 0)
    other = (events.key_of(role, two), value, ()) if what == "key" else (key, stack.encode(role, {**one, "occurredAt": 1}), ())
    stack.send_raw("case", [other], 1)
    worker = stack.start_worker()
    stack.wait_caught_up()
    stack.stop_worker(worker)
    cursors = Cursors(stack)
    assert cursors.get("case", 0, "last_record_crc") != cursors.get("case", 1, "last_record_crc")
