"""Runs calls on whatever connection the caller holds, sync or async, and never commits, rolls back or closes it.

A piece of client code is a *script*: a generator that yields `Call`s and is sent their answers. `run` drives it on a
sync connection and gives its result; on an async connection it gives an awaitable of it. So every script is written
once, for all of:

    psycopg      Connection, AsyncConnection: any row and cursor factory, in a transaction, autocommit or pipeline
    SQLAlchemy   Connection, Session, scoped_session; AsyncConnection, AsyncSession, async_scoped_session
    asyncpg      Connection, also from a pool
"""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable, Generator, Hashable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Protocol, TypeAlias, TypeVar

import psycopg
from psycopg.rows import tuple_row

from pgqueue import calls
from pgqueue.calls import Call, Row
from pgqueue.errors import QueueError, SchemaMissing, SchemaOutdated, SchemaTooNew, UnsupportedConnection, from_sqlstate
from pgqueue.job import show

if TYPE_CHECKING:
    import sqlalchemy
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

T = TypeVar("T")
Script = Generator[Call[Any], Any, T]

SyncConnection: TypeAlias = "psycopg.Connection[Any] | sqlalchemy.Connection | Session | scoped_session[Any]"
"""What a call runs on at once."""


class AsyncpgConnection(Protocol):
    """What we use of an asyncpg Connection, for the type checker: an application need not have asyncpg."""

    def fetch(self, query: str, /, *args: Any) -> Awaitable[Sequence[Any]]: ...

    def get_server_pid(self) -> int: ...


AnAsyncConnection: TypeAlias = (
    "psycopg.AsyncConnection[Any] | AsyncConnection | AsyncSession | async_scoped_session[Any] | AsyncpgConnection"
)
"""What a call is awaited on."""

_MISSING = {"3F000", "42P01", "42883"}
"""SQLSTATEs for a schema, table or function that is not there."""

_speaks: set[Hashable] = set()
"""Databases whose schema was seen to be right. A process asks each once: a migration does not stop those that run."""


def run(connection: Any, script: Script[T]) -> T | Awaitable[T]:
    """Runs `script` on `connection`: its result on a sync connection, an awaitable of it on an async one.

    The first script on a database first checks that its schema is the one this code speaks.

    Raises what the script raises; the server's own refusals as `QueueError`s; `SchemaMismatch`;
    `UnsupportedConnection`.
    """
    mode, execute, place = _how(connection)
    whole = _checked(place, script)
    return _drive_async(execute, whole) if mode == "async" else _drive(execute, whole)


def translate(error: BaseException) -> QueueError | None:
    """The error of ours that a driver's error stands for, or None; an error that is ours already stands for none."""
    if isinstance(error, QueueError):
        return None
    cause: Any = error
    if "sqlalchemy" in sys.modules:
        from pgqueue import alchemy

        cause = alchemy.driver_error(error)
    inner: Any = getattr(cause, "__cause__", None)
    sqlstate = getattr(cause, "sqlstate", None) or getattr(inner, "sqlstate", None)
    if sqlstate in _MISSING and "pgqueue" in str(cause):
        return SchemaMissing(
            f"this database has no complete schema pgqueue ({_message(cause, inner)}); run: pgqueue migrate"
        )
    return from_sqlstate(sqlstate, _message(cause, inner), _hint(cause, inner))


def check_revision(found: str | None) -> None:
    """Refuses a schema revision other than this code's own."""
    expected = calls.SCHEMA_REVISION
    if found == expected:
        return
    if found is None:
        raise SchemaMissing("this database has no schema pgqueue; run: pgqueue migrate")
    if found < expected:
        raise SchemaOutdated(
            f"the schema pgqueue is at revision {found}, this code speaks {expected}; run: pgqueue migrate"
        )
    raise SchemaTooNew(
        f"the schema pgqueue is at revision {found}, newer than the {expected} this code speaks; upgrade pgqueue here: "
        "pip install --upgrade pgqueue-jobs"
    )


def _checked(place: Hashable, script: Script[T]) -> Script[T]:
    if place not in _speaks:
        check_revision((yield calls.schema_revision()))
        _speaks.add(place)
    return (yield from script)


