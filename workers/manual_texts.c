#include "workers/manual_texts.h"

/* ---- the program ---- */

const char manual_caseview[] =
    "Caseview folds Kafka events into a view in PostgreSQL: the cases that each agent of a queue platform is serving "
    "now.\n"
    "`caseview worker` keeps the view current; any number of workers share the partitions of one consumer group.\n"
    "Rows and the position in Kafka are committed in one transaction, so each event counts once after any crash.\n"
    "The other commands are the operator's. `caseview-api`(1) answers the HTTP endpoint from the view.\n";

const char manual_caseview_examples[] = "Which partitions lag or are halted, and what to run next:\n"
                                        "\n"
                                        "  caseview status --config /etc/caseview/caseview.conf\n"
                                        "\n"
                                        "Fold a test stream with all options on the command line:\n"
                                        "\n"
                                        "  caseview worker --kafka bootstrap.servers=localhost:9092 \\\n"
                                        "      --database 'host=localhost dbname=caseview'\n";

const char manual_exit_codes[] =
    "0\tDone; also after SIGTERM, when all work in hand was finished.\n"
    "1\tThe answer is no: not healthy, a difference was found, nothing matches the options, no such key, a phase is "
    "not\n"
    "reached.\n"
    "2\tWrong usage or configuration, or a command that the state does not allow. A restart does not help.\n"
    "3\tAn operator's command could not reach a service within `connect-timeout-s`. A worker waits without limit.\n"
    "70\tOut of memory, or a bug. A supervisor may start the program again.\n"
    "74\tThe output could not be written.\n"
    "128 + n\tA second signal n ended the program at once. The first SIGTERM or SIGINT drains.\n";

const char manual_environment[] =
    "CASEVIEW_SOME_NAME\tThe option `--some-name`.\n"
    "CASEVIEW_KAFKA_...\tA property of librdkafka, in capitals, dots as `_`: CASEVIEW_KAFKA_SASL_PASSWORD.\n"
    "CASEVIEW_CONFIG\tThe file of options, as `--config`.\n"
    "PGHOST, PGUSER, PGPASSFILE, ...\tlibpq reads its own variables where `database` does not say otherwise.\n"
    "NOTIFY_SOCKET, WATCHDOG_USEC\tSet by systemd: a worker tells it its start, its state and that its loop "
    "advances.\n";

const char manual_files[] =
    "/etc/caseview/caseview.conf\tOptions of the systemd units. Commands read it when `--config` or CASEVIEW_CONFIG "
    "names\n"
    "it.\n"
    "/etc/caseview/worker-INSTANCE.env\tVariables of one `caseview-worker@INSTANCE.service`.\n" //
    CASEVIEW_SCHEMA_DIR "\tThe Avro schemas that are read where `schema-dir` is not given.\n";

const char manual_see_also[] = "`caseview-api`(1), `systemctl`(1), `psql`(1)\n";

/* ---- serving ---- */

const char manual_worker[] =
    "Reads the three topics, folds the events of its partitions and writes the rows. Runs until SIGTERM or until a\n"
    "permanent error; waits without limit for PostgreSQL, its schema, the brokers and the schema registry.\n"
    "\n"
    "Any number of workers run with one configuration: the consumer group divides the partitions among them. Killing "
    "one\n"
    "loses nothing. SIGTERM finishes and commits what is in hand (at most 20 s) and leaves the group (at most 10 s).\n"
    "SIGHUP reads `schema-dir`, `ca-file` and, in the file of options, `bulk-rate` again.\n"
    "\n"
    "The admin port answers /live, /ready and /metrics.\n";

const char manual_worker_examples[] = "Four workers on one machine, each with an admin port of its own:\n"
                                      "\n"
                                      "  systemctl enable --now caseview-worker@{9471,9472,9473,9474}\n"
                                      "\n"
                                      "One that fills generation 2, at most 20,000 events per second:\n"
                                      "\n"
                                      "  caseview worker --config FILE --generation 2 --bulk-rate 20000 \\\n"
                                      "      --admin-listen 127.0.0.1:9481\n";

