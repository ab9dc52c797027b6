"""The first call on a database checks that its schema is the one this code speaks."""

from collections.abc import Iterator

import psycopg
import pytest

from pgqueue import Job, connections, enqueue
from pgqueue.calls import SCHEMA_REVISION
from pgqueue.errors import SchemaMismatch, SchemaMissing, SchemaOutdated, SchemaTooNew
from tests.client.kinds import KINDS
from tests.databases import Databases, with_database

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def first_call() -> Iterator[None]:
    """As in a process that has just started: no database is known yet."""
    before = set(connections._speaks)
    connections._speaks.clear()
    yield
    connections._speaks.update(before)


@pytest.fixture(scope="module")
def bare_dsn(databases: Databases, worker_name: str) -> Iterator[str]:
    """URL of a database without the schema, for tests that leave it so."""
    name = databases.create(worker_name, schema=False)
    yield with_database(databases.dsn, name)
    databases.drop(name)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_database_without_the_schema_is_refused_with_the_command(bare_dsn, kind):
    """It is the first thing that goes wrong for everybody."""
    async with KINDS[kind](bare_dsn) as caller:
        with pytest.raises(SchemaMissing, match="run: pgqueue migrate"):
            await caller.enqueue(Job("charge"))
        await caller.rollback()


@pytest.mark.parametrize(
    ("revision", "error", "command"),
    [
        ("0000", SchemaOutdated, r"at revision 0000, .* run: pgqueue migrate"),
        ("9999", SchemaTooNew, r"at revision 9999, newer .* pip install --upgrade pgqueue-jobs"),
    ],
)
async def test_another_revision_is_refused_with_the_command(caller, db, revision, error, command, kinds_of_jobs):
    """A producer that half understands the schema is worse than none."""
    db.execute("update pgqueue.alembic_version set version_num = %s", [revision])
    with pytest.raises(error, match=command):
        await caller.enqueue(Job("charge"))
    await caller.rollback()
    assert kinds_of_jobs() == []


def test_a_schema_without_a_revision_is_missing(db):
    """A migration that was never finished."""
    db.execute("delete from pgqueue.alembic_version")
    with pytest.raises(SchemaMissing, match="run: pgqueue migrate"):
        enqueue(db, Job("charge"))


def test_a_mended_schema_is_taken_without_a_restart(db):
    """A refusal is not remembered."""
    db.execute("update pgqueue.alembic_version set version_num = '0000'")
    with pytest.raises(SchemaMismatch):
        enqueue(db, Job("charge"))
    db.execute("update pgqueue.alembic_version set version_num = %s", [SCHEMA_REVISION])
    assert enqueue(db, Job("charge")).created


def test_a_process_asks_once(db):
    """A migration goes on under running producers; and a query per enqueue would be wasted."""
    enqueue(db, Job("charge"))
    db.execute("update pgqueue.alembic_version set version_num = '9999'")
    assert enqueue(db, Job("charge")).created


def test_a_schema_dropped_later_is_missing_too(db):
    """Remembered as right, but gone."""
    enqueue(db, Job("charge"))
    db.execute("drop schema pgqueue cascade")
    with pytest.raises(SchemaMissing, match="run: pgqueue migrate"):
        enqueue(db, Job("charge"))


def test_two_databases_are_checked_each(dsn, bare_dsn):
    """What holds for one says nothing of the other."""
    with psycopg.connect(dsn) as right, psycopg.connect(bare_dsn) as wrong:
        enqueue(right, Job("charge"))
        with pytest.raises(SchemaMissing):
            enqueue(wrong, Job("charge"))
