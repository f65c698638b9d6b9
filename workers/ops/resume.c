#include "workers/ops/resume.h"

#include "sql_worker.h"
#include "workers/ops/state_change.h"

static const struct db_statement resume_statement = {"resume", sql_resume};

int resume_main(const struct config *config)
{
    static const struct state_change change = {"resume", &resume_statement, "resumed at", "halted or paused"};
    return state_change_run(config, &change);
}
