-- Tables shared by all generations: the cursors and owners of partitions, and the list of generations.
-- Run by `caseview migrate` as the owner. The statements of a released migration are never edited.

-- Roles belong to the whole server: a migration of another database may create them at the same time.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['caseview_worker', 'caseview_reader'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
END
$$;

CREATE SCHEMA ctl;

CREATE TABLE ctl.migration (
    name       text PRIMARY KEY,
    applied_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ctl.generation (
    gen                  integer PRIMARY KEY CHECK (gen > 0),
    schema_name          text NOT NULL UNIQUE,  -- gen_N
    template_version     integer NOT NULL,      -- of gen.sql when it was created
    state                text NOT NULL CHECK (state IN ('live', 'waiting', 'past')),
    directory_partitions integer,               -- of the directory topic; must never change. NULL: not read yet
    created_at           timestamptz NOT NULL DEFAULT now()
);

-- The position of each partition in a generation, and its owner. Every batch locks its cursors first.
CREATE TABLE ctl.cursor (
    gen                integer NOT NULL REFERENCES ctl.generation,
    topic              text NOT NULL,
    part               integer NOT NULL,
    next_offset        bigint NOT NULL DEFAULT 0,
    claim              uuid,                      -- only the worker that has it may write; new with every claim
    backend_pid        integer,                   -- of the owner; the next owner terminates it if needed
    backend_start      timestamptz,
    owner_epoch        bigint NOT NULL DEFAULT 0, -- count of claims, for people
    owner              text,                      -- host:pid, for people
    dir_no             bigint NOT NULL DEFAULT 0, -- directory changes up to here are shown by this partition's rows
    last_record_offset bigint,                    -- the last record folded, to detect a recreated topic
    last_record_at     bigint,                    -- its timestamp, ms since 1970
    last_record_crc    bigint,                    -- checksum of its key and value
    complete_at        timestamptz,               -- last time at which the partition was read to its end
    state              text NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'paused', 'halted')),
    reason             text,                      -- of a halt or pause
    updated_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (gen, topic, part)
) WITH (fillfactor = 50);

-- Numbers the changes of the directory in the order of their commits.
CREATE TABLE ctl.dir_clock (
    gen integer PRIMARY KEY REFERENCES ctl.generation,
    no  bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

GRANT USAGE ON SCHEMA ctl TO caseview_worker;
GRANT SELECT ON ctl.migration, ctl.generation TO caseview_worker;
GRANT UPDATE (directory_partitions) ON ctl.generation TO caseview_worker;
GRANT SELECT, INSERT, UPDATE ON ctl.cursor TO caseview_worker;
GRANT SELECT, UPDATE ON ctl.dir_clock TO caseview_worker;
