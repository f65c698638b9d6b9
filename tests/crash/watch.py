"""Samples the cursors continuously: none may step back, except for commits that the database lost in a crash."""

import contextlib
import threading
import time

import psycopg2

CURSORS = "SELECT topic, part, next_offset, owner, state FROM ctl.cursor"


class Watch(threading.Thread):
    def __init__(self, postgres, database):
        super().__init__(daemon=True)
        self.postgres, self.database = postgres, database
        self.may_lose = False  # the server is being killed and may lose commits
        self.wound_back = set()  # topics
        self.samples, self.lost_by_database = 0, 0
        self.steps_back, self.error = [], None
        self.cursors = {}  # (topic, partition) → (offset, owner, state, monotonic seconds)
        self._last, self._before = {}, {}  # _before: the cursors before a crash
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
            for topic, partition, offset, _, _ in rows if self._before else ():
                self.lost_by_database += max(0, self._before.get((topic, partition), 0) - offset)
            self._before = {}
            for topic, partition, offset, owner, state in rows:
                before = self._last.get((topic, partition))
                if before is not None and offset < before and topic not in self.wound_back:
                    self.steps_back.append((topic, partition, before, offset))
                self._last[topic, partition] = offset
                self.cursors[topic, partition] = (offset, owner, state, now)
            self.samples += 1

    def wind_back(self, topic):
        """Allows steps back of this topic's cursors, which an operator makes. The audit of the workers' changes goes on."""
        self.wound_back.add(topic)

    def check(self):
        self._ended.set()
        self.join(10)
        assert self.error is None, f"the cursors could not be watched: {self.error!r}"
        assert self.samples > 10, f"only {self.samples} samples of the cursors"
        assert not self.steps_back, f"cursors stepped back: {self.steps_back[:5]}"
