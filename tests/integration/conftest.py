"""What all tests of a file share: a stack with one worker, or a database without one."""

import json
import shutil

import pytest

from support import avro_codec, events, programs
from support.stack import mock_stack


@pytest.fixture(scope="module")
def one_worker(postgres, schemas, tmp_path_factory):
    """Each test uses its own ids. The last test of a file folds the whole log again: check_whole_log()."""
    registry = avro_codec.Registry(user="reader:secret")
    folder = tmp_path_factory.mktemp("fold")
    # The folder has several versions of a schema.
    schema_folder = shutil.copytree(schemas.folder, folder / "schemas")
    newer = avro_codec.with_field(schemas.by_role["case"].json, {"name": "weather", "type": "string"})
    (schema_folder / "case-event-2.avsc").write_text(json.dumps(newer))
    schemas = avro_codec.Schemas(str(schema_folder))
    with mock_stack(postgres, schemas, folder, registry=registry, options=["--gap-alarm-s", 1]) as stack:
        stack.start_worker()
        yield stack
    registry.stop()


@pytest.fixture(scope="module")
def migrated(postgres):
    """A database with Caseview's schema, and nothing that writes to it."""
    database = postgres.create_database()
    programs.caseview("migrate", "--database", database.conninfo, check=0)
    yield database
    database.drop()


@pytest.fixture
def org():
    return events.guid()
