-- Rebuilds: how far each generation is, where its log began, and what was merged into it.

ALTER TABLE ctl.generation DROP CONSTRAINT generation_state_check;
ALTER TABLE ctl.generation
    ADD CONSTRAINT generation_state_check CHECK (state IN ('live', 'waiting', 'past', 'dropped')),
    -- While true, workers fold but render no rows for readers; `rebuild prepare` sets it to false.
    ADD COLUMN deferred           boolean NOT NULL DEFAULT false,
    -- `rebuild prepare` merges what this generation knows. NULL: the log still has its start, or log_only.
    ADD COLUMN carry_over_from    integer REFERENCES ctl.generation,
    ADD COLUMN log_only           boolean NOT NULL DEFAULT false, -- as the operator said: nothing is carried over
    ADD COLUMN prepare_started_at timestamptz,
    ADD COLUMN prepared_at        timestamptz,
    ADD COLUMN switched_at        timestamptz; -- when it last became live

-- Generations from before: those that readers have seen are complete; of several waiting ones only the last still waits.
UPDATE ctl.generation SET prepared_at = created_at, switched_at = created_at WHERE state IN ('live', 'past');
UPDATE ctl.generation SET state = 'past'
 WHERE state = 'waiting' AND gen < (SELECT max(gen) FROM ctl.generation WHERE state = 'waiting');

-- At most one generation is live, and at most one is waiting.
CREATE UNIQUE INDEX generation_live_or_waiting ON ctl.generation (state) WHERE state IN ('live', 'waiting');

-- The log as `rebuild start` found it, per partition.
CREATE TABLE ctl.rebuild_partition (
    gen       integer NOT NULL REFERENCES ctl.generation,
    topic     text NOT NULL,
    part      integer NOT NULL,
    log_start bigint NOT NULL,     -- records before it are gone
    log_end   bigint NOT NULL,
    live_next bigint,              -- the cursor of the generation that was live; NULL: none
    PRIMARY KEY (gen, topic, part)
);

-- The steps of `rebuild prepare`: each goes on where it was.
CREATE TABLE ctl.rebuild_step (
    gen         integer NOT NULL REFERENCES ctl.generation,
    step        text NOT NULL,
    after_key   bytea,             -- everything up to this key is done; NULL: nothing yet
    seen        bigint NOT NULL DEFAULT 0, -- rows read
    changed     bigint NOT NULL DEFAULT 0, -- rows written
    finished_at timestamptz,       -- NULL: not finished
    PRIMARY KEY (gen, step)
);

GRANT SELECT ON ctl.rebuild_partition, ctl.rebuild_step TO caseview_worker;
