-- Template of a generation. `caseview migrate` and `caseview rebuild start` replace the N of gen_N by the number, and
-- caseview_N by the name of the view schema (caseview for the live generation). A generation's tables are never altered:
-- another table layout is a new generation, rebuilt from the log. The indexes that filling does without are in
-- gen_indexes.sql.

CREATE SCHEMA gen_N;

-- The folded state: one row per case, tombstones included. rev counts the writes; a writer with a stale rev is refused.
CREATE TABLE gen_N.case_state (
    case_id     uuid PRIMARY KEY,
    rev         integer NOT NULL,
    part        integer NOT NULL,      -- partition of the case topic whose worker wrote it last
    flags       smallint NOT NULL,     -- 1 listed, 2 degraded, 4 incomplete, 8 over
    degraded_at timestamptz,           -- since when a sequence number is missing
    over_at     timestamptz,           -- when it was found over; deleted tombstone-days later
    state       bytea NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX case_state_degraded ON gen_N.case_state (part, degraded_at) WHERE degraded_at IS NOT NULL;
CREATE INDEX case_state_incomplete ON gen_N.case_state (part) WHERE flags & 4 <> 0;

-- The view: one row per listed case, with its rendered JSON.
CREATE TABLE gen_N.active_case (
    organization_id uuid NOT NULL,
    case_id         uuid NOT NULL,
    user_id         uuid NOT NULL,
    unit_id         uuid NOT NULL,
    status_date     timestamptz NOT NULL,
    case_timestamp  timestamptz NOT NULL,
    degraded        boolean NOT NULL,
    part            integer NOT NULL,
    customer_ref    bigint,            -- hash of the customer that the body names
    refs            bytea NOT NULL,    -- hashes, 8 bytes each, of the other directory entities that it names
    body            text NOT NULL,
    PRIMARY KEY (organization_id, case_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX active_case_customer ON gen_N.active_case (customer_ref) WHERE customer_ref IS NOT NULL;

CREATE TABLE gen_N.agent (
    organization_id uuid NOT NULL,
    user_id         uuid NOT NULL,
    rev             integer NOT NULL,
    part            integer NOT NULL,
    current_unit_id uuid,              -- NULL: none
    has_workspaces  boolean NOT NULL,
    degraded        boolean NOT NULL,
    degraded_at     timestamptz,
    refs            bytea NOT NULL,    -- hashes of the unit and the workspaces that determine the gates
    state           bytea NOT NULL,
    PRIMARY KEY (organization_id, user_id)
) WITH (fillfactor = 80);
CREATE INDEX agent_degraded ON gen_N.agent (part, degraded_at) WHERE degraded_at IS NOT NULL;

CREATE TABLE gen_N.directory (
    kind            smallint NOT NULL, -- 1 unit … 9 application
    organization_id uuid NOT NULL,
    entity_id       uuid NOT NULL,
    status          smallint NOT NULL, -- 0 forgotten, 1 known, 2 removed
    version         bigint NOT NULL,
    change_no       bigint NOT NULL,   -- number in the change feed
    name            text,
    detail          text,              -- colorCode, initials or clientId
    picture         text,
    parent_id       uuid,
    roles           text[],
    enabled         boolean NOT NULL,
    PRIMARY KEY (kind, organization_id, entity_id)
) WITH (fillfactor = 90);
CREATE UNIQUE INDEX directory_change ON gen_N.directory (change_no);
CREATE UNIQUE INDEX directory_application ON gen_N.directory (entity_id) WHERE kind = 9 AND status <> 0;
CREATE INDEX directory_forgotten ON gen_N.directory (change_no) WHERE status = 0;

CREATE TABLE gen_N.parked (
    organization_id  uuid,
    topic            text NOT NULL,
    part             integer NOT NULL,
    "offset"         bigint NOT NULL,
    key              bytea,
    value            bytea,
    headers          jsonb,
    record_timestamp timestamptz,
    reason           text NOT NULL,
    text             text NOT NULL,
    parked_at        timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, part, "offset")
);

-- The entities that a listed case or an agent has ever named, so that a change of another one concerns no row. Without
-- customers and those users that only serve the case: active_case has indexes for them. A row is added before the row
-- that names the entity, and never deleted.
CREATE TABLE gen_N.named (
    ref bigint PRIMARY KEY             -- hash of the entity
);

-- How far the rows of a partition show directory changes after its cursor's dir_no (workers/sink/feed_progress.h).
CREATE TABLE gen_N.names_progress (
    agents          boolean NOT NULL,  -- partition of the agent topic, otherwise of the case topic
    part            integer NOT NULL,
    change_no       bigint NOT NULL,   -- rows before the position show the changes up to here
    everything      boolean NOT NULL,  -- all rows are rendered, not only those that name what changed
    stage           integer NOT NULL,  -- the position: 0 cases found by an index, 1 cases, 2 agents
    organization_id uuid NOT NULL,
    id              uuid NOT NULL,
    PRIMARY KEY (agents, part)
) WITH (fillfactor = 50);

GRANT USAGE ON SCHEMA gen_N TO caseview_worker;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA gen_N TO caseview_worker;

-- What the API and other members of caseview_reader can read.
CREATE SCHEMA caseview_N;

CREATE VIEW caseview_N.active_case AS
    SELECT organization_id, user_id, unit_id, case_id, status_date, case_timestamp, degraded, body
      FROM gen_N.active_case;

CREATE VIEW caseview_N.agent AS
    SELECT organization_id, user_id, current_unit_id, has_workspaces, degraded
      FROM gen_N.agent;

CREATE VIEW caseview_N.application AS
    SELECT entity_id AS application_id, organization_id, detail AS client_id, roles, enabled
      FROM gen_N.directory
     WHERE kind = 9 AND status = 1;

CREATE VIEW caseview_N.progress AS
    SELECT topic, part AS partition, next_offset, complete_at, updated_at, state, reason
      FROM ctl.cursor
     WHERE gen = (SELECT gen FROM ctl.generation WHERE schema_name = 'gen_N');

CREATE VIEW caseview_N.parked AS
    SELECT organization_id, topic, part AS partition, "offset", key, value, headers, record_timestamp, reason, text,
           parked_at
      FROM gen_N.parked;

GRANT USAGE ON SCHEMA caseview_N TO caseview_reader, caseview_worker;
GRANT SELECT ON ALL TABLES IN SCHEMA caseview_N TO caseview_reader, caseview_worker;
