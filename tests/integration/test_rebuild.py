"""`caseview rebuild`: a new generation is filled by ordinary workers, prepared, and shown to readers by a switch."""

import json
import re
import signal

import pytest

from support import events, programs, rebuild
from support.random_history import History
from support.waiting import stays_true, wait_for

AUDIT = "SELECT command, gen FROM ctl.audit WHERE command <> 'rebuild status' ORDER BY id"


def test_a_rebuild_from_start_to_drop(make_stack):
    stack = make_stack(partitions={"cases": 3, "agents": 2, "directory": 2})
    stack.start_worker()
    history = History(11, organizations=2, cases=300)
    stack.send_items(history.items)
    stack.check()
    before = rebuild.views(stack, "caseview")
    assert before["active_case"] and before["agent"] and before["application"]

    started = rebuild.start(stack)
    assert (started["generation"], started["carry_over"], started["missing"]) == (2, False, 0)
    assert len(started["partitions"]) == 7 and started["worker"] == "caseview worker --generation 2"
    assert all(p["log_start"] == 0 and p["live_next_offset"] == p["log_end"] for p in started["partitions"])
    assert rebuild.phase(stack) == "filling"
    refused = rebuild.run(stack, "prepare", check=2)
    assert "generation 2 has not caught up yet" in refused.stderr
    refused = rebuild.switch(stack, 2, check=2)
    assert "generation 2 is not prepared: caseview rebuild prepare" in refused.stderr
    refused = rebuild.run(stack, "start", check=2)
    assert "generation 2 is waiting already" in refused.stderr

    rebuild.fill_up(stack)
    assert stack.database.query("SELECT count(*) FROM gen_2.active_case") == [(0,)], "rendering is deferred"
    assert rebuild.run(stack, "status", "--check", "ready", check=1).stdout
    assert json.loads(rebuild.run(stack, "prepare", "--json").stdout) == {"generation": 2, "phase": "ready"}
    rebuild.run(stack, "status", "--check", "ready")
    assert rebuild.views(stack, "caseview_2") == before

    done = json.loads(rebuild.switch(stack, 2, "--json").stdout)
    assert (done["generation"], done["past"]) == (2, 1) and done["locked_ms"] < 2500
    assert rebuild.generations(stack) == {1: "past", 2: "live"}
    assert rebuild.views(stack, "caseview") == before == rebuild.views(stack, "caseview_1")
    stack.check()
    assert "generation 2 is live already" in rebuild.switch(stack, 2, check=2).stderr

    # Both generations follow; the way back stays open.
    case = events.guid()
    stack.send(events.queued(events.guid(), case))
    stack.wait_body(case)
    rebuild.switch(stack, 1)
    assert stack.body(case)
    stack.check()
    rebuild.switch(stack, 2)
    refused = rebuild.run(stack, "drop", 2, check=2)
    assert "generation 2 is live" in refused.stderr
    rebuild.run(stack, "drop", 1)
    assert rebuild.generations(stack) == {1: "dropped", 2: "live"}
    assert not stack.database.query("SELECT nspname FROM pg_namespace WHERE nspname IN ('gen_1', 'caseview_1')")
    assert "generation 1 was dropped" in rebuild.switch(stack, 1, check=2).stderr
    stack.check()
    assert stack.database.value("SELECT count(*) > 0 FROM ctl.audit WHERE command = 'rebuild status'")
    assert stack.database.query(AUDIT) == [
        ("rebuild start", 2), ("rebuild prepare", 2), ("rebuild switch", 2), ("rebuild switch", 1), ("rebuild switch", 2),
        ("rebuild drop", 1),
    ]  # fmt: skip


