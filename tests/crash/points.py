"""The fail points of one worker: which ones it reached, and releasing it (include/caseview/failpoint.h).

A new FAIL_POINT of the worker gets its name into one of the lists here; a test compares the lists with the sources.
"""

import contextlib
import errno
import os
import pathlib

from support.waiting import wait_for

# Steps of a batch, and of ownership, in the order in which a worker reaches them.
BATCH = (
    "poll.after", "decoded", "parked", "folded", "send.before", "send.flushed", "commit.before", "directory.numbered",
    "commit.unnoticed", "commit.after", "feed.read",
)  # fmt: skip
OWNERSHIP = ("claim.before", "claim.begun", "claim.locked", "claim.committed", "revoke", "recover")
HALT = ("halt.before", "halt.after")
STEPS = BATCH + OWNERSHIP + HALT
# Of the rebuild commands, in the order in which they are reached.
START = ("start.before", "start.after")
CARRY_OVER = ("carry.written", "carry.page")
PREPARE = ("prepare.before", "prepare.begun", "prepare.carried", "prepare.render", "prepare.indexed", "prepare.analyzed")
SWITCH = ("switch.before", "switch.locked", "switch.renamed", "switch.after")
DROP = ("drop.before", "drop.after")
REBUILD = START + CARRY_OVER + PREPARE + SWITCH + DROP
# Reached by other programs, or while the worker shuts down: single tests use them, the crash matrix does not.
OTHER = ("retry.slice", "outside.folded", "outside.sent", "outside.answered", "consumer.destroy")


class Points:
    """armed: (name, action, nth) of each fail point. environment is for the worker."""

    def __init__(self, folder, armed):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True)
        self.armed = armed
        for name, action, _ in armed:
            if action == "wait":
                os.mkfifo(self.folder / f"{name}.go")

    @property
    def environment(self):
        return {
            "CASEVIEW_TEST_FAIL_POINTS": ",".join(f"{n}:{a}:{nth}" for n, a, nth in self.armed),
            "CASEVIEW_TEST_FAIL_FOLDER": str(self.folder),
        }

    def reached(self, pid):
        """(name, count, microseconds of the monotonic clock) of each hit, in order."""
        out = []
        with contextlib.suppress(FileNotFoundError):
            for line in (self.folder / f"{pid}.reached").read_text().splitlines():
                name, count, at_us = line.split()
                out.append((name, int(count), int(at_us)))
        return out

    def wait_reached(self, worker, name, deadline_s=30):
        def reached():
            return [hit for hit in self.reached(worker.process.pid) if hit[0] == name]

        return wait_for(reached, deadline_s, f"{worker.name} reaches {name}", poll_s=0.005)[0]

    def release(self, name):
        """True when a process waited there."""
        try:
            os.close(os.open(self.folder / f"{name}.go", os.O_WRONLY | os.O_NONBLOCK))
            return True
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return False

    def wait_released(self, name, deadline_s=10):
        wait_for(lambda: self.release(name), deadline_s, f"a process waits at {name}", poll_s=0.005)


def is_stopped(pid):
    """By SIGSTOP."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
        return stat.read().rpartition(") ")[2][0] == "T"
