#include "workers/manual_texts.h"

/* ---- the program ---- */

static const char program_text[] =
    "Caseview folds Kafka events into a view in PostgreSQL: the cases that each agent of a queue platform is serving "
    "now.\n"
    "`caseview worker` keeps the view current; any number of workers share the partitions of one consumer group.\n"
    "Rows and the position in Kafka are committed in one transaction, so each event counts once after any crash.\n"
    "The other commands are the operator's. `caseview-api`(1) answers the HTTP endpoint from the view.\n";

static const char program_examples[] = "Which partitions lag or are halted, and what to run next:\n"
                                       "\n"
                                       "  caseview status --config /etc/caseview/caseview.conf\n"
                                       "\n"
                                       "Fold a test stream with all options on the command line:\n"
                                       "\n"
                                       "  caseview worker --kafka bootstrap.servers=localhost:9092 \\\n"
                                       "      --database 'host=localhost dbname=caseview'\n";

static const char exit_codes[] =
    "0\tDone; also after SIGTERM, when all work in hand was finished.\n"
    "1\tThe answer is no: not healthy, a difference was found, nothing matches the options, no such key, a phase is "
    "not\n"
    "reached.\n"
    "2\tWrong usage or configuration, or a command that the state does not allow. A restart does not help.\n"
    "3\tAn operator's command could not reach a service within `connect-timeout-s`. A worker waits without limit.\n"
    "70\tOut of memory, or a bug. A supervisor may start the program again.\n"
    "74\tThe output could not be written.\n"
    "128 + n\tA second signal n ended the program at once. The first SIGTERM or SIGINT drains.\n";

static const char environment[] =
    "CASEVIEW_SOME_NAME\tThe option `--some-name`.\n"
    "CASEVIEW_KAFKA_...\tA property of librdkafka, in capitals, dots as `_`: CASEVIEW_KAFKA_SASL_PASSWORD.\n"
    "CASEVIEW_CONFIG\tThe file of options, as `--config`.\n"
    "PGHOST, PGUSER, PGPASSFILE, ...\tlibpq reads its own variables where `database` does not say otherwise.\n"
    "NOTIFY_SOCKET, WATCHDOG_USEC\tSet by systemd: a worker tells it its start, its state and that its loop "
    "advances.\n";

static const char files[] =
    "/etc/caseview/caseview.conf\tOptions of the systemd units. Commands read it when `--config` or CASEVIEW_CONFIG "
    "names\n"
    "it.\n"
    "/etc/caseview/worker-INSTANCE.env\tVariables of one `caseview-worker@INSTANCE.service`.\n" //
    CASEVIEW_SCHEMA_DIR "\tThe Avro schemas that are read where `schema-dir` is not given.\n";

static const char see_also[] = "`caseview-api`(1), `systemctl`(1), `psql`(1)\n";

/* ---- serving ---- */

static const char worker_text[] =
    "Reads the three topics, folds the events of its partitions and writes the rows. Runs until SIGTERM or until a\n"
    "permanent error; waits without limit for PostgreSQL, its schema, the brokers and the schema registry.\n"
    "\n"
    "Any number of workers run with one configuration: the consumer group divides the partitions among them. Killing "
    "one\n"
    "loses nothing. SIGTERM finishes and commits what is in hand (at most 20 s) and leaves the group (at most 10 s).\n"
    "SIGHUP reads `schema-dir`, `ca-file` and, in the file of options, `bulk-rate` again.\n"
    "\n"
    "The admin port answers /live, /ready and /metrics.\n";

static const char worker_examples[] = "Four workers on one machine, each with an admin port of its own:\n"
                                      "\n"
                                      "  systemctl enable --now caseview-worker@{9471,9472,9473,9474}\n"
                                      "\n"
                                      "One that fills generation 2, at most 20,000 events per second:\n"
                                      "\n"
                                      "  caseview worker --config FILE --generation 2 --bulk-rate 20000 \\\n"
                                      "      --admin-listen 127.0.0.1:9481\n";

static const char migrate_text[] =
    "Creates the schemas `caseview`, `ctl` and `gen_1` and the roles `caseview_worker` and `caseview_reader`, or "
    "brings those\n"
    "of an earlier version up to date. It only adds, so workers of the earlier version continue. Run it as the owner "
    "of\n"
    "the schemas before the workers of a version start. The database must have the encoding UTF8.\n";

static const char migrate_examples[] =
    "  caseview migrate --database 'host=db.internal dbname=caseview user=caseview_owner'\n";

static const char status_text[] =
    "Prints for each partition its state, next offset, end offset, lag, parked events, owner "
    "and reason; above it what is\n"
    "parked, degraded and incomplete, and under `next` the command to run for each problem. "
    "Without a broker it prints\n"
    "what the database knows.\n";

static const char status_examples[] = "For a monitoring check:\n"
                                      "\n"
                                      "  caseview status --config FILE --check >/dev/null || echo unhealthy\n";

/* ---- partitions ---- */

static const char pause_text[] =
    "Stops processing the partitions that `--topic` and `--partition` select, without them "
    "all. Everything before their\n"
    "cursors is committed. The owner notices within a second; the other partitions continue.\n";

static const char pause_examples[] =
    "  caseview pause --config FILE --topic case-events --partition 3 --reason 'bad producer'\n";

static const char resume_text[] = "Continues paused partitions, and halted ones once their cause is fixed. `caseview "
                                  "status` names the reason. A partition\n"
                                  "whose cause remains halts again.\n";

static const char resume_examples[] = "  caseview resume --config FILE --topic case-events --partition 3\n";

