"""What must not wait until a partition with much to read has been read."""

from support import events


def backlog(stack, records, partition):
    """Many cases in one partition; small batches let it last."""
    organization = events.guid()
    stack.send(*(events.queued(organization, events.guid()) for _ in range(records)), partition=partition)


def is_behind(stack, role, partition):
    return (stack.topics.name(role), partition) in stack.behind()


def test_a_flood_halts_while_another_partition_is_read(make_stack):
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1}, options=["--batch-events", "4"])
    backlog(stack, 8000, 1)
    stack.send_raw("case", [(b"no guid", b"no event", ())] * 1500, 0)
    stack.start_worker(ready=False)
    stack.wait_halt("case", 0, "poison-flood")
    assert is_behind(stack, "case", 1), "the other one is still being read"
    stack.check()
