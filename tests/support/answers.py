"""The answer that each agent of `caseview-dev simulate` must get, as its manifest says."""

import json


def check_answers(manifest, keys, ask, note=""):
    """ask(application, user, token): the answer. note: for a failure. Returns how many agents got each status."""
    answers = {200: 0, 403: 0, 409: 0}
    for organization in json.loads(manifest.read_text())["organizations"]:
        caller = next(a for a in organization["applications"] if a["enabled"])
        token = keys.token(caller["clientId"])
        for agent in organization["agents"]:
            answer = ask(caller["applicationId"], agent["userId"], token)
            expected = 403 if agent["currentUnitId"] is None else 200 if agent["hasWorkspaces"] else 409
            assert answer.status_code == expected, f"{note} {agent['userId']}: {answer.status_code} {answer.text}"
            answers[expected] += 1
            if expected == 200:
                assert [case["caseId"] for case in answer.json()] == agent["activeCases"], f"{note} {agent['userId']}"
    return answers
