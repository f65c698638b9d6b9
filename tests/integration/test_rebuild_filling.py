"""Workers of a generation that is being filled or rendered: killed at their steps, rebalanced, paused. Another one goes on,
and readers see in the end what the live generation shows.

CASEVIEW_TEST_ALL_STEPS=1 kills at all steps, else at some random ones."""

import os
import random
import re

import pytest

from crash.points import BATCH, OWNERSHIP, Points
from support import events, programs, rebuild
from support.random_history import SEEDS, History
from support.stack import batches_of
from support.waiting import wait_for

FILLING = tuple(step for step in BATCH + OWNERSHIP if step != "feed.read")  # names are not followed then
# Reached after a start that has only rows left to render: no records, and a claim of each partition.
# Changes of the directory are followed only after it, so feed.read is not among them.
RENDERING = ("send.before", "send.flushed", "commit.unnoticed", "commit.after", *OWNERSHIP)
RARE = {"revoke", "recover", "directory.numbered", "parked"}
TERMINATE = """SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name LIKE 'caseview worker%%' AND pid IN
       (SELECT backend_pid FROM ctl.cursor WHERE gen = 2)"""
UNRENDERED = "SELECT count(*) FROM ctl.cursor WHERE gen = %s AND dir_no = -1"
RENDER_SLOWLY = """CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END';
CREATE TRIGGER slow BEFORE INSERT ON gen_2.active_case FOR EACH ROW EXECUTE FUNCTION public.slow()"""


def make_live(make_stack, seed, cases=150):
    stack = make_stack(partitions={"cases": 3, "agents": 2, "directory": 2})
    stack.start_worker()
    stack.send_items(History(seed, organizations=2, cases=cases).items)
    stack.send_raw("case", [(b"not a guid", b"not an event %d" % i, ()) for i in range(3)])
    stack.check()
    return stack


class Victim:
    """A worker of the newest generation that is killed at a step."""

    def __init__(self, stack, generation, step, rng):
        self.stack, self.generation, self.step = stack, generation, step
        nth = 1 if step in RARE else rng.randint(1, 3)
        print("kill at", step, nth)
        self.points = Points(stack.folder / f"points-{stack.number}-{rng.randrange(10**9)}", [(step, "kill", nth)])
        environment = {**self.points.environment, **batches_of(40)}
        self.worker = self.start(environment)
        if step in ("revoke", "recover"):
            wait_for(lambda: self.owns_cursors(), 30, "the worker has claimed")
        self.helper = self.start() if step == "revoke" else None
        if step == "recover":
            assert stack.database.value(TERMINATE.replace("gen = 2", f"gen = {generation}")) > 0

    def start(self, environment=()):
        (worker,) = rebuild.fill(self.stack, self.generation, ready=False, environment=environment)
        return worker

    def owns_cursors(self):
        mine = f"%:{self.worker.process.pid}"
        return self.stack.database.value(
            "SELECT count(*) FROM ctl.cursor WHERE gen = %s AND owner LIKE %s", (self.generation, mine)
        )

    def die_and_be_replaced(self):
        """Returns the workers that go on."""
        code = wait_for(lambda: self.worker.process.poll(), 60, f"the worker reaches {self.step}")
        assert code == -9, self.worker.log()
        self.stack.kill_worker(self.worker)
        return [self.helper or self.start()]


def steps_of(seed, steps, some):
    rng = random.Random(seed)
    return list(steps) if os.environ.get("CASEVIEW_TEST_ALL_STEPS") else rng.sample(steps, some)


@pytest.mark.parametrize("seed", SEEDS[:1])
def test_workers_are_killed_while_they_fill_and_while_they_render(make_stack, seed):
    rng = random.Random(seed)
    filling, rendering = steps_of(seed, FILLING, 2), steps_of(seed + 1, RENDERING, 2)
    print("seed", seed, filling, rendering)
    stack = make_live(make_stack, seed)
    expected = rebuild.views(stack, "caseview")
    while filling or rendering:
        generation = rebuild.start(stack)["generation"]
        one = filling.pop() if filling else rng.choice(FILLING)
        workers = Victim(stack, generation, one, rng).die_and_be_replaced()
        rebuild.wait_phase(stack, "caught-up")
        for worker in workers:
            stack.stop_worker(worker)
        prepare = rebuild.begin(stack, f"prepare-{generation}", "prepare")
        deferred = "SELECT count(*) FROM ctl.generation WHERE deferred"
        wait_for(lambda: stack.database.value(deferred) == 0, 20, "rows are to be rendered")  # noqa: B023
        other = rendering.pop() if rendering else rng.choice(RENDERING)
        workers = Victim(stack, generation, other, rng).die_and_be_replaced()
        assert prepare.wait(60) == 0, prepare.log()
        assert rebuild.views(stack, f"caseview_{generation}") == expected
        if filling or rendering:
            rebuild.run(stack, "abort")
            for worker in workers:
                stack.stop_worker(worker)
    rebuild.switch_when_level(stack, generation)
    stack.check()


