"""A rebuild by values alone: each step is a `helm upgrade`, and readers notice nothing."""

import pytest

from support import rebuild
from support.chart import merged
from support.desk import Desk
from support.helm import Watched


@pytest.fixture(scope="module")
def release(make_release):
    return make_release().install()


def step(release, job, **values):
    """Runs a command of the rebuild as a Job; Helm waits for it and fails with it."""
    release.run("upgrade", "--wait", "--timeout", "120s", values={"rebuild": {"job": job, **values}}, deadline_s=150)


def test_rebuild_by_values(release, report):
    """With the image of another version, which is that of all workers in the end."""
    stack = release.stack
    quick = {"migrate": {"enabled": False}}  # it has nothing to do
    image = {"tag": "next"}
    release.own = quick
    with Desk(stack, pause_s=0.2) as desk, Watched(release, desk) as seen:
        step(release, "start", image=image)
        workers = {"generation": 2, "bulkRate": 50_000, "worker": {"replicas": 1}, "image": image}
        release.own = merged(quick, {"rebuild": workers})
        release.upgrade()
        rebuild.wait_phase(stack, "caught-up")
        step(release, "status")
        step(release, "prepare")
        rebuild.wait_phase(stack, "ready")
        step(release, "compare")
        step(release, "switch")
        assert rebuild.generations(stack) == {1: "past", 2: "live"}
        step(release, "switch", jobGeneration=1)
        assert rebuild.generations(stack)[1] == "live"
        step(release, "switch")
        # To finish: the workers move to generation 2, then those of the rebuild go, then the tables of generation 1.
        release.own = merged(release.own, {"worker": {"generation": 2}, "image": image})
        release.upgrade()
        release.own = merged(quick, {"worker": {"generation": 2}, "image": image})
        release.upgrade()
        step(release, "drop", jobGeneration=1)
        assert rebuild.generations(stack) == {1: "dropped", 2: "live"}
    report("rebuild: start, fill, switch, back, drop", seen.text())
    seen.callers.check(least=500)
    release.verify()