const char manual_migrate[] =
    "Creates the schemas `caseview`, `ctl` and `gen_1` and the roles `caseview_worker` and `caseview_reader`, or "
    "brings those\n"
    "of an earlier version up to date. It only adds, so workers of the earlier version continue. Run it as the owner "
    "of\n"
    "the schemas before the workers of a version start. The database must have the encoding UTF8.\n";

const char manual_migrate_examples[] =
    "  caseview migrate --database 'host=db.internal dbname=caseview user=caseview_owner'\n";

const char manual_status[] = "Prints for each partition its state, next offset, end offset, lag, parked events, owner "
                             "and reason; above it what is\n"
                             "parked, degraded and incomplete, and under `next` the command to run for each problem. "
                             "Without a broker it prints\n"
                             "what the database knows.\n";

const char manual_status_examples[] = "For a monitoring check:\n"
                                      "\n"
                                      "  caseview status --config FILE --check >/dev/null || echo unhealthy\n";

/* ---- partitions ---- */

const char manual_pause[] = "Stops processing the partitions that `--topic` and `--partition` select, without them "
                            "all. Everything before their\n"
                            "cursors is committed. The owner notices within a second; the other partitions continue.\n";

const char manual_pause_examples[] =
    "  caseview pause --config FILE --topic case-events --partition 3 --reason 'bad producer'\n";

const char manual_resume[] = "Continues paused partitions, and halted ones once their cause is fixed. `caseview "
                             "status` names the reason. A partition\n"
                             "whose cause remains halts again.\n";

const char manual_resume_examples[] = "  caseview resume --config FILE --topic case-events --partition 3\n";

const char manual_cursor[] =
    "`show` prints the next offset and the owner of each partition. `set` moves one: records are read again, which is\n"
    "harmless, or skipped, which is not. So `set` needs `--offset` and `--force`.\n";

const char manual_cursor_examples[] = "Read a partition from its beginning:\n"
                                      "\n"
                                      "  caseview cursor set --config FILE --topic case-events --partition 3 \\\n"
                                      "      --offset 0 --force --reason 'retention gap'\n";

/* ---- events ---- */

const char manual_parked[] =
    "A record that cannot be used is stored whole, with its reason, and the others continue. `list` prints such "
    "records,\n"
    "one per line, `show` one with all details, `export` as JSON that is sufficient to produce it again. `retry` "
    "decodes\n"
    "and folds them again, for example with schemas that were missing. `skip` moves them to ctl.skipped; it needs\n"
    "`--topic` and `--reason`.\n";

const char manual_parked_examples[] = "  caseview parked list --config FILE --topic case-events --partition 3\n"
                                      "  caseview parked retry --config FILE --topic case-events\n";

const char manual_explain[] = "Reads the whole topic and prints each event of one case or agent in the order of the "
                              "log, with its effect, and why the\n"
                              "case is listed or not. It changes nothing.\n";

const char manual_explain_examples[] = "  caseview explain --config FILE --case 3f2504e0-4f89-11d3-9a0c-0305e82c3301\n";

const char manual_verify[] = "Folds the log in memory and compares the result with the stored rows. It changes nothing "
                             "and runs at any time, next to\n"
                             "any number of workers. It prints one line for each difference.\n";

const char manual_verify_examples[] = "A twentieth of all keys, always the same ones:\n"
                                      "\n"
                                      "  caseview verify --config FILE --sample 5\n";

const char manual_repair[] =
    "Folds one case or agent from the log and replaces its rows with the result, in one transaction, while workers\n"
    "continue. Nothing is written when nothing is wrong.\n";

const char manual_repair_examples[] = "  caseview repair --config FILE --case 3f2504e0-4f89-11d3-9a0c-0305e82c3301\n";

/* ---- generations ---- */

const char manual_rebuild[] =
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
    "switch N\tReaders see generation N from now on. The way back is the same command.\n"
    "abort\tDrops the generation that is being filled.\n"
    "drop N\tDrops a past generation.\n";

const char manual_rebuild_examples[] = "  caseview rebuild start --config FILE\n"
                                       "  caseview worker --config FILE --generation 2\n"
                                       "  caseview rebuild status --config FILE --watch\n"
                                       "  caseview rebuild prepare --config FILE\n"
                                       "  caseview rebuild compare --config FILE\n"
                                       "  caseview rebuild switch 2 --config FILE\n";
