"""One PostgreSQL and one API for the tests of a file that only send requests; `own` starts another one for faults."""

import pytest

from support.api_views import CLIENT, Api, fill
from support.postgres import Postgres
from support.programs import Program
from support.tokens import Keys


@pytest.fixture(scope="module")
def server():
    postgres = Postgres()
    yield postgres
    postgres.close()


@pytest.fixture(scope="module")
def database(server):
    database = server.create_database()
    fill(database)
    yield database
    database.drop()


@pytest.fixture(scope="module")
def keys():
    return Keys()


@pytest.fixture(scope="module")
def api(tmp_path_factory, database, keys):
    folder = tmp_path_factory.mktemp("api")
    api = Api(folder, database.conninfo, keys.write(folder / "jwks.json"))
    api.wait_ready()
    yield api
    api.stop()


@pytest.fixture
def own(tmp_path, server, keys):
    """An API with its own database and key file, for tests that inject faults."""
    database = server.create_database()
    fill(database)
    started = []

    def start(*args, conninfo=None, jwks=None, **options):
        path = jwks or keys.write(tmp_path / "jwks.json")
        api = Api(tmp_path, conninfo or database.conninfo, path, *args, name=f"caseview-api-{len(started)}", **options)
        started.append(api)
        return api

    start.database = database
    start.folder = tmp_path
    yield start
    for api in started:
        if api in Program.running:
            api.stop()  # fails when it has ended by itself
    if not server.process:
        server.start()
    database.drop()


@pytest.fixture(scope="module")
def token(keys):
    return keys.token(CLIENT)
