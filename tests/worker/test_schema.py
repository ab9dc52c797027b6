"""What a worker refuses to start with: a schema that is not its own, a DSN that is none, options that cannot work."""

import asyncio
import gc

import psycopg
import pytest

from pgqueue.errors import ConfigurationError, SchemaMissing, SchemaOutdated, SchemaTooNew
from pgqueue.worker import Worker, WorkerOptions
from tests.worker.working import PATIENCE_SECONDS, connections, until, work

pytestmark = pytest.mark.integration


async def test_a_database_without_the_schema_is_refused_with_the_command_to_run(empty_dsn):
    """Not waited for: nobody would know what it waits for."""
    with pytest.raises(SchemaMissing, match="run: pgqueue migrate"):
        await work(empty_dsn)


@pytest.mark.parametrize(
    ("revision", "error", "command"),
    [("0000", SchemaOutdated, "pgqueue migrate"), ("9999", SchemaTooNew, "pip install --upgrade")],
)
async def test_a_schema_of_another_revision_is_refused_with_the_command_to_run(dsn, db, revision, error, command):
    """Half understood is worse than not at all."""
    db.execute("update pgqueue.alembic_version set version_num = %s", [revision])

    with pytest.raises(error, match=command) as raised:
        await work(dsn)

    assert revision in str(raised.value)
    assert db.execute("select count(*) from pgqueue.worker").fetchone() == (0,)
    del raised
    gc.collect()  # psycopg leaves a connection whose opening was cancelled to the collector
    await until(lambda: connections(db) == [])


@pytest.mark.parametrize("dsn", ["postgresql://[", "host", "host=x nonsense=1"])
async def test_a_malformed_dsn_is_refused_at_once(dsn):
    """To try again for ever would not make it better."""
    with pytest.raises(psycopg.ProgrammingError):
        await asyncio.wait_for(Worker(dsn).run(), PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"queues": {}}, "a worker needs a queue"),
        ({"queues": {"a b": 1}}, "'a b' has a space"),
        ({"queues": {"mail": 0}}, "queue mail was given 0 slots"),
        ({"queues": {"mail": 10_001}}, "queue mail was given 10001 slots"),
        ({"grace": -1}, "grace -1 is out of range"),
        ({"grace": float("nan")}, "grace nan is out of range"),
        ({"poll": 0}, "poll 0 is out of range"),
        ({"max_jobs": 0}, "max_jobs 0 is out of range"),
        ({"max_time": -0.5}, "max_time -0.5 is out of range"),
    ],
)
def test_options_that_cannot_work_are_refused_by_name(options, message):
    """The value and the rule, before anything starts."""
    with pytest.raises(ConfigurationError, match=message):
        WorkerOptions(**options)
