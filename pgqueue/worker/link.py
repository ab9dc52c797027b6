"""One of a worker's connections, from one server session to the next, as the watch and its owner know it."""

from __future__ import annotations

import contextlib
import math
import select
import socket
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from pgqueue.calls import Call
from pgqueue.worker.connection import WHO, Trouble, conninfo, execute


class Session(NamedTuple):
    """A server session. started: process ids are used again."""

    pid: int
    started: datetime


class Link:
    """role: lane, bell, steward, handler. dsn: as the worker was given it.

    Its owner opens and closes the connection, in the event loop or in a thread; the watch only looks, and may hang up.
    """

    def __init__(self, role: str, dsn: str) -> None:
        self.role = role
        self.dsn = dsn
        self.conninfo = conninfo(dsn, role)
        self.trouble = Trouble(role)
        self.of_handlers = role == "handler"
        """Whether its statements are not ours, and may take any time."""
        self.connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any] | None = None
        self.pooled = False
        """Whether a pooler is in the way: nobody knows which server session does the work."""
        self.hung_up = False
        """Whether we ended the connection."""
        self.session: Session | None = None
        self.lost: list[Session] = []
        """Sessions before this one that may not be over."""
        self.asked_at = math.inf
        """When the statement under way was sent, by `time.monotonic`; infinite while there is none."""

    def opened(self, connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
        """A new connection. Nothing was asked on it yet."""
        if self.session is not None:
            self.lost.append(self.session)
        self.connection, self.session, self.pooled, self.hung_up = connection, None, False, False

    @property
    def who(self) -> tuple[str, dict[str, int | bool]]:
        """The first question on a new connection, and its parameters; see `WHO`."""
        assert self.connection is not None
        return WHO, {"pid": self.connection.info.backend_pid, "reads": self.role == "steward"}

    def met(self, pid: int, started: datetime, _: object = None) -> bool:
        """Who answers on a new connection: the answer to `who`; returns whether a pooler is in the way.

        A pooler gives out process ids of its own. Through one in transaction mode each transaction may meet another
        server session, so that prepared statements, LISTEN and session locks do not hold.
        """
        assert self.connection is not None
        self.pooled = pid != self.connection.info.backend_pid
        if self.pooled:
            self.connection.prepare_threshold = None
        else:
            self.session = Session(pid, started)
        return self.pooled

    async def meet(self, connection: psycopg.AsyncConnection[Any]) -> bool:
        """`opened` and `met`, on an async connection."""
        self.opened(connection)
        with self.asking():
            cursor = await connection.execute(*self.who)
            return self.met(*(await cursor.fetchall())[0])

    async def execute(self, call: Call[Any]) -> Any:
        """The answer of a call, on an async connection. Raises `QueueError`, `psycopg.Error`."""
        assert isinstance(self.connection, psycopg.AsyncConnection)
        with self.asking():
            return await execute(self.connection, call)

    async def close(self) -> None:
        """Closes an async connection."""
        if self.connection is not None:
            assert isinstance(self.connection, psycopg.AsyncConnection)
            await self.connection.close()

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Around each statement."""
        self.asked_at = time.monotonic()
        try:
            yield
        finally:
            self.asked_at = math.inf

    def waits_for(self) -> float:
        """Seconds since the statement under way was sent; negative while there is none."""
        return time.monotonic() - self.asked_at

    def has_answer(self) -> bool:
        """Whether something was received that nobody has read yet."""
        with contextlib.suppress(psycopg.Error, OSError, ValueError):
            assert self.connection is not None
            poll = select.poll()
            poll.register(self.connection.fileno(), select.POLLIN)
            return bool(poll.poll(0))
        return False

    def hang_up(self) -> None:
        """Ends the connection as if the server had closed it: whoever waits for an answer gets an error now.

        Not by cancelling: that asks the server first, and waits for it. Any thread may call it.
        """
        self.hung_up = True
        with contextlib.suppress(psycopg.Error, OSError, ValueError):
            assert self.connection is not None
            with socket.socket(fileno=socket.dup(self.connection.fileno())) as plug:
                plug.shutdown(socket.SHUT_RDWR)