static const char cursor_text[] =
    "`show` prints the next offset and the owner of each partition. `set` moves one: records are read again, which is\n"
    "harmless, or skipped, which is not. So `set` needs `--offset` and `--force`.\n";

static const char cursor_examples[] = "Read a partition from its beginning:\n"
                                      "\n"
                                      "  caseview cursor set --config FILE --topic case-events --partition 3 \\\n"
                                      "      --offset 0 --force --reason 'retention gap'\n";

/* ---- events ---- */

static const char parked_text[] =
    "A record that cannot be used is stored whole, with its reason, and the others continue. `list` prints such "
    "records,\n"
    "one per line, `show` one with all details, `export` as JSON that is sufficient to produce it again. `retry` "
    "decodes\n"
    "and folds them again, for example with schemas that were missing. `skip` moves them to ctl.skipped; it needs\n"
    "`--topic` and `--reason`.\n";

static const char parked_examples[] = "  caseview parked list --config FILE --topic case-events --partition 3\n"
                                      "  caseview parked retry --config FILE --topic case-events\n";

static const char explain_text[] =
    "Reads the whole topic and prints each event of one case or agent in the order of the "
    "log, with its effect, and why the\n"
    "case is listed or not. It changes nothing.\n";

static const char explain_examples[] = "  caseview explain --config FILE --case 3f2504e0-4f89-11d3-9a0c-0305e82c3301\n";

static const char verify_text[] =
    "Folds the log in memory and compares the result with the stored rows. It changes nothing "
    "and runs at any time, next to\n"
    "any number of workers. It prints one line for each difference.\n";

static const char verify_examples[] = "A twentieth of all keys, always the same ones:\n"
                                      "\n"
                                      "  caseview verify --config FILE --sample 5\n";

static const char repair_text[] =
    "Folds one case or agent from the log and replaces its rows with the result, in one transaction, while workers\n"
    "continue. Nothing is written when nothing is wrong.\n";

static const char repair_examples[] = "  caseview repair --config FILE --case 3f2504e0-4f89-11d3-9a0c-0305e82c3301\n";

/* ---- generations ---- */

static const char rebuild_text[] =
    "A generation is a complete copy of the view. A new one is filled from the log by ordinary workers, started with\n"
    "`--generation`, while the live one keeps serving; then readers are switched to it in one transaction. Every "
    "command\n"
    "can be repeated and can be killed.\n"
    "\n"
    "start\tCreates the next generation.\n"
    "status\tHow far it is: filling, caught-up, preparing, ready, live or past.\n"
    "prepare\tCarries over what retention has removed from the log, writes the rows for readers, the indexes and\n"
    "statistics. Its workers must run.\n"
    "compare\tWhat would change for readers; exit code 1 when something would.\n"
    "switch N\tReaders see generation N from now on. The same command with its number is the rollback.\n"
    "abort\tDrops the generation that is being filled.\n"
    "drop N\tDrops a past generation.\n";

static const char rebuild_examples[] = "  caseview rebuild start --config FILE\n"
                                       "  caseview worker --config FILE --generation 2\n"
                                       "  caseview rebuild status --config FILE --watch\n"
                                       "  caseview rebuild prepare --config FILE\n"
                                       "  caseview rebuild compare --config FILE\n"
                                       "  caseview rebuild switch 2 --config FILE\n";

/* ---- the manual ---- */

/* In the order of --help. */
static const struct manual_command commands[] = {
    {"worker", SCOPE_WORKER, NULL, "fold events from Kafka into the view until SIGTERM", worker_text, worker_examples},
    {"migrate", SCOPE_MIGRATE, NULL, "create or upgrade the database schema; running it again changes nothing",
     migrate_text, migrate_examples},
    {"status", SCOPE_STATUS, NULL,
     "show cursor, lag and state of each partition, and what is parked, incomplete or degraded", status_text,
     status_examples},
    {"pause", SCOPE_PAUSE, NULL, "stop processing partitions; everything before their cursor is committed", pause_text,
     pause_examples},
    {"resume", SCOPE_RESUME, NULL, "continue paused partitions, and halted ones once their cause is fixed", resume_text,
     resume_examples},
    {"parked", SCOPE_PARKED, "list show export retry skip",
     "list, show or export parked events, retry them, or skip them for good", parked_text, parked_examples},
    {"cursor", SCOPE_CURSOR, "show set", "show the next offset of each partition, or set one", cursor_text,
     cursor_examples},
    {"explain", SCOPE_EXPLAIN, NULL,
     "show every event of a case or an agent, its effect, and why the case is listed or not", explain_text,
     explain_examples},
    {"verify", SCOPE_VERIFY, NULL,
     "fold the log in memory and compare the result with the stored rows; exit 1 if they differ", verify_text,
     verify_examples},
    {"repair", SCOPE_REPAIR, NULL, "fold a case or an agent from the log and replace its stored rows", repair_text,
     repair_examples},
    {"rebuild", SCOPE_REBUILD, "start status prepare compare switch abort drop",
     "fill a new generation of the view from the log, compare it with the live one, and switch readers to it",
     rebuild_text, rebuild_examples},
    {.name = NULL},
};

static const struct option_def *const tables[] = {caseview_options, NULL};

const struct manual caseview_manual = {
    .program = "caseview",
    .help = "keep a view of active cases in PostgreSQL, folded from Kafka events",
    .scope = SCOPE_CASEVIEW,
    .tables = tables,
    .commands = commands,
    .text = program_text,
    .exit_codes = exit_codes,
    .environment = environment,
    .files = files,
    .examples = program_examples,
    .see_also = see_also,
};
