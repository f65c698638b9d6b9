"""What a claim finds: a log that is not what the cursor says, a database that is in the way."""

from support import events
from support.waiting import wait_for


def test_records_lost_behind_an_empty_partition_are_noticed(make_stack):
    """It had been read to its end at offset 0; what came since is gone: not a new partition that begins somewhere."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    wait_for(lambda: stack.progress()[stack.topics.case, 0][1], 20, "the empty partition is complete")
    stack.stop_worker(worker)
    # The mock cluster keeps some megabytes.
    organization, padding = events.guid(), "x" * 100_000
    stack.send(*(events.queued(organization, events.guid(), contactEmail=padding) for _ in range(100)))
    low, _ = stack.broker.ends(stack.topics)[stack.topics.case, 0]
    assert low > 0
    stack.start_worker(ready=False)
    row = stack.wait_halt("case", 0, "retention-gap")
    assert row[2] == 0
