#include "workers/ops/pause.h"

#include "sql_worker.h"
#include "workers/ops/state_change.h"

static const struct db_statement pause_statement = {"pause", sql_pause};

int pause_main(const struct config *config)
{
    static const struct state_change change = {"pause", &pause_statement, "paused at", "live"};
    return state_change_run(config, &change);
}
