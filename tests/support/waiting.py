"""Waiting for conditions with deadlines; nothing in the tests sleeps for a fixed time."""

import contextlib
import os
import threading
import time

# Deadlines are for slow machines; a condition that holds is noticed within milliseconds.
PATIENCE = float(os.environ.get("CASEVIEW_TEST_PATIENCE", "1"))
POLL_S = 0.02


class Late(AssertionError):
    """A condition did not come true in time."""


def wait_for(condition, deadline_s, what, poll_s=POLL_S):
    """Polls condition() until its answer is true, and returns that answer."""
    end = time.monotonic() + deadline_s * PATIENCE
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Late(f"{what}: not within {deadline_s * PATIENCE:g} s; last answer: {answer!r}")
        time.sleep(poll_s)


def stays_true(condition, span_s, what, poll_s=POLL_S):
    """Checks that the condition holds during the whole span; for events that must not happen."""
    end = time.monotonic() + span_s
    while time.monotonic() < end:
        assert condition(), f"{what}: no longer so"
        time.sleep(poll_s)


@contextlib.contextmanager
def all_the_time(act):
    """Calls act() repeatedly in a thread until the end of the with block."""
    ended = threading.Event()
    done = 0

    def run():
        nonlocal done
        while not ended.wait(0.001):
            act()
            done += 1

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
        before = done
        wait_for(lambda: done > before, 10, "it goes on until the end")
    finally:
        ended.set()
        thread.join(30)
    assert not thread.is_alive()
