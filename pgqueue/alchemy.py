"""How calls run on connections and sessions of SQLAlchemy.

Imported once somebody holds one of them and not before: SQLAlchemy takes longer to load than all else of pgqueue, and
neither a worker nor the command line needs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import Any, Literal

import sqlalchemy
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, scoped_session

from pgqueue.calls import Row
from pgqueue.errors import UnsupportedConnection


def how(connection: Any) -> tuple[Literal["sync", "async"], Callable[[str, Any], Any], Hashable] | None:
    """Whether it is awaited, how it executes, and which database it leads to; None if it is not SQLAlchemy's."""
    if isinstance(connection, scoped_session | async_scoped_session):
        connection = connection.registry()
    if isinstance(connection, sqlalchemy.Connection | Session):
        return "sync", lambda sql, params: connection.execute(_text(sql), params).all(), _url(connection)
    if isinstance(connection, AsyncConnection | AsyncSession):
        return "async", lambda sql, params: _execute_async(connection, sql, params), _url(_sync(connection))
    return None


def driver_error(error: BaseException) -> BaseException:
    """What the driver raised, if SQLAlchemy wrapped it; else the error itself."""
    return error.orig if isinstance(error, DBAPIError) and error.orig else error


async def _execute_async(connection: AsyncConnection | AsyncSession, sql: str, params: Any) -> Sequence[Row]:
    return (await connection.execute(_text(sql), params)).all()


def _sync(connection: AsyncConnection | AsyncSession) -> sqlalchemy.Connection | Session:
    """The sync object inside an async one."""
    if isinstance(connection, AsyncSession):
        return connection.sync_session
    if connection.sync_connection is None:
        raise UnsupportedConnection("this AsyncConnection is not started; use it inside `async with engine.connect()`")
    return connection.sync_connection


def _url(connection: sqlalchemy.Connection | Session) -> Hashable:
    """Where SQLAlchemy connects to."""
    bind = connection.get_bind() if isinstance(connection, Session) else connection
    if bind.dialect.name != "postgresql":
        raise UnsupportedConnection(
            f"this connection leads to a {bind.dialect.name} database; the queue is a schema in Postgres, so give a "
            "connection to that"
        )
    return bind.engine.url


@lru_cache
def _text(sql: str) -> sqlalchemy.TextClause:
    return sqlalchemy.text(re.sub(r"%\((\w+)\)s", r":\1", sql))
