"""What users notice while something is changed: how long a partition makes no progress, and requests that fail."""

import contextlib
import http.client
import json
import threading
import time
import urllib.parse

from .desk import Reader
from .stack import PROGRESS
from .waiting import wait_for


class Progress(threading.Thread):
    """Samples the cursors: the longest time in which the cursor of a partition that receives records did not move."""

    def __init__(self, stack):
        super().__init__(daemon=True)
        self.stack = stack
        self.worst = (0.0, None)
        self.error = None
        self._changed = {}
        self._stop_now = threading.Event()

    def run(self):
        try:
            with contextlib.closing(self.stack.postgres.connect(self.stack.database.name)) as connection:
                cursor = connection.cursor()
                while not self._stop_now.wait(0.01):
                    cursor.execute(PROGRESS)
                    self._note(time.monotonic(), cursor.fetchall())
        except Exception as error:
            self.error = error

    def _note(self, now, rows):
        for topic, partition, offset, _, _ in rows:
            if topic != self.stack.topics.case:
                continue
            before, since = self._changed.get(partition, (offset, now))
            if now - since > self.worst[0]:
                self.worst = (now - since, partition)
            if offset != before or partition not in self._changed:
                self._changed[partition] = (offset, now)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self._wait_moves()
        finally:
            self._stop_now.set()
            self.join(10)

    def _wait_moves(self):
        """Each partition has moved since: its owner's name may be that of a worker that has ended."""
        now, count = time.monotonic(), self.stack.topics.partitions["case"]

        def moved():
            return self.error or sum(since > now for _, since in list(self._changed.values())) == count

        wait_for(moved, 90, "all partitions make progress", poll_s=0.05)

    def seconds(self):
        assert self.error is None, f"the cursors could not be watched: {self.error!r}"
        assert len(self._changed) == self.stack.topics.partitions["case"], f"cursors of {sorted(self._changed)} only"
        return self.worst[0]


class Caller(Reader):
    """Asks without a pause and without retrying; with one connection for all requests, or one for each."""

    def __init__(self, desk, url, token, reuse):
        super().__init__(desk, None, token)
        self.reuse = reuse
        self.where = urllib.parse.urlsplit(url).netloc
        self.path = f"/{desk.application}/agents/{desk.user}/activeCases"
        self.lost = []  # (when, error) of requests without an answer

    def ask(self):
        connection = None
        while not self.ended.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection(self.where, timeout=10)
                connection.request("GET", self.path, headers={"Authorization": f"Bearer {self.token}"})
                answer = connection.getresponse()
                body = answer.read()
                closes = answer.will_close
            except (OSError, http.client.HTTPException) as error:
                self.lost.append((time.monotonic(), repr(error)))
                connection = None
                continue
            self.answers += 1
            if answer.status != 200:
                self.faults.append((time.time(), answer.status, body[:200]))
            else:
                self.check(answer, body)
            if closes or not self.reuse:
                connection.close()
                connection = None

    def check(self, answer, body):
        text = body.decode()
        if self.tags.setdefault(answer.headers["ETag"], text) != text:
            self.faults.append(("one ETag of two answers", answer.headers["ETag"]))
        self.look(json.loads(text))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join(30)
        if self.is_alive():
            self.faults.append(("the caller does not end",))


class Callers:
    """One that keeps its connection, and one that does not."""

    def __init__(self, desk, url, token):
        self.each = [Caller(desk, url, token, reuse) for reuse in (True, False)]

    def __enter__(self):
        for caller in self.each:
            caller.__enter__()
        return self

    def __exit__(self, *_):
        for caller in self.each:
            caller.__exit__()

    def answers(self):
        return sum(caller.answers for caller in self.each)

    def lost(self):
        """Requests without an answer."""
        return sorted(item for caller in self.each for item in caller.lost)

    def failed(self):
        return len(self.lost()) + sum(len(caller.faults) for caller in self.each)

    def check_answers(self, least=50):
        """Each answer is right: another status, content or order is a fault."""
        faults = [fault for caller in self.each for fault in caller.faults]
        assert not faults, f"{len(faults)} of {self.answers()} answers are wrong: {faults[:5]}"
        assert min(caller.answers for caller in self.each) >= least, f"too few requests: {self.answers()}"

    def check(self, least=50):
        """No request failed."""
        self.check_answers(least)
        assert not self.lost(), f"{len(self.lost())} of {self.answers()} requests have no answer: {self.lost()[:5]}"
