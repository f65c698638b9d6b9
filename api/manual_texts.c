#include "manual_texts.h"

const char manual_api[] = "Answers GET /{applicationId}/agents/{userId}/activeCases from the view in PostgreSQL that "
                          "`caseview worker` keeps. It\n"
                          "reads with the role caseview_reader, never consumes Kafka and writes nothing. Any number of "
                          "processes run behind a\n"
                          "load balancer. Callers need a JWT (RS256, PS256 or ES256) of the application's client.\n"
                          "\n"
                          "It waits for nothing at its start: without database or key set it runs and answers 503 or "
                          "401. SIGTERM accepts no new\n"
                          "connection and answers the requests in flight (at most 10 s). SIGHUP reads "
                          "`tls-certificate`, `ca-file` and `jwks`\n"
                          "again; without it a changed file is in use within 10 s.\n"
                          "\n"
                          "The admin port answers /live, /ready and /metrics.\n";

const char manual_api_exit_codes[] = "0\tStopped by SIGTERM or SIGINT; the requests in flight were answered.\n"
                                     "2\tWrong usage or configuration: an option, a port in use, missing rights, a "
                                     "database whose encoding is not UTF8. A\n"
                                     "restart does not help.\n"
                                     "70\tOut of memory, or a bug. A supervisor may start the program again.\n"
                                     "128 + n\tA second signal n ended the program at once.\n";

const char manual_api_environment[] =
    "CASEVIEW_SOME_NAME\tThe option `--some-name`.\n"
    "CASEVIEW_CONFIG\tThe file of options, as `--config`.\n"
    "PGHOST, PGUSER, PGPASSFILE, ...\tlibpq reads its own variables where `database` does not say otherwise.\n"
    "NOTIFY_SOCKET, WATCHDOG_USEC\tSet by systemd: the program tells it its start, its state and that it advances.\n";

const char manual_api_files[] =
    "/etc/caseview/caseview.conf\tOptions of the systemd units, also of `caseview-api.service`.\n"
    "/etc/caseview/api.conf\tOptions of `caseview-api.service` instead, when a drop-in of the unit loads it.\n"
    "/etc/caseview/api.env\tVariables of `caseview-api.service`. Not for secrets.\n";

const char manual_api_examples[] = "  caseview-api --database 'host=db.internal dbname=caseview user=caseview_r' \\\n"
                                   "      --issuer https://login.example --audience caseview \\\n"
                                   "      --jwks https://login.example/keys --listen 0.0.0.0:8080\n";

const char manual_api_see_also[] = "`caseview`(1), `systemctl`(1)\n";
