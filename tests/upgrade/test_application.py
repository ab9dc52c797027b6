"""An application that has Alembic and transactions of its own is not disturbed."""

import asyncio
import textwrap
from concurrent.futures import ThreadPoolExecutor

import alembic.op
import psycopg
import pytest
import sqlalchemy
import sqlalchemy.exc
from alembic.config import Config
from psycopg.rows import dict_row
from sqlalchemy.ext.asyncio import create_async_engine

from alembic import command
from pgqueue import migrations
from pgqueue.calls import SCHEMA_REVISION

pytestmark = pytest.mark.integration

ENV_SYNC = """
from alembic import context
from sqlalchemy import NullPool, create_engine
from pgqueue.migrations import migrate

with create_engine(context.config.get_main_option("url"), poolclass=NullPool).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        {in_env}
        context.run_migrations()
"""

ENV_ASYNC = """
import asyncio
from alembic import context
from sqlalchemy import NullPool
from sqlalchemy.ext.asyncio import create_async_engine
from pgqueue.migrations import migrate

def upgrade(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        {in_env}
        context.run_migrations()

async def main():
    async with create_async_engine(context.config.get_main_option("url"), poolclass=NullPool).connect() as connection:
        await connection.run_sync(upgrade)

asyncio.run(main())
"""

REVISION = """
import sqlalchemy as sa
from alembic import op
from pgqueue.migrations import migrate

revision = "a1"
down_revision = None

def upgrade():
    op.create_table("invoice", sa.Column("id", sa.Integer, primary_key=True))
    {in_revision}
    op.add_column("invoice", sa.Column("amount", sa.Numeric))
    op.execute("insert into invoice (id, amount) values (1, 9.5)")
    {at_end}
"""


def url(dsn, driver):
    """For SQLAlchemy, with the driver named."""
    return sqlalchemy.make_url(dsn).set(drivername=f"postgresql+{driver}")


@pytest.fixture(params=["psycopg", "psycopg_async", "asyncpg"])
def application(request, tmp_path, empty_dsn):
    """Makes a little application with one revision; gives the Alembic configuration to run it."""
    driver = request.param

    def make(in_env="", in_revision="", at_end=""):
        (tmp_path / "versions").mkdir()
        env = ENV_SYNC if driver == "psycopg" else ENV_ASYNC
        (tmp_path / "env.py").write_text(textwrap.dedent(env).format(in_env=in_env))
        (tmp_path / "versions" / "a1.py").write_text(REVISION.format(in_revision=in_revision, at_end=at_end))
        config = Config()
        config.set_main_option("script_location", str(tmp_path))
        place = url(empty_dsn, driver).render_as_string(hide_password=False)
        config.set_main_option("url", place.replace("%", "%%"))
        return config

    return make


def revisions(connection):
    """Of the application and of pgqueue."""
    query = "select (select version_num from public.alembic_version), (select version_num from pgqueue.alembic_version)"
    return connection.execute(query).fetchone()


@pytest.mark.parametrize(
    "place",
    [
        {"in_env": "migrate(connection)"},
        {"in_revision": "migrate(op.get_bind())"},
        {"in_env": "migrate(connection)", "in_revision": "migrate(op.get_bind())"},
    ],
    ids=["in env.py", "in a revision", "in both"],
)
def test_one_upgrade_makes_both_schemas(application, empty_dsn, fresh, dump, place):
    """The application's `op` works before and after, and each keeps its own version table."""
    command.upgrade(application(**place), "head")

    with psycopg.connect(empty_dsn) as connection:
        assert revisions(connection) == ("a1", SCHEMA_REVISION)
        assert connection.execute("select amount::text from invoice").fetchone() == ("9.5",)
        connection.execute("drop table invoice, public.alembic_version")
    alone = fresh()
    migrations.migrate(alone)
    assert dump(empty_dsn) == dump(alone)


def test_a_revision_that_fails_takes_pgqueues_schema_along(application, empty_dsn):
    """It's the application's transaction: all or nothing."""
    config = application(in_revision="migrate(op.get_bind())", at_end="raise RuntimeError('the end')")
    with pytest.raises(RuntimeError, match="the end"):
        command.upgrade(config, "head")

    with psycopg.connect(empty_dsn) as connection:
        found = connection.execute("select to_regnamespace('pgqueue'), to_regclass('invoice')").fetchone()
    assert found == (None, None)


