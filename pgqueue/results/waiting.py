"""One connection that is told of finished jobs, on behalf of all who wait.

    park → look → (look again until settled) → sleep until rung → look at those it was rung for → …

The protocol of sql/functions/wake.sql, under the name '@results' that no queue can have: while somebody waits, whatever
ends a job notifies; while nobody does, it only looks at a bit. Whoever comes while others wait is looked at once:
who ends its job after that has seen that somebody waits. A slow look at all of them stays as belt and braces.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any, Final

import psycopg

from pgqueue import calls
from pgqueue.calls import results
from pgqueue.calls.results import EndedJob
from pgqueue.connections import check_revision
from pgqueue.errors import QueueError
from pgqueue.lasting import Trouble, behind_pooler, conninfo, execute, pauses

PLACE: Final = "@results"
"""Where to park."""
FIRST_PAUSE: Final = 0.001
SETTLE_GROWTH: Final = 1.5
LONGEST_SETTLE: Final = 0.5
"""While whoever ends a job and may not have seen us has not committed: seconds between looks at all jobs, at first; by
how much they grow; and at most. So a result that took a while to be committed is seen at most half as long after."""
CHUNK: Final = 200
"""Jobs to look at in one round trip: their results may have a megabyte each."""
DEAF: Final = (0.02, 2.0)
"""Seconds between looks at one job while nobody can ring: a fourth of the time it was waited for, within these."""

log = logging.getLogger("pgqueue.results")


class Waiting:
    """Who waits for which job. Touched by one event loop only.

    dsn:   leads to the server directly; through a pooler nobody can ring, and it polls.
    poll:  seconds between looks that nobody asked for.
    """

    def __init__(self, dsn: str, poll: float) -> None:
        self._dsn = conninfo(dsn, "results")
        self._poll = poll
        self._trouble = Trouble("results", log)
        self._waiting: dict[int, set[asyncio.Future[EndedJob]]] = {}
        self._due: set[int] = set()
        """Jobs to look at."""
        self._stir = asyncio.Event()
        """Set when the connection has something to read, and when who waits has changed."""
        self._failure: QueueError | psycopg.Error | None = None

    async def ended(self, id: int) -> EndedJob:
        """Waits until the job has ended, or is found not to exist. Raises why it cannot be known."""
        if self._failure is not None:
            raise self._failure
        future: asyncio.Future[EndedJob] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(id, set()).add(future)
        self._due.add(id)
        self._stir.set()
        try:
            return await future
        finally:
            self._forget(id, future)

    async def serve(self) -> None:
        """Keeps the connection, for ever, and tells who waits."""
        pause = pauses()
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._dsn, autocommit=True) as connection:
                    deaf = await behind_pooler(connection)
                    check_revision(await execute(connection, calls.schema_revision()))
                    self._trouble.ends()
                    pause = pauses()
                    await (self._look_around(connection) if deaf else self._listen(connection))
            except (QueueError, psycopg.ProgrammingError) as error:  # no schema, no right: waiting would not mend it
                self.fail(error)
                return
            except (psycopg.Error, OSError) as error:
                self._trouble.begins(error)
                await asyncio.sleep(next(pause))

    def fail(self, error: QueueError | psycopg.Error) -> None:
        """Raises the error for whoever waits, now and later."""
        self._failure = error
        for futures in self._waiting.values():
            for future in futures:
                if not future.done():
                    future.set_exception(error)

    async def _listen(self, connection: psycopg.AsyncConnection[Any]) -> None:
        connection.add_notify_handler(lambda notify: self._heard(notify.payload))
        await connection.execute("listen pgqueue_results")
        while True:
            while not self._waiting:
                await self._stirred(connection, None)
            await self._park(connection)
            while self._waiting:
                await self._look(connection)
                await self._stirred(connection, self._poll)
            await execute(connection, calls.unpark(PLACE))

    async def _park(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Returns when everybody who ends a job knows that somebody waits, or nobody waits any more."""
        settled = await execute(connection, calls.park(PLACE))
        await self._look(connection, self._waiting)
        pause = FIRST_PAUSE
        while self._waiting and not settled:
            # A job may have been ended by who looked before we parked and has not committed. It will not ring;
            # others do.
            until = time.monotonic() + pause
            while self._waiting and (left := until - time.monotonic()) > 0:
                await self._look(connection)
                await self._stirred(connection, left)
            pause = min(LONGEST_SETTLE, pause * SETTLE_GROWTH)
            settled = await execute(connection, calls.settled(PLACE))
            await self._look(connection, self._waiting)

    async def _look_around(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Looks at each job less and less often: behind a pooler nobody can ring."""
        log.warning("a connection pooler is in the way: nobody can ring, so results are polled; give a direct DSN")
        first, longest = DEAF
        looks: dict[int, tuple[float, float]] = {}
        while True:
            now = time.monotonic()
            looks = {id: looks.get(id, (now, now)) for id in self._waiting}
            due = [id for id, (_, at) in looks.items() if at <= now]
            await self._look(connection, due)
            for id in due:
                since = looks[id][0]
                looks[id] = since, now + min(longest, max(first, (now - since) / 4))
            next_at = min((at for _, at in looks.values()), default=None)
            await self._stirs(None if next_at is None else max(0.0, next_at - time.monotonic()))

    async def _look(self, connection: psycopg.AsyncConnection[Any], ids: Iterable[int] | None = None) -> None:
        """Tells who waits for those of the jobs that have ended. ids: unless those that are due."""
        wanted = [id for id in (self._due if ids is None else ids) if id in self._waiting]
        self._due.clear()
        for chunk in _chunks(wanted):
            for job in await execute(connection, results.outcomes(chunk)):
                for future in self._waiting.pop(job.id, ()):
                    if not future.done():
                        future.set_result(job)

    async def _stirred(self, connection: psycopg.AsyncConnection[Any], seconds: float | None) -> None:
        """Waits until there is a job to look at or who waits has changed. After `seconds` all are to be looked at."""
        self._read(connection)
        self._due &= self._waiting.keys()  # one that nobody waits for any more is never looked at, so it would stay
        if self._due:
            return
        # Not connection.notifies(): it holds the connection's lock while it waits, so nothing else could be asked.
        loop, descriptor = asyncio.get_running_loop(), connection.fileno()
        loop.add_reader(descriptor, self._stir.set)
        try:
            if not await self._stirs(seconds):
                self._due.update(self._waiting)
        finally:
            loop.remove_reader(descriptor)
        self._read(connection)

    async def _stirs(self, seconds: float | None) -> bool:
        """Whether something stirred within that time."""
        try:
            async with asyncio.timeout(seconds):
                await self._stir.wait()
        except TimeoutError:
            return False
        self._stir.clear()
        return True

    def _read(self, connection: psycopg.AsyncConnection[Any]) -> None:
        connection.pgconn.consume_input()
        while (notify := connection.pgconn.notifies()) is not None:
            self._heard(notify.extra.decode())

    def _heard(self, payload: str) -> None:
        """payload: 'id,id,…', or '*' for any."""
        if payload == "*":
            self._due.update(self._waiting)
        else:
            self._due.update(self._waiting.keys() & {int(id) for id in payload.split(",") if id.isdecimal()})

    def _forget(self, id: int, future: asyncio.Future[EndedJob]) -> None:
        futures = self._waiting.get(id, set())
        futures.discard(future)
        if not futures:
            self._waiting.pop(id, None)
            if not self._waiting:
                self._stir.set()


def _chunks(ids: list[int]) -> Iterator[list[int]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))
