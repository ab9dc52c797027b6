"""Connections that handlers write on: opened when one is needed, kept for the next, never more than so many.

Not psycopg's pool: that would be two, one for sync and one for async handlers, and twice the connections. Here both
kinds count as one, and an idle one of the one kind makes room for the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus

from pgqueue.calls import Call
from pgqueue.connections import Script, run
from pgqueue.worker.connection import Trouble, pauses
from pgqueue.worker.held import RESET, Held, HeldAsyncConnection, HeldConnection, is_stale, refresh, sever
from pgqueue.worker.link import Link
from pgqueue.worker.threads import Threads

TIDY_SECONDS: Final = 5.0
"""How long a connection may take to be made ready for the next job; after that another is opened instead."""


class Pool:
    """The connections of a worker's handlers. size: how many at most, of both kinds together."""

    def __init__(self, dsn: str, size: int, threads: Threads) -> None:
        self._dsn = dsn
        self._size = size
        self._threads = threads
        self._trouble = Trouble("handler")
        self._places = asyncio.Semaphore(size)
        self._idle: list[Held] = []
        """The one used last comes last."""
        self._open = 0
        self.links: set[Link] = set()
        """Those of the connections there are, for the watch."""
        self._closed = False

    @contextlib.asynccontextmanager
    async def lend(self, is_async: bool) -> AsyncIterator[Held]:
        """A connection for the time being, in no transaction; waits for a free one, and for a server that is away.

        is_async: of which kind. What is left on it is rolled back. One whose user is cancelled in a thread is cut, for
        nothing else ends what the thread does with it.
        """
        async with self._places:
            connection = await self._take(is_async)
            in_use = False
            try:
                yield connection
            except asyncio.CancelledError:
                in_use = not is_async
                raise
            finally:
                connection.held = connection.lent = False
                await self._put_back(connection, in_use)

    async def execute(self, call: Call[Any]) -> Any:
        """The answer of a call, in a transaction of its own. Raises `QueueError`, `psycopg.Error`."""
        async with self.lend(True) as connection:
            answer = await self.run(connection, call)
            await self.do(connection, connection.commit)
            return answer

    async def run(self, connection: Held, call: Call[Any]) -> Any:
        """The answer of a call on a connection that was lent, in the transaction it is in. Raises as `execute`."""
        return await self.do(connection, functools.partial(run, connection, _script(call)))

    async def do(self, connection: Held, *steps: Callable[[], Any]) -> Any:
        """Does what a connection that was lent can do, one step after another; gives what the last one gave."""
        answer = None
        if isinstance(connection, HeldAsyncConnection):
            for step in steps:
                answer = await step()
            return answer
        return await self._threads.call(lambda: [step() for step in steps][-1])

    def close(self) -> None:
        """Closes what is idle, and what is lent when it comes back."""
        self._closed = True
        while self._idle:
            self._discard(self._idle.pop())

    async def _take(self, is_async: bool) -> Held:
        wanted = HeldAsyncConnection if is_async else HeldConnection
        for connection in reversed(self._idle):
            if isinstance(connection, wanted):
                self._idle.remove(connection)
                if not is_stale(connection):
                    return connection
                self._discard(connection)
        if self._idle and self._open >= self._size:
            self._discard(self._idle.pop(0))
        self._open += 1
        link = Link("handler", self._dsn)
        self.links.add(link)
        try:
            return await self._until_connected(link, is_async)
        except BaseException:
            self._gone(link)
            raise

    async def _until_connected(self, link: Link, is_async: bool) -> Held:
        for pause in pauses():
            try:
                connection = await self._connect(link, is_async)
            except (psycopg.OperationalError, OSError) as error:
                self._trouble.begins(error)
                await asyncio.sleep(pause)
            else:
                self._trouble.ends()
                return connection
        raise AssertionError("pauses() never ends")

    async def _connect(self, link: Link, is_async: bool) -> Held:
        if is_async:
            return await HeldAsyncConnection.opened(link)
        opening = Opening(link)
        try:
            return await self._threads.call(opening.open)  # type: ignore[no-any-return]
        except asyncio.CancelledError:  # it comes all the same, and nobody waits for it
            opening.abandon()
            raise

    async def _put_back(self, connection: Held, in_use: bool) -> None:
        good = False
        try:
            good = not in_use and await self._tidy(connection)
        finally:  # also if whoever had it is cancelled now
            if good:
                self._idle.append(connection)
            else:
                self._cut(connection)

    async def _tidy(self, connection: Held) -> bool:
        """Whether it is as good as new: rolled back, without settings or locks that a handler left."""
        if self._closed or connection.closed or connection.broken:
            return False
        steps: list[Callable[[], Any]] = []
        if connection.pgconn.transaction_status != TransactionStatus.IDLE:
            steps.append(connection.rollback)
        if connection.used and not connection.pooled:
            steps.append(functools.partial(connection.set_autocommit, True))  # then it is one round trip
            steps.append(functools.partial(connection.execute, RESET))
            steps.append(functools.partial(connection.set_autocommit, False))
        try:
            async with asyncio.timeout(TIDY_SECONDS):
                refresh(connection)
                if steps:
                    await self.do(connection, *steps)
        except (psycopg.Error, OSError, TimeoutError):
            return False
        return not connection.broken

    def _discard(self, connection: Held) -> None:
        """Closes a connection that nobody uses."""
        self._gone(connection.link)
        connection.pgconn.finish()  # as close() does, which would have to be awaited for half of them

    def _cut(self, connection: Held) -> None:
        """Closes a connection that a thread may still use."""
        if isinstance(connection, HeldAsyncConnection):
            self._discard(connection)
        else:
            self._gone(connection.link)
            self._threads.call(functools.partial(sever, connection))

    def _gone(self, link: Link) -> None:
        self._open -= 1
        self.links.discard(link)


class Opening:
    """A sync connection on its way in a thread, for somebody who may stop waiting for it."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lock = threading.Lock()
        self._abandoned = False
        self._connection: HeldConnection | None = None

    def open(self) -> HeldConnection:
        """Connects; in a thread. Raises `psycopg.OperationalError`."""
        connection = HeldConnection.opened(self._link)
        with self._lock:
            self._connection = connection
            if self._abandoned:
                connection.close()
        return connection

    def abandon(self) -> None:
        """Closes the connection now, or when it comes."""
        with self._lock:
            self._abandoned = True
            if self._connection is not None:
                self._connection.close()


def _script(call: Call[Any]) -> Script[Any]:
    return (yield call)
