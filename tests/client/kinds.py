"""Every kind of connection that enqueue takes, behind one face.

    async with KINDS["sqlalchemy-session"](dsn) as caller:
        await caller.enqueue(job)        # awaited on async kinds, at once on sync ones
        await caller.rollback()

Each opens a connection of its own, in a transaction that nothing but `commit` or `rollback` ends.
"""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import psycopg
import sqlalchemy as sa
from psycopg.rows import dict_row, kwargs_row, namedtuple_row
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker
from sqlalchemy.pool import NullPool

from pgqueue import Enqueued, Job, enqueue, enqueue_many


@dataclass
class Caller:
    """An application with a connection of some kind.

    _execute:  runs SQL text on it, outside pgqueue. Any of the three may give an awaitable.
    """

    connection: Any
    _execute: Callable[[str], Any]
    _commit: Callable[[], Any]
    _rollback: Callable[[], Any]

    async def execute(self, query: str) -> None:
        await settled(self._execute(query))

    async def commit(self) -> None:
        await settled(self._commit())

    async def rollback(self) -> None:
        await settled(self._rollback())

    async def run(self, call: Callable[..., Any], *args: Any) -> Any:
        """`call` on the connection, awaited if there is something to await."""
        return await settled(call(self.connection, *args))

    async def enqueue(self, job: Job) -> Enqueued:
        return await self.run(enqueue, job)

    async def enqueue_many(self, jobs: Any) -> list[Enqueued]:
        return await self.run(enqueue_many, jobs)


async def settled(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


Opener = Callable[[str], AbstractAsyncContextManager[Caller]]
KINDS: dict[str, Opener] = {}


def kind(name: str) -> Callable[[Callable[[str], AsyncIterator[Caller]]], Opener]:
    def add(opener: Callable[[str], AsyncIterator[Caller]]) -> Opener:
        KINDS[name] = asynccontextmanager(opener)
        return KINDS[name]

    return add


def _psycopg(**options: Any) -> Callable[[str], AsyncIterator[Caller]]:
    async def opener(dsn: str) -> AsyncIterator[Caller]:
        with psycopg.connect(dsn, **options) as connection:
            yield Caller(connection, connection.execute, connection.commit, connection.rollback)

    return opener


kind("psycopg")(_psycopg())
kind("psycopg-dict-row")(_psycopg(row_factory=dict_row))
kind("psycopg-namedtuple-row")(_psycopg(row_factory=namedtuple_row))
kind("psycopg-kwargs-row")(_psycopg(row_factory=kwargs_row(dict)))
kind("psycopg-client-cursor")(_psycopg(cursor_factory=psycopg.ClientCursor))
kind("psycopg-raw-cursor")(_psycopg(cursor_factory=psycopg.RawCursor))
kind("psycopg-never-prepared")(_psycopg(prepare_threshold=None))


@kind("psycopg-pipeline")
async def _pipeline(dsn: str) -> AsyncIterator[Caller]:
    with psycopg.connect(dsn) as connection, connection.pipeline():
        yield Caller(connection, connection.execute, connection.commit, connection.rollback)


@kind("psycopg-transaction-block")
async def _block(dsn: str) -> AsyncIterator[Caller]:
    with psycopg.connect(dsn, autocommit=True) as connection, ExitStack() as left_open:
        left_open.enter_context(connection.transaction())
        yield Caller(
            connection,
            connection.execute,
            lambda: left_open.pop_all().close(),
            lambda: left_open.pop_all().__exit__(psycopg.Rollback, psycopg.Rollback(), None),
        )


@kind("psycopg-pool")
async def _pool(dsn: str) -> AsyncIterator[Caller]:
    with ConnectionPool(dsn, min_size=1, open=True) as pool, pool.connection() as connection:
        yield Caller(connection, connection.execute, connection.commit, connection.rollback)


@kind("psycopg-async")
async def _async(dsn: str) -> AsyncIterator[Caller]:
    async with await psycopg.AsyncConnection.connect(dsn, row_factory=dict_row) as connection:
        yield Caller(connection, connection.execute, connection.commit, connection.rollback)


@kind("psycopg-async-pipeline")
async def _async_pipeline(dsn: str) -> AsyncIterator[Caller]:
    async with await psycopg.AsyncConnection.connect(dsn) as connection, connection.pipeline():
        yield Caller(connection, connection.execute, connection.commit, connection.rollback)


@kind("psycopg-async-pool")
async def _async_pool(dsn: str) -> AsyncIterator[Caller]:
    async with AsyncConnectionPool(dsn, min_size=1, open=False) as pool, pool.connection() as connection:
        yield Caller(connection, connection.execute, connection.commit, connection.rollback)


@kind("asyncpg")
async def _asyncpg(dsn: str) -> AsyncIterator[Caller]:
    connection = await asyncpg.connect(dsn)
    try:
        yield await _started(connection)
    finally:
        await connection.close()


@kind("asyncpg-pool")
async def _asyncpg_pool(dsn: str) -> AsyncIterator[Caller]:
    async with asyncpg.create_pool(dsn, min_size=1) as pool, pool.acquire() as connection:
        yield await _started(connection)


async def _started(connection: Any) -> Caller:
    transaction = connection.transaction()
    await transaction.start()
    return Caller(connection, connection.execute, transaction.commit, transaction.rollback)


def engine_url(dsn: str, driver: str = "psycopg") -> str:
    return dsn.replace("postgresql://", f"postgresql+{driver}://", 1)


@kind("sqlalchemy-connection")
async def _sa_connection(dsn: str) -> AsyncIterator[Caller]:
    engine = sa.create_engine(engine_url(dsn), poolclass=NullPool)
    with engine.connect() as connection:
        yield Caller(connection, _texts(connection), connection.commit, connection.rollback)


@kind("sqlalchemy-session")
async def _sa_session(dsn: str) -> AsyncIterator[Caller]:
    with Session(sa.create_engine(engine_url(dsn), poolclass=NullPool)) as session:
        yield Caller(session, _texts(session), session.commit, session.rollback)


@kind("sqlalchemy-scoped-session")
async def _sa_scoped(dsn: str) -> AsyncIterator[Caller]:
    session = scoped_session(sessionmaker(sa.create_engine(engine_url(dsn), poolclass=NullPool)))
    yield Caller(session, _texts(session), session.commit, session.rollback)
    session.remove()


def _sqlalchemy_async(driver: str) -> None:
    @kind(f"sqlalchemy-async-connection-{driver}")
    async def _connection(dsn: str) -> AsyncIterator[Caller]:
        engine = create_async_engine(engine_url(dsn, driver), poolclass=NullPool)
        async with engine.connect() as connection:
            yield Caller(connection, _texts(connection), connection.commit, connection.rollback)

    @kind(f"sqlalchemy-async-session-{driver}")
    async def _session(dsn: str) -> AsyncIterator[Caller]:
        async with AsyncSession(create_async_engine(engine_url(dsn, driver), poolclass=NullPool)) as session:
            yield Caller(session, _texts(session), session.commit, session.rollback)

    @kind(f"sqlalchemy-async-scoped-session-{driver}")
    async def _scoped(dsn: str) -> AsyncIterator[Caller]:
        maker = async_sessionmaker(create_async_engine(engine_url(dsn, driver), poolclass=NullPool))
        session = async_scoped_session(maker, scopefunc=lambda: 1)
        yield Caller(session, _texts(session), session.commit, session.rollback)
        await session.remove()


_sqlalchemy_async("psycopg")
_sqlalchemy_async("asyncpg")


def _texts(connection: Any) -> Callable[[str], Any]:
    return lambda query: connection.execute(sa.text(query))