def test_abort_drops_what_was_filled_and_its_worker_waits(make_stack):
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.start_worker()
    stack.send_items(History(12, organizations=1, cases=100).items)
    assert "no generation is waiting" in rebuild.run(stack, "abort", check=2).stderr
    (filler,) = rebuild.until_caught_up(stack)
    rebuild.run(stack, "abort")
    assert rebuild.generations(stack) == {1: "live", 2: "dropped"}
    assert "no generation is waiting" in rebuild.run(stack, "status", "--check", "ready", check=2).stderr
    rebuild.run(stack, "status", "--check", "live")
    filler.wait_log("generation 2 does not exist: it was dropped; stop its workers", 20)
    stack.stop_worker(filler)
    assert rebuild.start(stack)["generation"] == 3, "a number is never used twice"
    rebuild.run(stack, "abort")
    stack.check()


def test_switch_refuses_a_generation_that_lags(make_stack):
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.start_worker()
    stack.send_items(History(13, organizations=1, cases=50).items)
    (filler,) = rebuild.until_ready(stack)
    stack.stop_worker(filler)
    case = events.guid()
    stack.send(events.queued(events.guid(), case), partition=1)
    stack.wait_body(case)
    refused = rebuild.switch(stack, 2, check=2)
    assert f"generation 2 lags: {stack.topics.case}/1 has reached offset" in refused.stderr
    assert rebuild.generations(stack) == {1: "live", 2: "waiting"}
    rebuild.fill(stack)
    wait_for(lambda: rebuild.switch(stack, 2, check=None).returncode == 0, 30, "the switch succeeds", poll_s=0.5)
    stack.check()


def test_a_partition_that_the_topic_no_longer_has_does_not_stop_the_switch(make_stack):
    """As after the live generation's topic was recreated with fewer partitions."""
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.start_worker()
    rebuild.until_ready(stack)
    stack.database.query("INSERT INTO ctl.cursor (gen, topic, part, next_offset) VALUES (1, %s, 7, 90)", (stack.topics.case,))
    refused = rebuild.switch(stack, 2, check=2).stderr
    assert f"no worker has claimed {stack.topics.case}/7" in refused
    advice = re.search(r"no longer has this partition: caseview (cursor set .*)$", refused, re.MULTILINE).group(1)
    programs.caseview(*advice.split(), "--database", stack.database.conninfo, *stack.kafka(), check=0)
    rebuild.switch_when_level(stack, 2)
    stack.check()


def test_rows_of_partitions_that_the_new_topic_lacks_are_rendered(make_stack):
    stack = make_stack(partitions={"cases": 8, "agents": 8, "directory": 1})
    worker = stack.start_worker()
    organization, user, unit, case = (events.guid() for _ in range(4))
    stack.send(events.queued(organization, case),
               events.agent_event(organization, user, 1, {"AgentCurrentUnitSelected": {"unitId": unit}}), partition=6)  # fmt: skip
    stack.check()
    stack.stop_worker(worker)
    stack.topics = stack.topics.renamed(4, case=f"{stack.topics.case}-new", agent=f"{stack.topics.agent}-new")
    for role in ("case", "agent"):
        stack.broker.create_topic(stack.topics.name(role), 4)
    stack.start_worker()
    rebuild.until_ready(stack, start_options=["--carry-over"])
    assert stack.database.query("SELECT case_id::text FROM caseview_2.active_case") == [(case,)]
    assert rebuild.views(stack, "caseview_2") == rebuild.views(stack, "caseview")
    rebuild.switch_when_level(stack, 2)
    # The row has an owner: it follows the directory.
    stack.send(events.unit_event(organization, json.loads(stack.body(case))["unitId"], 1, "Haifa"))
    stack.wait_body(case, lambda body: json.loads(body)["unitName"] == "Haifa")


HAS_SCHEMA = "SELECT has_schema_privilege(%s, 'caseview', 'USAGE')"
HAS_TABLE = "SELECT has_table_privilege(%s, 'caseview.' || %s, %s)"
HAS_COLUMN = "SELECT has_column_privilege(%s, 'caseview.progress', %s, 'SELECT')"


