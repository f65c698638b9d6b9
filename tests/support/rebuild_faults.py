"""Rebuild commands that are killed, frozen, or cut off from PostgreSQL at a point."""

import contextlib
import itertools
import re
import signal

from crash.points import Points, is_stopped
from crash.wire import Wire

from . import events, rebuild
from .random_history import History
from .waiting import wait_for

LOCK_TIMEOUT_S = 5  # of the commands
FROZEN_S = 5  # idle_in_transaction_session_timeout of the commands
IN_TRANSACTION = {"start.before", "prepare.before", "carry.written", "switch.before", "switch.locked", "switch.renamed", "drop.before"}
BACKENDS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'caseview rebuild%%'"
IDLE_IN_TRANSACTION = f"SELECT count(*) {BACKENDS} AND state LIKE 'idle in transaction%%'"
TERMINATE = f"SELECT count(pg_terminate_backend(pid)) {BACKENDS}"


class Servers:
    """Proxies of a stack's servers, for one command. database and bootstrap: their addresses."""

    def __init__(self, stack, host="127.0.0.1", left=None):
        self.database_wire = Wire([stack.postgres.port], host=host, left=left)
        self.broker_wire = Wire([int(address.rpartition(":")[2]) for address in stack.broker.bootstrap.split(",")], rewrite=True)
        port = self.database_wire.ports[stack.postgres.port]
        self.database = f"host={host} port={port} user={stack.postgres.user} dbname={stack.database.name}"
        self.bootstrap = ",".join(f"127.0.0.1:{port}" for port in self.broker_wire.ports.values())

    @property
    def addresses(self):
        return {"database": self.database, "bootstrap": self.bootstrap}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.database_wire.close()
        self.broker_wire.close()


class Faults:
    """Commands of a stack that are hurt at a point."""

    def __init__(self, stack, seed):
        self.stack, self.numbers = stack, itertools.count(1)
        self.items = iter(History(seed, organizations=2, cases=80).items)
        stack.start_worker()
        stack.send_items(itertools.islice(self.items, 300))
        stack.send_raw("case", [(b"not a guid", b"not an event", ())])
        stack.check()

    def points(self, *armed):
        return Points(self.stack.folder / f"points-{self.stack.number}-{next(self.numbers)}", list(armed))

    def hurt(self, fault, point, *words, nth=1):
        """Exit code and log of a command that is hurt at the point; the live view is the same before and after."""
        before = self.live_view()
        code, log = getattr(self, fault)(point, nth, *words)
        self.check_untouched(before)
        return code, log

    def live_view(self):
        return self.stack.active_cases(), self.stack.agents(), self.stack.applications()

    def check_untouched(self, before):
        assert before[0] and before[1] and before[2]
        wait_for(lambda: self.live_view() == before, 10, "the live view is as before")

    def kill(self, point, nth, *words):
        points = self.points((point, "kill", nth))
        done = rebuild.run(self.stack, *words, check=-signal.SIGKILL, environment=points.environment)
        return done.returncode, done.stderr

    def begin(self, action, point, nth, words, **servers):
        points = self.points((point, action, nth))
        name = f"rebuild-{self.stack.number}-{next(self.numbers)}"
        program = rebuild.begin(self.stack, name, *words, environment=points.environment, **servers)
        points.wait_reached(program, point)
        return points, program

    def freeze(self, point, nth, *words):
        """Frozen within a transaction it loses its session, and the locks that live workers may wait for."""
        _, program = self.begin("stop", point, nth, words)
        wait_for(lambda: is_stopped(program.process.pid), 5, "the command is frozen")
        self.check_live_workers()
        wait_for(lambda: self.stack.database.value(IDLE_IN_TRANSACTION) == 0, FROZEN_S + 3, "its transaction is ended")
        program.thaw()
        return program.wait(60), program.log()

    def check_live_workers(self):
        """They go on within the time after which the server ends a frozen session."""
        organization, case = events.guid(), events.guid()
        self.stack.send(events.queued(organization, case))
        live = self.stack.database.value("SELECT gen FROM ctl.generation WHERE state = 'live'")
        folded = f"SELECT count(*) FROM gen_{live}.active_case WHERE case_id = %s"
        wait_for(lambda: self.stack.database.value(folded, (case,)) == 1, FROZEN_S + 5, "a live worker goes on")
        self.stack.send(events.case_event(organization, case, 2, {"CaseClosed": {}}))
        wait_for(lambda: self.stack.database.value(folded, (case,)) == 0, FROZEN_S + 5, "a live worker goes on")

    def terminate(self, point, nth, *words):
        points, program = self.begin("wait", point, nth, words)
        assert self.stack.database.value(TERMINATE) > 0
        wait_for(lambda: self.stack.database.value(f"SELECT count(*) {BACKENDS}") == 0, 10, "its backends are gone")
        points.wait_released(point)
        return program.wait(60), program.log()

    def cut(self, point, nth, *words):
        """Cut off from PostgreSQL, which it cannot reach again."""
        with Servers(self.stack) as servers:
            points, program = self.begin("wait", point, nth, words, **servers.addresses)
            servers.database_wire.cut()
            points.wait_released(point)
            code = program.wait(60)
            wait_for(lambda: self.stack.database.value(f"SELECT count(*) {BACKENDS}") == 0, 10, "its backends are gone")
            return code, program.log()


def check_failed_with_one_line(code, log):
    assert code in (2, 3), log
    assert len(re.findall(r" error .*: rebuild \w+: ", log)) == 1, log
    assert not re.search(r" warn ", log), log


def check_end(fault, point, code, log):
    """Killed; or it could not go on within its transaction; or nothing was left that could fail."""
    if fault == "kill":
        return
    if point in IN_TRANSACTION or (fault == "cut" and not point.endswith(".after")):
        check_failed_with_one_line(code, log)
        assert code == 3, log
    elif fault == "freeze" or point.endswith(".after"):
        assert code == 0, log
    else:
        check_failed_with_one_line(code, log)


def has_reached(points, name):
    return any(name in file.read_text() for file in points.folder.glob("*.reached"))
