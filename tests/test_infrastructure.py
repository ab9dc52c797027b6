"""The fixtures themselves: what the other tests take for granted."""

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.databases import Databases, with_database
from tests.install import expand


@pytest.mark.integration
def test_a_test_gets_pgqueues_schema(db):
    """Everything else stands on it."""
    assert db.execute("select to_regclass('pgqueue.job')::text").fetchone() == ("pgqueue.job",)


@pytest.mark.integration
def test_an_empty_database_has_no_schema(empty_dsn):
    """Tests of migrations start from nothing."""
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("select to_regnamespace('pgqueue')").fetchone() == (None,)


@pytest.mark.integration
def test_sessions_are_different_connections_to_the_same_database(db, sessions):
    """A race needs two of them, and both must see what the other commits."""
    first, second = sessions(2)
    first.execute("create table seen ()")

    assert second.execute("select to_regclass('seen')::text").fetchone() == ("seen",)
    assert len({connection.info.backend_pid for connection in (db, first, second)}) == 3


@pytest.mark.integration
async def test_the_async_connection_is_to_the_same_database(db, adb):
    """So a test may arrange with one and act with the other."""
    answer = await adb.execute("select current_database()")
    assert await answer.fetchone() == db.execute("select current_database()").fetchone()


@pytest.mark.integration
def test_a_dropped_database_takes_its_connections_along(databases: Databases, worker_name):
    """A test that forgets to close a connection must not keep its database."""
    name = databases.create(worker_name, schema=False)
    with psycopg.connect(with_database(databases.dsn, name), autocommit=True) as left_open:
        databases.drop(name)
        with pytest.raises(psycopg.OperationalError):
            left_open.execute("select 1")


@pytest.mark.integration
def test_a_broken_install_leaves_no_template(databases: Databases, worker_name, monkeypatch):
    """Or every later test would run on half a schema and fail for a reason that nobody finds."""
    broken = Databases(databases.dsn, f"{databases.prefix}_broken_{worker_name}")
    monkeypatch.setattr("tests.databases.install_schema", lambda dsn: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        broken.create(worker_name)
    monkeypatch.undo()

    with psycopg.connect(with_database(broken.dsn, broken.create(worker_name))) as connection:
        assert connection.execute("select to_regclass('pgqueue.job')::text").fetchone() == ("pgqueue.job",)
    broken.drop_all()
    broken.close()


@pytest.mark.parametrize(
    "dsn",
    [
        "host=/tmp/with,comma port=5433 user=me dbname=one",
        "postgresql://me:p%40ss@localhost:5433/one?application_name=tests",
        "postgresql:///one?host=/var/run/postgresql",
        "dbname=one",
    ],
)
def test_another_database_of_the_same_server(dsn):
    """Nothing but the database's name changes, whatever form the DSN has."""
    before, after = conninfo_to_dict(dsn), conninfo_to_dict(with_database(dsn, "two"))
    assert after == before | {"dbname": "two"}


def test_includes_are_expanded_where_they_stand(tmp_path: Path):
    """`\\ir` is relative to the file that says it."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "install.sql").write_text("\\set ON_ERROR_STOP on\nbegin;\nselect 1;\n\\ir parts/two.sql\ncommit;\n")
    (tmp_path / "parts" / "two.sql").write_text("begin;\nselect 2;\n")

    assert expand(tmp_path / "install.sql").split() == ["select", "1;", "begin;", "select", "2;"]
