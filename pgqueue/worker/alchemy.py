"""SQLAlchemy on a connection that a transactional handler was lent: the same transaction, in other clothes.

An engine is made once for each kind, since it first asks the server a few things. It opens no connections: it is given
the one of the pool that the handler has. SQLAlchemy is imported where it is used: a handler that asks for it has loaded
it, and a worker without one starts in half the time.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from contextvars import ContextVar
from typing import Any, Final

from pgqueue.worker.held import Held, HeldAsyncConnection
from pgqueue.worker.pool import Pool

_lent: ContextVar[Any] = ContextVar("lent")
_URL: Final = "postgresql+psycopg://"


class Alchemy:
    """What transactional handlers are handed in beside psycopg's own connection."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._engines: dict[bool, Callable[[], Any]] = {}

    @contextlib.asynccontextmanager
    async def dressed(self, connection: Held, wanted: Mapping[str, str]) -> AsyncIterator[Dressed]:
        """What a handler wants, by the names of its parameters. To be begun and finished with the transaction.

        wanted: as `pgqueue.handed` names the types. Enter before the transaction begins, leave when it is over.
        """
        if all(kind.startswith("psycopg.") for kind in wanted.values()):
            yield Dressed(self._pool, connection, wanted, None)
            return
        is_async = isinstance(connection, HeldAsyncConnection)
        connection.lent = True
        _lent.set(connection)
        core = await self._pool.do(connection, self._engine(is_async))
        try:
            yield Dressed(self._pool, connection, wanted, core)
        except asyncio.CancelledError:
            if is_async:
                connection.held = False
                await self._pool.do(connection, core.close)
            raise  # a thread may still be at it: its connection is cut
        except BaseException:
            connection.held = False
            await self._pool.do(connection, core.close)
            raise
        else:
            await self._pool.do(connection, core.close)

    def _engine(self, is_async: bool) -> Callable[[], Any]:
        """What gives a SQLAlchemy connection for the one that is lent."""
        if is_async not in self._engines:
            import sqlalchemy
            from sqlalchemy.ext.asyncio import create_async_engine
            from sqlalchemy.pool import NullPool

            options: dict[str, Any] = {"poolclass": NullPool, "use_native_hstore": False}
            if is_async:
                self._engines[True] = create_async_engine(_URL, async_creator=_give, **options).connect
            else:
                self._engines[False] = sqlalchemy.create_engine(_URL, creator=_lent.get, **options).connect
        return self._engines[is_async]


class Dressed:
    """A connection, and what of SQLAlchemy's is in its transaction."""

    def __init__(self, pool: Pool, connection: Held, wanted: Mapping[str, str], core: Any) -> None:
        self._pool = pool
        self._connection = connection
        self._wanted = wanted
        self._core = core
        self._sessions: list[Any] = []

    async def begin(self) -> dict[str, Any]:
        """What to hand in, after the transaction has begun."""
        if self._core is not None:
            await self._pool.do(self._connection, self._core.begin)
        return {name: self._made(kind) for name, kind in self._wanted.items()}

    async def finish(self) -> None:
        """Writes what sessions still keep for themselves, before the transaction is committed."""
        for session in self._sessions:
            await self._pool.do(self._connection, session.commit, session.close)

    def _made(self, kind: str) -> Any:
        if kind.startswith("psycopg."):
            return self._connection
        if not kind.endswith("Session"):
            return self._core
        from sqlalchemy.ext.asyncio import AsyncSession
        from sqlalchemy.orm import Session

        # A session's commit and rollback end a savepoint: the transaction is not its own.
        session = AsyncSession if kind == "sqlalchemy.AsyncSession" else Session
        self._sessions.append(session(self._core, join_transaction_mode="create_savepoint"))
        return self._sessions[-1]


async def _give() -> Any:
    return _lent.get()
