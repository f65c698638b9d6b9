"""Readers while generations are switched back and forth: no error, no empty view, no step back in time."""

from support import rebuild
from support.desk import Desk, Reader
from support.tokens import Keys
from support.waiting import wait_for

SWITCHES = 50


def test_readers_see_no_fault_through_many_switches(make_stack):
    stack = make_stack(partitions={"cases": 3, "agents": 1, "directory": 1})
    keys = Keys()
    stack.start_worker()
    desk = Desk(stack)
    stack.check()
    api = stack.start_api(keys)
    rebuild.until_ready(stack)
    token = keys.token("client")
    readers = [Reader(desk, api, token) for _ in range(3)]
    with desk:
        for reader in readers:
            reader.start()
        for number in range(SWITCHES):
            rebuild.switch_when_level(stack, 2 if number % 2 == 0 else 1)
        asked = [reader.answers for reader in readers]
        wait_for(lambda: all(r.answers > a for r, a in zip(readers, asked, strict=True)), 20, "they still get answers")
        for reader in readers:
            reader.ended.set()
    for reader in readers:
        reader.join(30)
        assert not reader.faults, reader.faults[:5]
        assert len(reader.tags) > SWITCHES / 2
    stack.check()