@pytest.fixture
def granted(make_stack):
    """(stack, role): generation 2 is ready, and the role has rights on the views of the live one. The role is dropped."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    role = f"reports_{stack.database.name}"
    stack.database.query(f'CREATE ROLE "{role}"')
    try:
        for grant in (f'USAGE ON SCHEMA caseview TO "{role}"', f'SELECT ON caseview.agent TO "{role}" WITH GRANT OPTION',
                      f'SELECT (topic, state) ON caseview.progress TO "{role}"'):
            stack.database.query(f"GRANT {grant}")
        rebuild.until_ready(stack)
        yield stack, role
    finally:
        stack.database.query(f'DROP OWNED BY "{role}"')
        stack.database.query(f'DROP ROLE "{role}"')


def test_grants_of_others_are_named_and_repeated_on_demand(granted):
    stack, role = granted
    refused = rebuild.switch(stack, 2, check=2)
    assert f"SELECT on agent to {role}" in refused.stderr and f"USAGE on the schema to {role}" in refused.stderr
    assert f"SELECT on progress (topic) to {role}" in refused.stderr
    assert "would lose: " in refused.stderr and "would gain" not in refused.stderr and "--regrant" in refused.stderr
    rebuild.switch(stack, 2, "--regrant")
    assert stack.database.value(HAS_SCHEMA, (role,)) and stack.database.value(HAS_TABLE, (role, "agent", "SELECT WITH GRANT OPTION"))
    assert [stack.database.value(HAS_COLUMN, (role, name)) for name in ("state", "reason")] == [True, False]
    rebuild.switch(stack, 1)


def test_rights_that_were_revoked_do_not_come_back_with_a_switch(granted):
    """The generation of before still has them."""
    stack, role = granted
    rebuild.switch(stack, 2, "--regrant")
    for revoked in (f'SELECT ON caseview.agent FROM "{role}"', f'SELECT (topic) ON caseview.progress FROM "{role}"',
                    "SELECT ON caseview.parked FROM caseview_reader", "USAGE ON SCHEMA caseview FROM caseview_reader"):
        stack.database.query(f"REVOKE {revoked}")
    refused = rebuild.switch(stack, 1, check=2).stderr
    for gained in (f"SELECT on agent to {role}", f"SELECT on progress (topic) to {role}", "SELECT on parked to caseview_reader",
                   "USAGE on the schema to caseview_reader"):
        assert gained in refused.partition("would gain: ")[2], refused
    assert "would lose" not in refused

    def check_rights():
        assert stack.database.value(HAS_SCHEMA, (role,)) and not stack.database.value(HAS_SCHEMA, ("caseview_reader",))
        assert not stack.database.value(HAS_TABLE, (role, "agent", "SELECT"))
        assert not stack.database.value(HAS_TABLE, ("caseview_reader", "parked", "SELECT"))
        assert stack.database.value(HAS_TABLE, ("caseview_reader", "agent", "SELECT"))
        assert [stack.database.value(HAS_COLUMN, (role, name)) for name in ("state", "topic")] == [True, False]

    rebuild.switch(stack, 1, "--regrant")
    check_rights()
    rebuild.switch(stack, 2)
    check_rights()
    # A right that the role has passed on is revoked with its own.
    stack.database.query(f'GRANT SELECT ON caseview_1.agent TO "{role}" WITH GRANT OPTION')
    stack.database.query(f'GRANT USAGE ON SCHEMA caseview_1 TO "{role}"')
    pass_on = f'SET ROLE "{role}"; GRANT SELECT ON {{}}.agent TO PUBLIC; RESET ROLE'
    stack.database.query(pass_on.format("caseview_1"))
    rebuild.switch(stack, 1, "--regrant")
    check_rights()
    # One that only the role can revoke is named.
    for views in ("caseview", "caseview_2"):
        stack.database.query(f'GRANT SELECT ON {views}.agent TO "{role}" WITH GRANT OPTION')
    stack.database.query(pass_on.format("caseview_2"))
    refused = rebuild.switch(stack, 2, "--regrant", check=2).stderr
    assert "would gain: SELECT on agent to PUBLIC (others than the owner have granted them)" in refused


def test_a_view_that_the_operator_added_is_named(granted):
    stack, role = granted
    stack.database.query("CREATE VIEW caseview.mine AS SELECT 1 AS one")
    rebuild.switch(stack, 2, "--regrant")
    rebuild.switch(stack, 1)
    stack.database.query(f'GRANT SELECT ON caseview.mine TO "{role}"')
    for options in ((), ("--regrant",)):
        refused = rebuild.switch(stack, 2, *options, check=2).stderr
        assert f"caseview_2 does not have: SELECT on mine to {role}" in refused, refused
    stack.database.query("DROP VIEW caseview.mine")
    rebuild.switch(stack, 2)


def test_drop_never_cascades(make_stack):
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    rebuild.until_ready(stack)
    stack.database.query("CREATE VIEW public.mine AS SELECT user_id FROM caseview.agent")
    stack.database.query("CREATE TABLE caseview_2.notes (line text)")
    rebuild.switch(stack, 2)
    refused = rebuild.run(stack, "drop", 1, check=2)
    assert "other objects depend on generation 1" in refused.stderr and "public.mine" in refused.stderr
    rebuild.switch(stack, 1)
    refused = rebuild.run(stack, "drop", 2, check=2)
    assert "caseview_2.notes" in refused.stderr
    stack.database.query("DROP TABLE caseview_2.notes")
    rebuild.run(stack, "drop", 2)
    assert stack.database.query("SELECT count(*) FROM public.mine") == [(0,)]


def test_bulk_rate_limits_a_generation_that_is_not_live(make_stack, tmp_path):
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.start_worker()
    stack.send_items(History(14, organizations=1, cases=400).items)
    stack.check()
    rebuild.start(stack)
    options = tmp_path / "worker.conf"
    options.write_text("bulk-rate = 100\n")
    (filler,) = rebuild.fill(stack, environment={"CASEVIEW_CONFIG": str(options)})

    def read():
        return stack.database.query("SELECT coalesce(sum(next_offset), 0)::bigint FROM ctl.cursor WHERE gen = 2")[0][0]

    wait_for(lambda: read() > 0, 60, "it reads")  # far behind, a batch stays open for 30 s
    total = sum(end for _, end in stack.broker.ends(stack.topics).values())
    now = rebuild.status(stack)
    assert now["phase"] == "filling" and 0 < now["events_per_second"] < 400 and now["seconds_left"] > 0
    assert read() < total
    options.write_text("bulk-rate = 0\n")
    filler.signal(signal.SIGHUP)
    filler.wait_log("bulk-rate is 0 events/s, it was 100", 10)
    rebuild.wait_phase(stack, "caught-up")
    assert read() == total


def test_a_generation_with_tables_of_another_version_is_left_alone(make_stack):
    """As if a newer program had created it: workers claim nothing, commands that read its states refuse."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    worker = stack.start_worker()
    case = events.guid()
    stack.send(events.queued(events.guid(), case))
    stack.wait_body(case)
    stack.stop_worker(worker)
    newer = "UPDATE ctl.generation SET template_version = template_version + 1 WHERE gen = 1"
    stack.database.query(newer)
    claimed = "SELECT sum(owner_epoch), bool_or(owner LIKE %s) FROM ctl.cursor"
    before = stack.database.query(claimed, (f"%:{worker.process.pid}",))
    worker = stack.start_worker(ready=False)
    line = r"generation 1 has tables of version \d+, this program writes version \d+"
    worker.wait_log(line, 30)
    worker.wait_log("group: assigned", 30)
    stays_true(lambda: not worker.is_ready(), 3, "it waits")
    assert stack.database.query(claimed, (f"%:{worker.process.pid}",)) == [(before[0][0], False)]
    assert len(re.findall(line, worker.log())) == 1, worker.log()
    where = ("--database", stack.database.conninfo, *stack.kafka(), *stack.names(), "--schema-dir", stack.schemas.folder)
    for words in (("parked", "retry"), ("repair", "--case", case), ("explain", "--case", case), ("verify",)):
        refused = programs.caseview(*words, *where, check=2)
        assert re.search(line, refused.stderr) and len(refused.stderr.splitlines()) == 1, refused.stderr
    assert "the states of generation 1 have version" in rebuild.run(stack, "start", "--carry-over", check=2).stderr
    rebuild.start(stack)
    stack.database.query(newer.replace("gen = 1", "gen = 2"))
    assert re.search(line.replace("generation 1", "generation 2"), rebuild.run(stack, "prepare", check=2).stderr)
    rebuild.run(stack, "abort")
    # The program that fits takes over at once.
    stack.database.query(newer.replace("+ 1", "- 1"))
    worker.wait_ready()


