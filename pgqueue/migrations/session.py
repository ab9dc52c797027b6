"""Running a script of many statements, without parameters, on each kind of connection."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Protocol

import psycopg
import sqlalchemy
from psycopg.rows import tuple_row
from sqlalchemy.exc import DBAPIError

from pgqueue.errors import UnsupportedConnection

if TYPE_CHECKING:
    from collections.abc import Iterator


class Session(Protocol):
    """A connection, as far as migrations need it."""

    def run(self, script: str) -> None:
        """Run any number of statements. Nothing in them is a parameter: `%` and `:` stay what they are."""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of one query."""


class PsycopgSession:
    """On a psycopg connection, whatever its row factory."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def run(self, script: str) -> None:
        with psycopg.Cursor(self._connection, row_factory=tuple_row) as cursor:
            cursor.execute(script)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.Cursor(self._connection, row_factory=tuple_row) as cursor:
            return cursor.execute(query).fetchall()


class SqlalchemySession:
    """On a SQLAlchemy connection, whatever its driver."""

    def __init__(self, connection: sqlalchemy.Connection) -> None:
        self._connection = connection

    def run(self, script: str) -> None:
        if self._connection.dialect.driver == "asyncpg":  # prepares what it runs, and that takes one statement only
            adapted: Any = self._connection.connection.dbapi_connection
            adapted.run_async(lambda driver: driver.execute(script))
            return
        try:
            self._connection.exec_driver_sql(script, execution_options={"no_parameters": True})
        except DBAPIError as error:
            error.statement = "-- a script of pgqueue.migrations"  # or its message would be the whole script
            raise

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        result = self._connection.exec_driver_sql(query, execution_options={"no_parameters": True})
        return [tuple(row) for row in result]


def over(connection: object) -> Session:
    """The session over a connection. Raises `UnsupportedConnection`."""
    if isinstance(connection, psycopg.Connection):
        return PsycopgSession(connection)
    if isinstance(connection, sqlalchemy.Connection):
        return SqlalchemySession(connection)
    raise UnsupportedConnection(
        f"cannot migrate on {type(connection).__module__}.{type(connection).__qualname__}; give a DSN, a psycopg "
        "Connection or a SQLAlchemy Connection (of an async one: await connection.run_sync(migrate); in Alembic's "
        "offline mode there is none: print the script with pgqueue migrate --sql)"
    )


@contextlib.contextmanager
def transaction(session: Session) -> Iterator[None]:
    """The caller's transaction, which stays the caller's to end; or our own, if the connection commits by itself.

    Our own is read committed whatever the default: after waiting for our turn we must see what the others did.
    """
    if _in_transaction(session):
        yield
        return
    session.run("begin isolation level read committed")
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):  # the connection may be gone: what broke it is the error to show
            session.run("rollback")
        raise
    session.run("commit")


def _in_transaction(session: Session) -> bool:
    # Drivers and pools hide it in different places; the server knows. Outside of one, each query is its own.
    first, second = (session.rows("select pg_current_xact_id()::text") for _ in range(2))
    return first == second
