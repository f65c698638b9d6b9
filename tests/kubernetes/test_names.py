"""Two releases in one namespace, a long release name, Helm 4, addresses of IPv6."""

import requests

from support import events
from support.kube import at

LONG = "a-release-with-a-name-as-long-as-helm-allows-it-53-ch"


def feed(release):
    """An organization whose agent serves one case; returns what must be answered to whom."""
    stack = release.stack
    organization, user, unit, application, case = (events.guid() for _ in range(5))
    spaces = {"unitId": unit, "workspaceIds": [events.guid()]}
    stack.send(
        events.directory_event(
            organization, application, 1, {"ApplicationUpserted": {"clientId": "client", "name": "n", "roles": [], "enabled": True}}
        ),
        events.agent_event(organization, user, 1, {"AgentCurrentUnitSelected": {"unitId": unit}}),
        events.agent_event(organization, user, 2, {"AgentWorkspacesSelected": spaces}),
        events.queued(organization, case, unit=events.ref(unit, "Unit"), lockedBy=events.user(user)),
    )
    stack.check()
    return application, user, case


def test_two_releases_in_one_namespace(make_release, helm4, keys):
    """With databases and topics of their own they have nothing in common; the long name is cut in a way that keeps them apart.
    One of them is installed and upgraded by Helm 4."""
    one = make_release("caseview")
    releases = [one, make_release(LONG, one.namespace), make_release(LONG[:-1] + "x", one.namespace, by=helm4)]
    for release in releases:
        release.own = {"worker": {"replicas": 1}, "api": {"replicas": 1}}
        release.install()
    expected = [feed(release) for release in releases]
    for release, (application, user, case) in zip(releases, expected):
        answer = release.active_cases(application, user, keys.token("client"))
        assert [c["caseId"] for c in answer.json()] == [case]
    # Of another release the caller is not known.
    assert releases[0].active_cases(*expected[1][:2], keys.token("client")).status_code == 403
    releases[1].uninstall()
    assert releases[2].active_cases(*expected[2][:2], keys.token("client")).status_code == 200
    for release in (releases[0], releases[2]):
        release.wait_pods("worker", 1)
    releases[2].upgrade(values={"worker": {"podAnnotations": {"restarted": "by Helm 4"}}})
    (pod,) = releases[2].wait_pods("worker", 1)
    assert pod["metadata"]["annotations"]["restarted"] == "by Helm 4"
    assert releases[2].active_cases(*expected[2][:2], keys.token("client")).status_code == 200


def test_ipv6(make_release, cluster, keys):
    """Services of IPv6 only: endpoint and metrics answer on the pods' IPv6 addresses."""
    release = make_release()
    release.own = {
        "worker": {"replicas": 1},
        "api": {"replicas": 1},
        "network": {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]},
    }
    release.install()
    application, user, case = feed(release)
    assert ":" in release.service()["spec"]["clusterIP"]
    assert [c["caseId"] for c in release.active_cases(application, user, keys.token("client")).json()] == [case]
    for component, port in (("worker", 9464), ("api", 9465)):
        (pod,) = release.pods(component)
        for address in (each["ip"] for each in pod["status"]["podIPs"]):
            page = requests.get(f"http://{at(address, port)}/metrics", timeout=10)
            assert page.status_code == 200 and "process_start_time_seconds" in page.text, address