def test_topics_that_no_worker_has_read_are_refused(make_stack):
    """Under other names than those of the workers nothing could tell how far a generation is."""
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.start_worker()
    stack.send_items(History(15, organizations=1, cases=40).items)
    rebuild.until_ready(stack)
    refused = programs.caseview("rebuild", "switch", "2", "--database", stack.database.conninfo, check=2)
    assert "no worker of generation 2 has read topic case-events" in refused.stderr
    stack.database.query("UPDATE ctl.generation SET prepared_at = NULL WHERE gen = 2")
    refused = programs.caseview("rebuild", "prepare", "--database", stack.database.conninfo, check=2)
    assert "no worker of generation 2 has read topic case-events" in refused.stderr
    rebuild.run(stack, "prepare")
    rebuild.switch(stack, 2)
    stack.check()


def test_a_source_of_carry_over_is_not_dropped(make_stack):
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    rebuild.until_ready(stack)
    rebuild.switch(stack, 2)
    rebuild.start(stack, "--carry-over")
    rebuild.switch(stack, 1)
    refused = rebuild.run(stack, "drop", 2, check=2)
    assert "generation 3 carries over from generation 2" in refused.stderr
    rebuild.run(stack, "abort")
    rebuild.run(stack, "drop", 2)


def test_a_generation_named_in_a_shared_file_changes_no_rebuild(make_stack, tmp_path):
    """Workers of the live generation may share a file of options with the commands."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    rebuild.until_caught_up(stack)
    shared = tmp_path / "caseview.conf"
    shared.write_text("generation = 1\n")
    rebuild.run(stack, "prepare", "--config", shared)
    rebuild.run(stack, "status", "--check", "ready", "--config", shared)


def test_a_row_that_postgresql_refuses_does_not_stop_the_rendering(make_stack):
    stack = make_stack(partitions={"cases": 2, "agents": 1, "directory": 1})
    stack.start_worker()
    organization, bad = events.guid(), events.guid()
    others = [events.guid() for _ in range(20)]
    stack.send(*(events.queued(organization, case) for case in [bad, *others]))
    stack.check()
    rebuild.until_caught_up(stack)
    stack.database.query(f"ALTER TABLE gen_2.active_case ADD CONSTRAINT refused CHECK (case_id <> '{bad}')")
    rebuild.run(stack, "prepare")
    listed = {case for (case,) in stack.database.query("SELECT case_id::text FROM caseview_2.active_case")}
    assert listed == set(others)


def test_a_refused_row_of_the_last_batch_does_not_stop_the_rendering(make_stack):
    """The round is over when it has given its last rows, before they are written."""
    stack = make_stack(partitions={"cases": 1, "agents": 1, "directory": 1})
    stack.start_worker()
    organization, user, unit = events.guid(), events.guid(), events.guid()
    stack.send(events.agent_event(organization, user, 1, {"AgentCurrentUnitSelected": {"unitId": unit}}))
    stack.check()
    rebuild.until_caught_up(stack)
    stack.database.query(f"ALTER TABLE gen_2.agent ADD CONSTRAINT refused CHECK (user_id <> '{user}') NOT VALID")
    rebuild.run(stack, "prepare")
    assert rebuild.phase(stack) == "ready"
