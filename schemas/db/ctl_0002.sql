-- The audit trail of operators' commands, and the parked events that they skipped.

CREATE TABLE ctl.audit (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at      timestamptz NOT NULL DEFAULT now(),
    who     text NOT NULL DEFAULT session_user,
    client  text,                     -- host:pid of the program
    gen     integer NOT NULL,
    command text NOT NULL,            -- "cursor set", "parked skip" …
    topic   text,
    part    integer,
    reason  text,                     -- as the operator gave it
    detail  jsonb NOT NULL DEFAULT '{}'
);

-- `caseview parked skip` moves events here from gen_N.parked. They are never folded and never deleted.
CREATE TABLE ctl.skipped (
    gen              integer NOT NULL REFERENCES ctl.generation,
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
    parked_at        timestamptz NOT NULL,
    skipped_at       timestamptz NOT NULL DEFAULT now(),
    skip_reason      text NOT NULL,
    PRIMARY KEY (gen, topic, part, "offset", skipped_at)
);

GRANT SELECT, INSERT ON ctl.audit, ctl.skipped TO caseview_worker;
