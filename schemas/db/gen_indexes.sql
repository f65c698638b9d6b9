-- The indexes of a generation that a worker does not need while it fills it: `caseview rebuild prepare` creates them when
-- the log was read to its end, `caseview migrate` at once. Running it again changes nothing.

-- One transaction locks the tables in the order in which batches write them: another order would deadlock with a worker.

-- For the deletion of old tombstones.
CREATE INDEX IF NOT EXISTS case_state_over ON gen_N.case_state (over_at) WHERE over_at IS NOT NULL;
-- For readers: the listed cases of an agent.
CREATE INDEX IF NOT EXISTS active_case_lookup ON gen_N.active_case (organization_id, user_id, unit_id, status_date, case_id);
