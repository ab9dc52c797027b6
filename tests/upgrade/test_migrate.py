"""Running the migration: again, together, against locks, against what it doesn't know."""

import os
import subprocess
import sys
from subprocess import PIPE

import psycopg
import pytest

from pgqueue import client, connections, migrations
from pgqueue.calls import SCHEMA_REVISION
from pgqueue.errors import (
    ConfigurationError,
    SchemaMismatch,
    SchemaMissing,
    SchemaOutdated,
    SchemaTooNew,
    UnsupportedConnection,
)
from pgqueue.job import Job
from tests.sql.verbs import LOCKS
from tests.upgrade.conftest import ROOT

pytestmark = pytest.mark.integration

TABLES = """
select c.oid, c.xmin::text, c.relfilenode, c.relname from pg_class c
where c.relnamespace = 'pgqueue'::regnamespace and c.relkind in ('r', 'p', 'i', 'I', 'S') order by c.oid
"""


REPLICA = """
import sys
from pgqueue.migrations import migrate
print("ready", flush=True)
sys.stdin.readline()
print(migrate(sys.argv[1]).before)
"""


TEN_REPLICAS = """
import os, sys
from pgqueue.migrations import migrate
gate, opener = os.pipe()
replicas = []
for _ in range(10):
    replica = os.fork()
    if not replica:
        os.close(opener)
        os.read(gate, 1)  # ends when nobody has the opener any more
        os.write(1, f"{migrate(sys.argv[1]).before}\\n".encode())
        os._exit(0)
    replicas.append(replica)
os.close(opener)
sys.exit(any([os.waitpid(replica, 0)[1] for replica in replicas]))
"""
"""Processes that have done their imports, all of them, before the first may migrate."""


