"""Checks of a claim and states of the cursor: halts with a reason, reading to the end, resuming
(docs/architecture.md)."""

import pytest

from support import events, programs
from support.stack import mock_stack
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


# What happens to a case partition while no worker runs, and the reason with which it then halts. None: it continues.
NOTHING = {"last_record_offset": "NULL", "last_record_at": "NULL", "last_record_crc": "NULL"}
CHANGES = {
    "beyond the end": ("beyond-end", {"next_offset": "next_offset + 1000", "last_record_offset": "last_record_offset + 1000"}),
    "beyond the end, the last record unchanged": ("beyond-end", {"next_offset": "next_offset + 1000"}),
    "beyond the end, never had a record": ("beyond-end", {"next_offset": "1000", **NOTHING}),
    "other content": ("recreated", {"last_record_crc": "last_record_crc # 1"}),
    "other time": ("recreated", {"last_record_at": "last_record_at - 1"}),
    "records lost unread": ("retention-gap", {}),
    "records lost that were read": (None, {}),
    "paused": (None, {"state": "'paused'"}),
    "to be fixed": ("recreated", {"last_record_crc": "last_record_crc # 1"}),
    "not to be fixed": ("recreated", {"last_record_at": "last_record_at + 1"}),
    "nothing": (None, {}),
}  # fmt: skip
PARTITION = {name: number for number, name in enumerate(CHANGES)}
HALTING = [name for name, (reason, _) in CHANGES.items() if reason]


def fill_up(stack, partition):
    """Sends more than the mock cluster keeps of a partition (5 MB). Returns the first offset that remains."""
    role, event = events.queued(events.guid(), events.guid())
    padding = [("padding", b"x" * 500_000)]
    stack.send_raw(role, [(events.key_of(role, event), stack.encode(role, event), padding)] * 14, partition)
    return stack.broker.ends(stack.topics)[stack.topics.case, partition][0]


@pytest.fixture(scope="module")
def changed(postgres, schemas, tmp_path_factory):
    """All of CHANGES, one per partition, between two workers. The second one runs, and each partition got ten records."""
    folder = tmp_path_factory.mktemp("cursor")
    with mock_stack(postgres, schemas, folder, partitions={"cases": len(CHANGES)}) as stack:
        cursors = Cursors(stack)
        read = PARTITION["records lost that were read"]
        for partition in PARTITION.values():
            stack.send(*good(ROWS), partition=partition)
        first = fill_up(stack, read)
        assert first > ROWS
        worker = stack.start_worker()
        stack.wait_caught_up()
        stack.stop_worker(worker)
        for name, (_, columns) in CHANGES.items():
            if columns:
                cursors.set("case", PARTITION[name], **columns)
        # As if only records that are gone now had been read.
        cursors.set("case", read, next_offset=first, last_record_offset=first - 1)
        assert fill_up(stack, PARTITION["records lost unread"]) > ROWS
        stack.start_worker(ready=False)
        for partition in PARTITION.values():
            stack.send(*good(10), partition=partition)
        yield stack, cursors


@pytest.mark.parametrize("name", HALTING)
def test_a_log_that_does_not_match_halts_its_partition(changed, name):
    stack, cursors = changed
    reason, partition = CHANGES[name][0], PARTITION[name]
    stack.wait_halt("case", partition, reason)
    place = cursors.get("case", partition, "next_offset")
    line = stack.workers[0].wait_log(rf"(?m)^.*{stack.topics.case}/{partition}\b.*{reason}.*$")[0]
    assert "caseview resume" in line, "the line names the command to run next"
    stays_true(lambda: cursors.get("case", partition, "next_offset") == place, 0.3, "a halted partition's cursor")


def test_the_other_partitions_continue(changed):
    stack, cursors = changed
    end = stack.broker.ends(stack.topics)[stack.topics.case, PARTITION["records lost that were read"]][1]
    for name, expected in (("nothing", ROWS + 10), ("records lost that were read", end)):
        wait_for(lambda: cursors.get("case", PARTITION[name], "next_offset") == expected, 20, f"{name}: it goes on")
    assert stack.workers[0].metric("caseview_unproven_total") == 1


def test_paused_by_an_operator(changed):
    """A worker that claims a paused partition does not read it."""
    stack, cursors = changed
    partition = PARTITION["paused"]
    assert stack.progress()[stack.topics.case, partition][::2] == (ROWS, "paused")
    resume = ("resume", "--database", stack.database.conninfo, "--topic", stack.topics.case, "--partition", partition)
    programs.caseview(*resume, check=0)
    wait_for(lambda: cursors.get("case", partition, "next_offset") == ROWS + 10, 20, "it continues")
    assert programs.caseview(*resume).returncode == 1, "neither halted nor paused any more"


def test_status_names_halted_partitions(changed):
    stack, _ = changed
    for name in HALTING:
        stack.wait_halt("case", PARTITION[name], CHANGES[name][0])
    report = stack.status()
    assert report["healthy"] is False
    halted = {p["partition"]: p["reason"] for p in report["partitions"] if p["state"] == "halted"}
    assert halted == {PARTITION[name]: CHANGES[name][0] for name in HALTING}
    checked = ("status", "--database", stack.database.conninfo, *stack.kafka(), *stack.names(), "--check")
    assert programs.caseview(*checked).returncode == 1
    stack.workers[0].wait_ready()  # metric and status report a halted partition; it does not block a rolling update
    assert stack.workers[0].is_running()


def test_resume_after_the_cause_was_fixed(changed):
    stack, cursors = changed
    partition = PARTITION["to be fixed"]
    stack.wait_halt("case", partition, "recreated")
    cursors.set("case", partition, last_record_crc="last_record_crc # 1")
    programs.caseview(
        "resume", "--database", stack.database.conninfo, "--topic", stack.topics.case, "--partition", partition, check=0
    )
    wait_for(lambda: cursors.get("case", partition, "next_offset") == ROWS + 10, 20, "it continues")
    assert stack.halt("case", partition)[0] == "live"


def test_resume_before_the_cause_was_fixed_halts_again(changed):
    stack, cursors = changed
    partition = PARTITION["not to be fixed"]
    stack.wait_halt("case", partition, "recreated")
    epoch = cursors.get("case", partition, "owner_epoch")
    programs.caseview(
        "resume", "--database", stack.database.conninfo, "--topic", stack.topics.case, "--partition", partition, check=0
    )
    wait_for(lambda: cursors.get("case", partition, "owner_epoch") > epoch, 20, "the worker tries again")
    stack.wait_halt("case", partition, "recreated")
    assert cursors.get("case", partition, "next_offset") == ROWS


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

    # The checksum of the last record covers key and value.
    ((role, one), (_, two)) = good(2)
    key, value = events.key_of(role, one), stack.encode(role, one)
    records = [(key, value, ()), (events.key_of(role, two), value, ()), (key, stack.encode(role, {**one, "occurredAt": 1}), ())]
    checksums = set()
    for record in records:
        stack.send_raw("case", [record], 3)
        stack.wait_caught_up()
        checksums.add(Cursors(stack).get("case", 3, "last_record_crc"))
    assert len(checksums) == 3 and None not in checksums


def test_directory_topic_must_keep_its_partitions(make_stack):
    stack = make_stack()
    stack.database.query("UPDATE ctl.generation SET directory_partitions = 3 WHERE gen = 1")
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

    def left():
        return {row[0] for row in stack.database.query("SELECT case_id::text FROM gen_1.case_state")}

    wait_for(lambda: left() == {cases[0], cases[2]}, 20, "the tombstone of eight days is gone")
