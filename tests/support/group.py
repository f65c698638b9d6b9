"""What tests and benchmarks of a worker group share: a load that never rests, and what the cursors show meanwhile."""

import collections
import contextlib
import threading
import time

from .waiting import wait_for

SAMPLE_S = 0.01
CHUNK, PAUSE_S = 60, 0.1


class Load(threading.Thread):
    """Sends events continuously, in small pieces, and records when the broker had each."""

    def __init__(self, stack, items):
        super().__init__(daemon=True)
        self.stack, self.items = stack, items
        self.arrived = collections.defaultdict(list)  # (topic, partition) → [(offset, moment)]
        self.sent = 0
        self.error = None
        self.ended = threading.Event()
        self.start()

    def run(self):
        try:
            for start in range(0, len(self.items), CHUNK):
                if self.ended.wait(PAUSE_S):
                    return
                chunk = self.items[start : start + CHUNK]
                where, now = self.stack.send_items(chunk), time.time()
                for (role, *_), (partition, offset) in zip(chunk, where, strict=True):
                    self.arrived[self.stack.topics.name(role), partition].append((offset, now))
                self.sent += len(chunk)
            raise AssertionError("there were not enough events for the whole test")
        except Exception as error:
            self.error = error

    def wait_more(self, count, deadline_s=60):
        goal = self.sent + count
        wait_for(lambda: self.error or self.sent >= goal, deadline_s, f"{count} more events are sent")
        assert self.error is None, f"the load ended: {self.error!r}"

    def stop(self):
        self.ended.set()
        self.join(30)
        assert self.error is None, f"the load ended: {self.error!r}"


class Advances(threading.Thread):
    """Records when each cursor moved, and where to."""

    QUERY = "SELECT topic, part, next_offset FROM ctl.cursor"

    def __init__(self, postgres, database):
        super().__init__(daemon=True)
        self.postgres, self.database = postgres, database
        self.moves = collections.defaultdict(list)
        self.error = None
        self.ended = threading.Event()
        self.start()

    def run(self):
        try:
            with contextlib.closing(self.postgres.connect(self.database.name)) as connection:
                cursor = connection.cursor()
                while not self.ended.wait(SAMPLE_S):
                    cursor.execute(self.QUERY)
                    rows, now = cursor.fetchall(), time.time()
                    for topic, partition, offset in rows:
                        moves = self.moves[topic, partition]
                        if not moves or moves[-1][1] < offset:
                            moves.append((now, offset))
        except Exception as error:
            self.error = error

    def stop(self):
        self.ended.set()
        self.join(30)
        assert self.error is None, f"the cursors could not be watched: {self.error!r}"


def owners(stack):
    """pid → number of case partitions that it owns."""
    rows = stack.database.query(
        "SELECT split_part(owner, ':', 2)::int, count(*)::int FROM ctl.cursor WHERE topic = %s GROUP BY 1",
        (stack.topics.case,),
    )
    return dict(rows)


def wait_shared(stack, workers, deadline_s=60):
    """Waits until all of these workers own case partitions, and no other process does."""
    pids = {worker.process.pid for worker in workers}
    wait_for(lambda: set(owners(stack)) == pids, deadline_s, f"the partitions are spread over {len(pids)} workers")
