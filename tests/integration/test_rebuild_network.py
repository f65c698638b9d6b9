"""The rebuild commands without PostgreSQL or Kafka: they end with exit code 3 within their time, or go on where they need
neither any more; repeating them works, and the live view is untouched. test_rebuild_faults.py cuts them off at each of their
fail points."""

import pytest

from support import rebuild
from support.island import Island, IslandMissing
from support.kafka import free_ports
from support.rebuild_faults import FROZEN_S, IDLE_IN_TRANSACTION, Faults, Servers, check_failed_with_one_line
from support.waiting import wait_for

COMMANDS = [["start"], ["status"], ["prepare"], ["compare"], ["switch", 2], ["abort"], ["drop", 1]]
ASK_BROKERS = [["start"], ["status"], ["prepare"]]
STATEMENT_S = 60  # after which the commands give up waiting for the answer to a short statement
LOST_S = 25  # after which the kernel gives up a connection from which no packet comes: db_conninfo.c


@pytest.fixture
def faults(make_stack):
    return Faults(make_stack(partitions={"cases": 3, "agents": 2, "directory": 2}), 33)


def begin_all(stack, name, commands, *options, **addresses):
    return [rebuild.begin(stack, f"{words[0]}-{name}", *words, *options, **addresses) for words in commands]


def check_unreachable(program, deadline_s=30):
    code, log = program.wait(deadline_s), program.log()
    assert code == 3, log
    lines = log.splitlines()
    assert len(lines) == 1 and " error " in lines[0], log
    return lines[0]


def test_postgresql_cannot_be_reached(faults):
    """Connections are refused, or accepted and never answered."""
    stack = faults.stack
    before = faults.live_view()
    with Servers(stack) as refusing, Servers(stack) as silent:
        refusing.database_wire.cut()
        silent.database_wire.freeze()
        running = begin_all(stack, "refused", COMMANDS, "--connect-timeout-s", 2, **refusing.addresses)
        running += begin_all(stack, "silent", COMMANDS, "--connect-timeout-s", 2, **silent.addresses)
        for program in running:
            assert ": database: " in check_unreachable(program)
    assert rebuild.generations(stack) == {1: "live"}
    faults.check_untouched(before)


def test_brokers_cannot_be_reached(faults):
    stack = faults.stack
    rebuild.start(stack)
    before = faults.live_view()
    (port,) = free_ports(1)
    with Servers(stack) as cut, Servers(stack) as silent:
        cut.broker_wire.cut()
        silent.broker_wire.freeze()
        running = begin_all(stack, "refused", ASK_BROKERS, bootstrap=f"127.0.0.1:{port}")
        running += begin_all(stack, "cut", ASK_BROKERS, bootstrap=cut.bootstrap)
        running += begin_all(stack, "silent", ASK_BROKERS, bootstrap=silent.bootstrap)
        for program in running:
            assert "kafka" in check_unreachable(program)
    assert rebuild.generations(stack) == {1: "live", 2: "waiting"}
    faults.check_untouched(before)
    rebuild.run(stack, "abort")


def test_brokers_that_go_away_are_not_needed_later(faults):
    """Each command reads the log's ends before its first change, and asks no broker after that."""
    stack = faults.stack
    before = faults.live_view()

    def cut_at(point, *words):
        with Servers(stack) as servers:
            points, program = faults.begin("wait", point, 1, words, **servers.addresses)
            servers.broker_wire.cut()
            points.wait_released(point)
            assert program.wait(60) == 0, program.log()

    cut_at("start.before", "start", "--carry-over")
    rebuild.fill_up(stack)
    cut_at("prepare.before", "prepare")
    faults.check_untouched(before)
    with Servers(stack) as servers:
        servers.broker_wire.cut()
        rebuild.run(stack, "compare", **servers.addresses)
        for number in (2, 1, 2):
            rebuild.run(stack, "switch", number, **servers.addresses)
        rebuild.run(stack, "drop", 1, **servers.addresses)
    stack.send_items(faults.items)
    stack.check()


def test_reading_commands_are_cut_off_after_any_number_of_bytes(faults):
    stack = faults.stack
    rebuild.until_ready(stack)
    before = faults.live_view()
    for word in ("compare", "status"):
        code, left = None, 1
        while code != 0:
            with Servers(stack, left=left) as servers:
                program = rebuild.begin(stack, f"{word}-{left}", word, "--connect-timeout-s", 1, **servers.addresses)
                code, log = program.wait(60), program.log()
            if code != 0:
                check_failed_with_one_line(code, log)
                assert code == 3, log
            left *= 3
        assert left > 3**5, "most of them were cut off"
    faults.check_untouched(before)


def test_a_connection_that_carries_nothing(faults):
    """A proxy in between is alive and silent: PostgreSQL ends the idle session, the command does not see that."""
    stack = faults.stack
    before = faults.live_view()
    with Servers(stack) as servers:
        points, program = faults.begin("wait", "start.before", 1, ["start"], **servers.addresses)
        servers.database_wire.freeze()
        points.wait_released("start.before")
        faults.check_live_workers()
        wait_for(lambda: stack.database.value(IDLE_IN_TRANSACTION) == 0, FROZEN_S + 3, "its transaction is ended")
        assert rebuild.start(stack)["generation"] == 2, "its locks are gone"
        assert "no answer within the time-out" in check_unreachable(program, STATEMENT_S + 20)
    rebuild.run(stack, "abort")
    faults.check_untouched(before)


def test_a_network_that_loses_all_packets(faults):
    """No answer, and no end of the connection either: the kernel notices, within a transaction and outside one."""
    stack = faults.stack
    rebuild.until_caught_up(stack)
    faults.hurt("kill", "prepare.render", "prepare")  # later runs ask no broker
    before = faults.live_view()
    try:
        with Island() as island, Servers(stack, host=island.host) as servers:
            for point, word in (("prepare.carried", "prepare"), ("drop.before", "abort")):
                points, program = faults.begin(
                    "wait", point, 1, [word], under=island.under, database=servers.database
                )
                island.cut()
                points.wait_released(point)
                code = program.wait(LOST_S + 20)
                check_failed_with_one_line(code, program.log())
                assert code == 3
                faults.check_live_workers()
                island.restore()
    except IslandMissing as missing:
        pytest.skip(str(missing))
    faults.check_untouched(before)
    assert rebuild.generations(stack) == {1: "live", 2: "waiting"}
    rebuild.run(stack, "prepare")
    rebuild.switch_when_level(stack, 2)
    stack.check()