def start_replica(dsn):
    """A process that says "ready", waits for a line, migrates, and says from which revision."""
    return subprocess.Popen(
        [sys.executable, "-c", REPLICA, dsn],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_again_changes_nothing(empty_dsn, dump, caplog):
    """Each deployment runs it: no table is touched, not even its entry in the catalog. Nor does the log say so."""
    caplog.set_level("INFO", "pgqueue")
    assert migrations.migrate(empty_dsn) == migrations.Migrated(before=None, after=SCHEMA_REVISION)
    with psycopg.connect(empty_dsn) as connection:
        tables, before = connection.execute(TABLES).fetchall(), dump(empty_dsn)

    assert migrations.migrate(empty_dsn) == migrations.Migrated(before=SCHEMA_REVISION, after=SCHEMA_REVISION)

    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute(TABLES).fetchall() == tables
    assert dump(empty_dsn) == before
    assert caplog.messages == [f"schema pgqueue: nothing → {SCHEMA_REVISION}"]


def test_jobs_survive(db, dsn):
    """It never drops what users put in."""
    waiting = client.enqueue(db, Job("later", {"n": 1}))
    cancelled = client.enqueue(db, Job("never", {"n": 2}))
    client.cancel(db, cancelled.id, "by mistake")
    before = db.execute("select * from pgqueue.jobs order by id").fetchall()

    migrations.migrate(dsn)

    assert db.execute("select * from pgqueue.jobs order by id").fetchall() == before
    assert [row[0] for row in before] == [waiting.id, cancelled.id]


def test_ten_replicas_start_together(empty_dsn, fresh, dump):
    """None fails, one makes the schema, the others find it made."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    replicas = subprocess.run([sys.executable, "-c", TEN_REPLICAS, empty_dsn], env=environment, stdout=PIPE, text=True)
    answers = replicas.stdout.split()

    assert replicas.returncode == 0
    assert sorted(answers) == [SCHEMA_REVISION] * 9 + ["None"]
    alone = fresh()
    migrations.migrate(alone)
    assert dump(empty_dsn) == dump(alone)


def test_it_sees_what_others_did_while_it_waited(empty_dsn):
    """A server whose default is repeatable read would show the state of before the wait."""
    isolation = "default_transaction_isolation = serializable"
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute(f'alter database "{connection.info.dbname}" set {isolation}')
    waiting = f"select from {LOCKS} where l.locktype = 'advisory' and l.classid = 1885827334 and not l.granted"
    with psycopg.connect(empty_dsn) as first, psycopg.connect(empty_dsn, autocommit=True) as watcher:
        migrations.migrate(first)
        second = start_replica(empty_dsn)
        second.stdin.write("go\n")
        second.stdin.flush()
        while watcher.execute(waiting).fetchone() is None:
            assert second.poll() is None, "it should wait for its turn"
        first.commit()
        answer = second.communicate()[0]
    assert (second.returncode, answer) == (0, f"ready\n{SCHEMA_REVISION}\n")


def test_a_locked_view_is_not_waited_for_long(db, dsn, sessions, dump):
    """Everybody who comes later queues behind a waiting migration, so it gives up soon and says who stands there."""
    (reader,) = sessions(1)
    before = dump(dsn)
    with reader.transaction():
        reader.execute("select from pgqueue.jobs")
        with pytest.raises(migrations.MigrationBlocked) as refused:
            migrations.migrate(dsn, lock_timeout=0.05)

    assert f"pid {reader.info.backend_pid} (" in str(refused.value)
    assert "idle in transaction" in str(refused.value)
    assert "pg_terminate_backend" in str(refused.value)
    assert dump(dsn) == before


def test_it_waits_longer_for_another_migration_than_for_a_lock(db, dsn):
    """The lock_timeout of the role is meant for tables; nine of ten replicas would fail with it."""
    with psycopg.connect(dsn, options="-c lock_timeout=77ms") as connection:
        migrations.migrate(connection)

        assert connection.execute("show lock_timeout").fetchone() == ("77ms",)
        assert connection.execute("show check_function_bodies").fetchone() == ("on",)


def test_a_newer_schema_is_refused(db, dsn, dump):
    """An old replica that starts late must not put back yesterday's functions."""
    db.execute("update pgqueue.alembic_version set version_num = '9999'")
    db.execute("drop view pgqueue.workers")
    before = dump(dsn)

    with pytest.raises(SchemaTooNew, match=r"9999.*Upgrade pgqueue here"):
        migrations.migrate(dsn)

    assert dump(dsn) == before


@pytest.mark.parametrize(
    ("change", "error", "advice"),
    [
        ("drop schema pgqueue cascade", SchemaMissing, "run: pgqueue migrate"),
        ("delete from pgqueue.alembic_version", SchemaMissing, "run: pgqueue migrate"),
        ("update pgqueue.alembic_version set version_num = '0000'", SchemaOutdated, "run: pgqueue migrate"),
        ("update pgqueue.alembic_version set version_num = '9999'", SchemaTooNew, "upgrade pgqueue here"),
    ],
)
def test_clients_refuse_another_schema(db, monkeypatch, change, error, advice):
    """Better than an error about a missing column, an hour later."""
    monkeypatch.setattr(connections, "_speaks", set())
    db.execute(change)

    with pytest.raises(error, match=advice):
        client.enqueue(db, Job("any"))


def test_a_foreign_schema_is_left_alone(empty_dsn, dump):
    """Somebody else may have had the same name for it."""
    with psycopg.connect(empty_dsn) as connection:
        connection.execute("create schema pgqueue; create table pgqueue.job (theirs text)")
        connection.execute("create function pgqueue.theirs() returns int language sql as 'select 1'")
    before = dump(empty_dsn)

    with pytest.raises(SchemaMismatch, match="without a revision"):
        migrations.migrate(empty_dsn)

    assert dump(empty_dsn) == before


def test_a_schema_made_beforehand_is_used(empty_dsn):
    """Where only an administrator may create schemas."""
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        connection.execute("create schema pgqueue")
        role = f"migrator_{connection.info.dbname}"
        connection.execute(f'create role "{role}"')
        try:
            connection.execute(f'alter schema pgqueue owner to "{role}"')
            with connection.transaction():
                connection.execute(f'set local role "{role}"')
                migrations.migrate(connection)
                migrations.migrate(connection)
            assert connection.execute("select version_num from pgqueue.alembic_version").fetchone() == (
                SCHEMA_REVISION,
            )
        finally:
            connection.execute(f'drop owned by "{role}" cascade')
            connection.execute(f'drop role "{role}"')


def test_an_unknown_start_is_refused():
    """With the ones there are."""
    with pytest.raises(ConfigurationError, match=r"no revision '0815'; use one of 0001"):
        migrations.script("0815")


@pytest.mark.parametrize("nothing", [None, object(), 5])
def test_what_is_no_connection_is_refused(nothing):
    """With what it may be."""
    with pytest.raises(UnsupportedConnection, match="give a DSN, a psycopg Connection or a SQLAlchemy Connection"):
        migrations.migrate(nothing)