def test_alembics_proxies_are_not_touched(empty_dsn):
    """They are one per process; ours in their place would end the application's migration."""
    outer = object()
    alembic.op._proxy = outer
    try:
        migrations.migrate(empty_dsn)
        assert alembic.op._proxy is outer
    finally:
        alembic.op._proxy = None


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_psycopg_transaction_stays_the_callers(empty_dsn, end):
    """Neither committed nor rolled back here, whatever rows the connection makes."""
    with psycopg.connect(empty_dsn, row_factory=dict_row) as connection:
        migrations.migrate(connection)
        getattr(connection, end)()

    with psycopg.connect(empty_dsn) as connection:
        made = connection.execute("select to_regclass('pgqueue.job') is not null").fetchone()[0]
    assert made == (end == "commit")


def test_an_autocommit_connection_gets_a_transaction(empty_dsn, db):
    """Or a failure would leave half a schema, and the advisory lock would be over at once."""
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute("create schema pgqueue; create view pgqueue.workers as select 1 as other")
        with pytest.raises(psycopg.errors.InvalidTableDefinition):
            migrations.migrate(connection)
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert connection.execute("select to_regclass('pgqueue.job')").fetchone() == (None,)

        connection.execute("drop view pgqueue.workers")
        migrations.migrate(connection)
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert connection.execute("select to_regclass('pgqueue.job')::text").fetchone() == ("pgqueue.job",)


def test_the_lock_is_held_to_the_end_on_an_autocommit_connection(dsn, sessions):
    """A lock of one statement would let the next replica in while this one is at work."""
    reader, ours, watcher = sessions(3)
    locks = "select granted from pg_locks where pid = %s and locktype = %s and mode = %s"
    pid = ours.info.backend_pid
    with ThreadPoolExecutor() as pool:
        with reader.transaction():
            reader.execute("select from pgqueue.jobs")
            migrating = pool.submit(migrations.migrate, ours, lock_timeout=60)
            while (False,) not in watcher.execute(locks, [pid, "relation", "AccessExclusiveLock"]).fetchall():
                assert not migrating.done(), "it should wait for the view"
            held = watcher.execute(locks, [pid, "advisory", "ExclusiveLock"]).fetchall()
        migrating.result()

    assert held == [(True,)]


def test_an_error_does_not_recite_the_script(empty_dsn):
    """SQLAlchemy shows the statement that failed, and this one has a thousand lines."""
    engine = sqlalchemy.create_engine(url(empty_dsn, "psycopg"), poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("create schema pgqueue; create view pgqueue.workers as select 1 as other")
        with pytest.raises(sqlalchemy.exc.DBAPIError, match="cannot change name of view column") as raised:
            migrations.migrate(connection)
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("level", ["AUTOCOMMIT", "SERIALIZABLE"])
def test_a_sqlalchemy_connection_of_any_isolation(empty_dsn, level):
    """Autocommit gets a transaction, any other keeps its own."""
    engine = sqlalchemy.create_engine(url(empty_dsn, "psycopg"), isolation_level=level, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        migrations.migrate(connection)
        connection.rollback()
    with engine.connect() as connection:
        made = connection.scalar(sqlalchemy.text("select to_regclass('pgqueue.job') is not null"))
    assert made == (level == "AUTOCOMMIT")


def test_a_blocked_migration_says_so_on_any_driver(dsn, sessions):
    """The drivers wrap the server's error differently."""
    (reader,) = sessions(1)

    async def migrate_async():
        engine = create_async_engine(url(dsn, "asyncpg"), poolclass=sqlalchemy.NullPool)
        async with engine.connect() as connection:
            await connection.run_sync(lambda inner: migrations.migrate(inner, lock_timeout=0.02))

    def migrate_sync():
        engine = sqlalchemy.create_engine(url(dsn, "psycopg"), poolclass=sqlalchemy.NullPool)
        with engine.connect() as connection:
            migrations.migrate(connection, lock_timeout=0.02)

    with reader.transaction():
        reader.execute("select from pgqueue.jobs")
        for attempt in (migrate_sync, lambda: asyncio.run(migrate_async())):
            with pytest.raises(migrations.MigrationBlocked, match="run the migration again"):
                attempt()