def test_partitions_move_while_rows_are_rendered(make_stack):
    stack = make_live(make_stack, 41, cases=300)
    expected = rebuild.views(stack, "caseview")
    (first,) = rebuild.until_caught_up(stack)
    stack.stop_worker(first)
    stack.database.query(RENDER_SLOWLY)
    prepare = rebuild.begin(stack, "prepare", "prepare")
    (second,) = rebuild.fill(stack, environment=batches_of(5))
    second.wait_log("rendering all listed cases and agents", 30)
    (third,) = rebuild.fill(stack, ready=False)
    second.wait_log("revoked", 40)
    assert stack.database.value(UNRENDERED, (2,)) > 0, "the round has not ended yet"
    third.wait_log("rendering all listed cases and agents", 40)
    stack.stop_worker(second)
    assert prepare.wait(90) == 0, prepare.log()
    stack.database.query("DROP TRIGGER slow ON gen_2.active_case")
    assert rebuild.views(stack, "caseview_2") == expected
    rebuild.switch_when_level(stack, 2)
    stack.check()


def test_a_partition_of_the_waiting_generation_is_paused(make_stack):
    stack = make_live(make_stack, 42)
    rebuild.start(stack)
    where = ("--database", stack.database.conninfo, "--generation", 2, "--topic", stack.topics.case, "--partition", 1)
    (filler,) = rebuild.fill(stack, environment={"CASEVIEW_BULK_RATE": "100"})
    read = "SELECT coalesce(sum(next_offset), 0)::bigint FROM ctl.cursor WHERE gen = 2"
    wait_for(lambda: stack.database.value(read) > 0, 60, "it reads")
    programs.caseview("pause", *where, "--reason", "a test", check=0)
    filler.wait_log(f"{stack.topics.case}/1: paused", 20)
    stack.stop_worker(filler)
    rebuild.fill(stack)
    ends = stack.broker.ends(stack.topics)
    cursors = "SELECT topic, part, next_offset FROM ctl.cursor WHERE gen = 2"

    def others_are_read():
        at = {(topic, part): offset for topic, part, offset in stack.database.query(cursors)}
        return all(at.get(w, -1) >= end for w, (_, end) in ends.items() if w != (stack.topics.case, 1))

    wait_for(others_are_read, 40, "the others are read")
    refused = rebuild.run(stack, "prepare", check=2)
    assert re.search(rf"{stack.topics.case}/1 is at \d+ of \d+ and paused", refused.stderr)
    stack.check()
    programs.caseview("resume", *where, check=0)
    rebuild.wait_phase(stack, "caught-up")
    expected = rebuild.views(stack, "caseview")
    rebuild.run(stack, "prepare")
    assert rebuild.views(stack, "caseview_2") == expected
    rebuild.switch_when_level(stack, 2)
    stack.check()


def test_lines_that_name_a_command_name_the_generation_when_it_is_not_live(make_stack):
    """Without --generation an operator's command means the live one."""
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    live = stack.start_worker("--gap-alarm-s", "1")
    stack.wait_caught_up()
    (filler,) = rebuild.until_caught_up(stack)
    where = f"--topic {stack.topics.case} --partition"
    stack.send_raw("case", [(b"no guid", b"no event", ())], 0)
    filler.wait_log(rf"events? parked, .*: caseview parked list --generation 2 {where} 0")
    live.wait_log(rf"events? parked, .*: caseview parked list {where} 0")
    given = ("--topic", stack.topics.case, "--partition", 1, "--database", stack.database.conninfo)
    programs.caseview("pause", "--generation", 2, *given, "--reason", "a test", check=0)
    filler.wait_log(rf"paused \(a test\) at offset 0; .*: caseview resume --generation 2 {where} 1")
    done = programs.caseview("cursor", "set", "--generation", 2, *given, "--offset", 0, "--force", check=0)
    assert f"the partition is paused: caseview resume --generation 2 {where} 1" in done.stdout
    programs.caseview("resume", "--generation", 2, *given, check=0)
    # It halts: the log is not the one that its cursor knows.
    programs.caseview("pause", "--generation", 2, *given, check=0)
    stack.database.query(
        "UPDATE ctl.cursor SET next_offset = 90, last_record_offset = 89, last_record_crc = 1 WHERE gen = 2 AND topic = %s AND part = 1",
        (stack.topics.case,),
    )
    programs.caseview("resume", "--generation", 2, *given, check=0)
    filler.wait_log(rf"halts \(.*\): .*: caseview resume --generation 2 {where} 1", 30)
    programs.caseview("cursor", "set", "--generation", 2, *given, "--offset", 0, "--force", check=0)
    programs.caseview("resume", "--generation", 2, *given, check=0)
    # Readers are switched: now the first one needs its number.
    rebuild.wait_phase(stack, "caught-up")
    rebuild.run(stack, "prepare")
    rebuild.switch_when_level(stack, 2)
    live.wait_log("generation 1 is no longer live", 10)
    stack.send_raw("agent", [(b"no guid", b"no event", ())])
    live.wait_log(rf"events? parked, .*: caseview parked list --generation 1 --topic {stack.topics.agent} --partition 0")
    organization, case = events.guid(), events.guid()
    stack.send(events.queued(organization, case), events.case_event(organization, case, 3, {"CasePositionChanged": {"rank": 1.0}}))
    live.wait_log(rf"among them: caseview explain --generation 1 --case {case}")
