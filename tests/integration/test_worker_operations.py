"""What operators do with the database."""

import contextlib
import subprocess

from support import programs
from support.postgres import Postgres


def test_databases_of_one_server_are_migrated_at_the_same_time():
    """Roles belong to the server: whoever comes second finds them."""
    with contextlib.closing(Postgres()) as server:
        for _ in range(6):
            databases = [server.create_database() for _ in range(4)]
            argv = [programs.binary("caseview"), "migrate", "--log-format", "text", "--database"]
            running = [
                subprocess.Popen(
                    [*argv, database.conninfo], stderr=subprocess.PIPE, text=True, env=programs.clean_environment()
                )
                for database in databases
            ]
            for program in running:
                text = program.communicate(timeout=60)[1]
                assert program.returncode == 0, text
            for database in databases:
                database.drop()
            server.query("postgres", "DROP ROLE caseview_worker")
            server.query("postgres", "DROP ROLE caseview_reader")