def _drive(execute: Callable[[str, Any], Sequence[Row]], script: Script[T]) -> T:
    try:
        call = next(script)
        while True:
            call = script.send(call.read(execute(call.sql, call.params)))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    except Exception as error:
        _raise(error)


async def _drive_async(execute: Callable[[str, Any], Awaitable[Sequence[Row]]], script: Script[T]) -> T:
    try:
        call = next(script)
        while True:
            call = script.send(call.read(await execute(call.sql, call.params)))
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    except Exception as error:
        _raise(error)


def _raise(error: Exception) -> NoReturn:
    ours = translate(error)
    if ours is None:
        raise error
    raise ours from error


def _how(connection: Any) -> tuple[Literal["sync", "async"], Callable[[str, Any], Any], Hashable]:
    """Whether a connection is awaited, how it executes, and which database it leads to."""
    if isinstance(connection, psycopg.Connection):
        return "sync", lambda sql, params: _psycopg(connection, sql, params), _address(connection)
    if isinstance(connection, psycopg.AsyncConnection):
        return "async", lambda sql, params: _psycopg_async(connection, sql, params), _address(connection)
    if "sqlalchemy" in sys.modules:  # else nobody holds a connection of it, and it takes long to load
        from pgqueue import alchemy

        if found := alchemy.how(connection):
            return found
    if _is_asyncpg(connection):
        return "async", lambda sql, params: _asyncpg(connection, sql, params), ("asyncpg", connection.get_server_pid())
    # A string is not shown: it may be a DSN with a password.
    value = "a string" if isinstance(connection, str) else show(connection)
    raise UnsupportedConnection(
        f"{value}, a {type(connection).__module__}.{type(connection).__qualname__}, is no connection that jobs can be "
        "reached through; give an open psycopg Connection or AsyncConnection, a SQLAlchemy Connection, Session, "
        "AsyncConnection or AsyncSession, or an asyncpg Connection"
    )


def _psycopg(connection: psycopg.Connection[Any], sql: str, params: Any) -> list[Row]:
    # A plain cursor, whatever factories the connection has: theirs may want other placeholders or rows.
    with psycopg.Cursor(connection, row_factory=tuple_row) as cursor:
        return list(cursor.execute(sql.encode(), params).fetchall())


async def _psycopg_async(connection: psycopg.AsyncConnection[Any], sql: str, params: Any) -> list[Row]:
    async with psycopg.AsyncCursor(connection, row_factory=tuple_row) as cursor:
        await cursor.execute(sql.encode(), params)
        return list(await cursor.fetchall())


async def _asyncpg(connection: Any, sql: str, params: dict[str, Any]) -> list[Row]:
    numbered, names = _numbered(sql)
    return [tuple(row) for row in await connection.fetch(numbered, *(params[name] for name in names))]


def _is_asyncpg(connection: Any) -> bool:
    """Without importing asyncpg, which an application need not have. A pool fetches too, but is no connection."""
    return type(connection).__module__.startswith("asyncpg.") and hasattr(connection, "get_server_pid")


def _address(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> Hashable:
    info = connection.info
    return info.host, info.port, info.dbname


@lru_cache
def _numbered(sql: str) -> tuple[str, list[str]]:
    """The SQL with $1, $2 … and the parameters' names in that order."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        names.append(found.group(1))
        return f"${len(names)}"

    return re.sub(r"%\((\w+)\)s", number, sql), names


def _message(cause: Any, inner: Any) -> str:
    return str(_told("primary", cause, inner) or cause)


def _hint(cause: Any, inner: Any) -> str | None:
    return _told("hint", cause, inner)


def _told(what: str, cause: Any, inner: Any) -> str | None:
    """A field of the server's error: psycopg keeps it in `diag`, asyncpg on the error that SQLAlchemy wraps."""
    found = getattr(getattr(cause, "diag", None), f"message_{what}", None)
    name = "message" if what == "primary" else what
    return found or getattr(inner, name, None) or getattr(cause, name, None)
