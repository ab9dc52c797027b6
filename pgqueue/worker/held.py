"""Connections whose transaction belongs to the worker: a handler writes on them, and cannot end it.

psycopg's own, sync and async, but while one is held `commit`, `rollback` and `close` are refused. What goes past that
(`execute("commit")`, a procedure) is noticed by the server at the end: see sql/functions/finish_within.sql.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Generator
from typing import Any, Final, Self, TypeVar

import psycopg
from psycopg.rows import tuple_row

from pgqueue.errors import TransactionEnded
from pgqueue.worker.link import Link

T = TypeVar("T")

CANCEL_SECONDS: Final = 5.0
"""How long to try to stop what a severed connection runs in the server."""

BEGIN: Final = """set local pgqueue.handler = '{}';
set local tcp_keepalives_idle = 10; set local tcp_keepalives_interval = 5; set local tcp_keepalives_count = 3"""
"""First in the transaction: the mark that `finish_within` looks for, and how the server notices within half a minute
that this machine has vanished and lets go of what the handler had locked. Only `set`: a handler may still choose the
isolation level."""

RESET: Final = """close all; set session authorization default; reset all; unlisten *;
select pg_advisory_unlock_all(); discard temp; discard sequences"""
"""All of `discard all` but plans and prepared statements, which the next job can use."""


class _Held:
    """What both kinds have in common."""

    held = False
    """Whether a handler has it."""
    lent = False
    """Whether SQLAlchemy has it, which would close it."""
    used = False
    """Whether a handler ever had it."""
    link: Link
    """What the watch knows of it: each statement goes through `wait`, whoever sends it."""

    @property
    def pooled(self) -> bool:
        """Whether a pooler is in the way: then its session is not ours to reset."""
        return self.link.pooled

    def hold(self) -> None:
        """From now on a handler has it."""
        self.held = self.used = True

    def add_notice_handler(self, callback: Any) -> None:
        """SQLAlchemy adds one each time it has the connection, and never takes it away: only others' count."""
        if not self.lent:
            super().add_notice_handler(callback)  # type: ignore[misc]

    def _refuse(self, what: str) -> None:
        if self.held:
            raise TransactionEnded(
                f"a transactional handler called {what} on its connection; the worker commits it together with the "
                "job's outcome, or rolls it back: use `with connection.transaction()` to undo a part"
            )


class HeldConnection(_Held, psycopg.Connection[Any]):
    """For sync handlers."""

    @classmethod
    def opened(cls, link: Link) -> Self:
        """A new one. Raises `psycopg.OperationalError`."""
        connection = cls.connect(link.conninfo)
        try:
            connection.link = link
            link.opened(connection)
            link.met(*connection.execute(*link.who).fetchall()[0])
            connection.rollback()
        except BaseException:
            connection.close()
            raise
        return connection

    def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        """As psycopg's, under the watch."""
        with self.link.asking():
            return super().wait(gen, *args, **options)

    def commit(self) -> None:
        """Refused while a handler has it."""
        self._refuse("commit()")
        super().commit()

    def rollback(self) -> None:
        """Refused while a handler has it."""
        self._refuse("rollback()")
        super().rollback()

    def close(self) -> None:
        """Refused while a handler has it."""
        if not self.lent:
            self._refuse("close()")
            super().close()


class HeldAsyncConnection(_Held, psycopg.AsyncConnection[Any]):
    """For async handlers."""

    @classmethod
    async def opened(cls, link: Link) -> Self:
        """A new one. Raises `psycopg.OperationalError`."""
        connection = await cls.connect(link.conninfo)
        try:
            connection.link = link
            await link.meet(connection)
            await connection.rollback()
        except BaseException:
            await connection.close()
            raise
        return connection

    async def wait(self, gen: Generator[Any, Any, T], *args: Any, **options: Any) -> T:
        """As psycopg's, under the watch."""
        with self.link.asking():
            return await super().wait(gen, *args, **options)

    async def commit(self) -> None:
        """Refused while a handler has it."""
        self._refuse("commit()")
        await super().commit()

    async def rollback(self) -> None:
        """Refused while a handler has it."""
        self._refuse("rollback()")
        await super().rollback()

    async def close(self) -> None:
        """Refused while a handler has it."""
        if not self.lent:
            self._refuse("close()")
            await super().close()


Held = HeldConnection | HeldAsyncConnection


def is_stale(connection: Held) -> bool:
    """Whether an idle connection was closed from the other side: then there is something to read on it."""
    if connection.closed or connection.broken:
        return True
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))


def refresh(connection: Held) -> None:
    """Takes back what a handler changed on this side."""
    connection.row_factory = tuple_row
    connection.cursor_factory = psycopg.Cursor if isinstance(connection, HeldConnection) else psycopg.AsyncCursor


def sever(connection: HeldConnection) -> None:
    """Cuts a connection that a thread still uses, which nothing else can stop. Blocks for seconds: call it in a thread.

    The thread's statement, or its next one, fails; the server rolls back.
    """
    with contextlib.suppress(psycopg.Error):
        connection.cancel_safe(timeout=CANCEL_SECONDS)
    with contextlib.suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.pgconn.socket)) as line:
        line.shutdown(socket.SHUT_RDWR)
    with connection.lock:  # whatever it was doing has failed by now
        connection.held = connection.lent = False
        connection.close()
