"""Samples the cursors continuously: none may step back, except for commits that the database lost in a crash."""

import contextlib
import threading
import time

import psycopg2
from support.waiting import wait_for

CURSORS = "SELECT gen, topic, part, next_offset, owner, state FROM ctl.cursor"


class Watch(threading.Thread):
    def __init__(self, postgres, database):
        super().__init__(daemon=True)
        self.postgres, self.database = postgres, database
        self.may_lose = False  # the server is being killed and may lose commits
        self.wound_back = set()  # topics
        self.samples, self.lost_by_database = 0, 0
        self.steps_back, self.error = [], None
        self.generation = 1
        self.cursors = {}  # of that one: (topic, partition) → (offset, owner, state, monotonic seconds)
        self._last, self._before = {}, {}  # by (generation, topic, partition); _before: the cursors before a crash
        self._ended = threading.Event()
        self.start()

    def run(self):
        try:
            while not self._ended.is_set():
                try:
                    with contextlib.closing(self.postgres.connect(self.database)) as connection:
                        self._sample(connection.cursor())
                except psycopg2.Error:  # any of them may be raised when the server goes away
                    if not self.may_lose:
                        raise
                    if self._last:
                        self._before, self._last = self._last, {}
                    self._ended.wait(0.02)
        except Exception as error:  # raised by check(), in the main thread
            self.error = error

    def _sample(self, cursor):
        while not self._ended.wait(0.015):
            cursor.execute(CURSORS)
            now, rows = time.monotonic(), cursor.fetchall()
            for gen, topic, partition, offset, _, _ in rows if self._before else ():
                self.lost_by_database += max(0, self._before.get((gen, topic, partition), 0) - offset)
            self._before, shown = {}, self.generation
            for gen, topic, partition, offset, owner, state in rows:
                before = self._last.get((gen, topic, partition))
                if before is not None and offset < before and topic not in self.wound_back:
                    self.steps_back.append((gen, topic, partition, before, offset))
                self._last[gen, topic, partition] = offset
                if gen == shown:
                    self.cursors[topic, partition] = (offset, owner, state, now)
            self.samples += 1

    def follow(self, generation):
        """From now on cursors are those of this generation; all generations are checked for steps back."""
        self.generation, before = generation, self.samples
        wait_for(lambda: self.error or self.samples > before + 1, 10, "the cursors are sampled")
        self.cursors = {}

    def wind_back(self, topic):
        """Allows steps back of this topic's cursors, which an operator makes. The audit of the workers' changes goes on."""
        self.wound_back.add(topic)

    def check(self):
        self._ended.set()
        self.join(10)
        assert self.error is None, f"the cursors could not be watched: {self.error!r}"
        assert self.samples > 10, f"only {self.samples} samples of the cursors"
        assert not self.steps_back, f"cursors stepped back: {self.steps_back[:5]}"
