"""Random histories over partitions and workers: the rows equal the naive fold of the log, in any order."""

import random

import pytest

from support.random_history import SEEDS, History
from support.stack import batches_of


@pytest.mark.parametrize("seed", SEEDS)
def test_random_history(make_stack, seed):
    """CASEVIEW_TEST_SEEDS=… with the seed of a failure repeats it."""
    stack = make_stack(partitions={"cases": 4, "agents": 2, "directory": 3})
    history = History(seed, organizations=4, cases=700)
    stack.watch_cursors()
    stack.start_worker()
    half = len(history.items) // 2
    stack.send_items(history.items[:half])
    stack.start_worker(ready=False)
    stack.send_items(history.items[half:])
    view = stack.check()
    assert len(view.active_cases) > 200 and not view.parked
    report = stack.status()
    assert (report["degraded"], report["incomplete"]) == (view.degraded, view.incomplete)
    stack.watch.check()


@pytest.mark.parametrize("seed", [s + 1 for s in SEEDS])
def test_random_history_with_keys_in_many_partitions(make_stack, seed):
    """As after partitions were added: events of one case or agent are in several partitions, of several workers."""
    stack = make_stack(partitions={"cases": 4, "agents": 3, "directory": 2})
    history = History(seed, organizations=3, cases=400)
    rng = random.Random(seed)

    def choose(role, key):
        return None if role == "directory" else rng.randrange(stack.topics.partitions[role])

    stack.start_worker(ready=False)
    stack.start_worker()
    for at in range(0, len(history.items), 500):
        stack.send_items(history.items[at : at + 500], choose=choose)
    stack.check()


@pytest.mark.parametrize("seed", [s + 2 for s in SEEDS])
def test_random_history_in_tiny_batches_and_read_twice(make_stack, seed):
    """Batch limits, caches and a second reading, in which every event is a duplicate, do not change the rows."""
    stack = make_stack()
    history = History(seed, organizations=2, cases=150)
    stack.send_items(history.items)
    first = stack.start_worker(environment=batches_of(7))
    stack.check()
    stack.stop_worker(first)
    before = (stack.active_cases(), stack.agents())
    # The directory depends on the order of the log and would show old versions again, so only the others are reset.
    stack.database.query(
        "UPDATE ctl.cursor SET next_offset = 0, last_record_offset = NULL, last_record_at = NULL, last_record_crc = NULL"
        " WHERE topic <> %s", (stack.topics.directory,),
    )  # fmt: skip
    stack.start_worker()
    stack.check()
    assert (stack.active_cases(), stack.agents()) == before


SLOW = """
CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.02); RETURN NULL; END';
CREATE TRIGGER slow AFTER INSERT ON gen_1.active_case FOR EACH STATEMENT EXECUTE FUNCTION public.slow()"""


@pytest.mark.parametrize("seed", [s + 3 for s in SEEDS])
def test_random_history_in_a_slow_stream(make_stack, seed):
    """Many small batches: names keep changing while the rows that show them are written slowly."""
    stack = make_stack()
    stack.database.query(SLOW)
    stack.start_worker(ready=False)
    stack.start_worker()
    items = History(seed, organizations=1, cases=400, versions=60).items
    for at in range(0, len(items), 15):
        stack.send_items(items[at : at + 15])
    stack.check()
