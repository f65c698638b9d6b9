"""A release through its life: installed, upgraded under load, upgrades that fail, a changed Secret, removed."""

import pytest

from support.answers import check_answers
from support.helm import Watched
from support.kube import Failed
from support.waiting import wait_for

EVENTS = 6000


@pytest.fixture(scope="module")
def release(make_release):
    """Installed; an agent's cases change all the time."""
    return make_release().install()


def test_install_answers_each_agent(release, keys, tmp_path):
    """Rows equal the naive fold; answers through the Service equal what the simulator knows."""
    manifest = tmp_path / "manifest.json"
    release.stack.dev("simulate", "--events", EVENTS, "--seed", 42, "--manifest", manifest, deadline_s=60)
    view = release.stack.check()
    assert len(view.active_cases) > 10 and not view.parked
    answers = check_answers(manifest, keys, release.active_cases)
    assert answers[200] > 5


def test_upgrade_under_load(release, desk, report):
    """New pods of another image, one after the other: no request fails, each event counts once."""
    before = release.names("worker") | release.names("api")
    with Watched(release, desk) as seen:
        release.own = {"image": {"tag": "next"}}
        release.upgrade()
    report("upgrade of 2 workers and 2 APIs", seen.text())
    after = release.names("worker") | release.names("api")
    assert len(after) == len(before) and not before & after
    seen.callers.check()
    release.verify()


def test_upgrade_whose_migration_fails(release, desk, report):
    """The old version goes on; the next upgrade works."""
    pods = release.names("worker") | release.names("api")
    release.stack.postgres.query("postgres", "ALTER ROLE owner NOLOGIN")
    impatient = {"backoffLimit": 0, "extraEnv": [{"name": "CASEVIEW_CONNECT_TIMEOUT_S", "value": "2"}]}
    try:
        with Watched(release, desk) as seen:
            with pytest.raises(Failed, match="pre-upgrade"):
                release.upgrade(values={"image": {"tag": "test"}, "migrate": impatient})
    finally:
        release.stack.postgres.query("postgres", "ALTER ROLE owner LOGIN")
    report("upgrade whose migration fails", seen.text())
    assert release.revision()[1] == "failed"
    assert release.names("worker") | release.names("api") == pods
    seen.callers.check()
    release.own = {"image": {"tag": "test"}}
    release.upgrade()
    assert release.revision()[1] == "deployed"
    release.verify()


def test_broken_image_is_rolled_back(release, desk, report):
    """Its pods never start; the upgrade undoes itself, and readers notice nothing."""
    with Watched(release, desk) as seen:
        with pytest.raises(Failed, match="rolled back|rollback"):
            release.upgrade(
                "--atomic", "--timeout", "30s", values={"image": {"tag": "broken"}, "migrate": {"enabled": False}}
            )
    report("broken image, rolled back", seen.text())
    seen.callers.check()
    for component in ("worker", "api"):
        pods = release.wait_pods(component, 2)
        assert {c["image"] for p in pods for c in p["spec"]["containers"]} == {"localhost/caseview:test"}
    release.verify()


def test_changed_secret_rolls_the_pods(release, desk, report):
    """A new password: an upgrade with the same values starts all pods again, without a failed request."""
    before = release.names("worker") | release.names("api")
    postgres = release.stack.postgres
    postgres.query("postgres", "CREATE ROLE worker_b LOGIN PASSWORD 'b' IN ROLE caseview_worker")
    postgres.query("postgres", "CREATE ROLE reader_b LOGIN PASSWORD 'b' IN ROLE caseview_reader")
    database = release.stack.database.name
    logins = {role: postgres.for_pods(database, f"{role}_b").replace(postgres.password, "b") for role in ("worker", "reader")}
    with Watched(release, desk) as seen:
        release.write_secret(**logins)
        release.upgrade()
    report("changed Secret", seen.text())
    assert not before & (release.names("worker") | release.names("api"))

    def users():
        rows = postgres.query("postgres", "SELECT usename FROM pg_stat_activity WHERE datname = %s", (database,))
        return {row[0] for row in rows} & {"worker", "reader", "worker_b", "reader_b"}

    # The old APIs answer for a while after they have left the Service.
    wait_for(lambda: users() == {"worker_b", "reader_b"}, 40, "only the new logins are used", poll_s=0.2)
    seen.callers.check()
    release.verify()


def test_uninstall_leaves_nothing(release, cluster):
    """Nothing of the release is in the namespace, only what the tests made, when the Job of the last migration is deleted
    as the documentation says: Helm leaves the objects of hooks, whose logs may be needed."""
    release.uninstall()
    cluster.kubectl("delete", "jobs,pods", "-l", f"app.kubernetes.io/instance={release.name}", namespace=release.namespace)
    kinds = cluster.kubectl("api-resources", "--verbs=list", "--namespaced", "-o", "name").stdout.split()
    ours = [k for k in kinds if not k.startswith("events")]

    def left():
        done = cluster.kubectl("get", ",".join(ours), "-o", "name", namespace=release.namespace)
        usual = {f"secret/{release.secret}", "configmap/keys", "configmap/kube-root-ca.crt", "serviceaccount/default"}
        return set(done.stdout.split()) - usual

    wait_for(lambda: not left(), 60, f"nothing is left of the release, at first {sorted(left())}", poll_s=0.5)
