"""The traceparent of a request: in the log lines about it and, with log-traces, in a comment of its statement."""

import concurrent.futures
import json
import re
import secrets

import pytest

from support.api_views import EXPECTED, USER_IDLE, add_cases, list_of
from support.waiting import wait_for

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"
NOT_VALID = (
    "", "x", PARENT.upper(), f"00-{'0' * 32}-{SPAN}-01", f"{PARENT}'*/; DROP TABLE x; --", f"ff-{TRACE}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-01-more", f"00-{TRACE}-{SPAN[:-4]}'*/1-01",
)  # fmt: skip
NAMED = "traceparent='[0-9a-f-]{55}'"
LOGGED = re.compile(r"LOG:  execute (\S+): ")
COMMENT = re.compile(r"/\*.*?\*/")


def new_parent():
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def line_of(api, request_id):
    """The log line about a request, as an object or as text."""
    found = wait_for(lambda: [line for line in api.log().splitlines() if request_id in line], 10, "the line is there")
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("path", [None, "/nowhere"], ids=["answered", "refused"])
def test_lines_about_a_request_have_its_trace(own, token, path):
    api = own("--log-level", "debug", log_format="json")
    api.wait_ready()

    def asked(number, *parents):
        fields = "".join(f"traceparent: {parent}\r\n" for parent in (*parents,))
        api.path(path or api.url().partition(api.address)[2], token, extra=f"X-Request-Id: number-{number}\r\n{fields}")
        return json.loads(line_of(api, f"number-{number} "))

    line = asked("one", PARENT)
    assert (line["trace_id"], line["span_id"]) == (TRACE, SPAN)
    assert line["message"].endswith(": 200" if path is None else ": 404")
    later = asked("two", f"\t01-{TRACE}-{SPAN}-ff-more ")
    assert (later["trace_id"], later["span_id"]) == (TRACE, SPAN)
    for number, parent in enumerate(NOT_VALID):
        assert "trace_id" not in asked(f"bad-{number}", parent), parent
    assert "trace_id" not in asked("none")
    assert "trace_id" not in asked("both", PARENT, new_parent()), "two of them are none"


def test_lines_as_text(own, token):
    api = own("--log-level", "debug")
    api.wait_ready()
    api.call(token, headers={"traceparent": PARENT, "X-Request-Id": "number-one"})
    assert line_of(api, "number-one ").endswith(f": 200 trace_id={TRACE} span_id={SPAN}")


class Statements:
    """What PostgreSQL has logged of the API's statements since the start."""

    def __init__(self, server, database):
        self.server = server
        database.query(f"alter database {database.name} set log_statement = 'all'")
        self.start = server.log.stat().st_size

    def text(self):
        return self.server.log.read_text()[self.start :]

    def comments(self):
        return [found for found in COMMENT.findall(self.text()) if "trace" in found]

    def names(self):
        return LOGGED.findall(self.text())


def test_the_statement_names_the_trace(own, server, token):
    statements = Statements(server, own.database)
    api = own("--log-traces")
    api.wait_ready()
    assert api.call(token).text == EXPECTED
    assert set(statements.names()) == {"active_cases"} and not statements.comments()
    assert api.call(token, headers={"traceparent": PARENT}).text == EXPECTED
    assert statements.comments() == [f"/*traceparent='{PARENT}'*/"]
    assert "<unnamed>" in statements.names(), "it is not prepared"
    before = statements.names().count("<unnamed>")
    unsampled = PARENT[:-2] + "02"
    for parent in (*NOT_VALID, unsampled):
        answer = api.path(api.url().partition(api.address)[2], token, extra=f"traceparent: {parent}\r\n")
        assert answer.status_code == 200 and answer.text == EXPECTED
    assert api.call(token).text == EXPECTED
    assert statements.names().count("<unnamed>") == before and len(statements.comments()) == 1
    assert "DROP" not in statements.text()
    assert own.database.value("select count(*) from caseview.application") > 0


def test_traces_are_not_named_by_default(own, server, token):
    statements = Statements(server, own.database)
    api = own()
    api.wait_ready()
    assert api.call(token, headers={"traceparent": PARENT}).text == EXPECTED
    assert set(statements.names()) == {"active_cases"} and TRACE not in statements.text()


def test_requests_that_share_a_statement_are_all_named(own, server, token):
    """Some have a trace and some have none; each gets its answer, and no trace is named twice."""
    statements = Statements(server, own.database)
    api = own("--log-traces")
    api.wait_ready()
    parents = [new_parent() if number % 3 else None for number in range(300)]

    def ask(parent):
        return api.call(token, headers={"traceparent": parent} if parent else {}).text

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        assert set(pool.map(ask, parents)) == {EXPECTED}
    named = [trace for comment in statements.comments() for trace in re.findall("traceparent='([^']*)'", comment)]
    left_out = sum(int(n) for comment in statements.comments() for n in re.findall("left_out='([0-9]+)'", comment))
    assert len(named) == len(set(named)) and set(named) <= set(filter(None, parents))
    assert len(named) + left_out == len(list(filter(None, parents)))
    assert "active_cases" in statements.names(), "statements without a trace are prepared"
    for comment in statements.comments():
        assert re.fullmatch(rf"/\*{NAMED}(,{NAMED})*(,traceparents_left_out='[0-9]+')?\*/", comment)


def test_long_lists_name_their_trace(own, server, token):
    add_cases(own.database, USER_IDLE, 100, 1000)
    statements = Statements(server, own.database)
    api = own("--log-traces")
    api.wait_ready()
    for _ in range(2):
        assert api.call(token, user=USER_IDLE, headers={"traceparent": PARENT}).text == list_of(100, 1000)
    # The first time the list is found to be long in a shared statement.
    assert statements.comments() == [f"/*traceparent='{PARENT}'*/"] * 3
    assert api.call(token, user=USER_IDLE).text == list_of(100, 1000)
    assert "long_list" in statements.names()
