"""Sleeping and waking without polling: LISTEN, the parked protocol (sql/functions/wake.sql), timers.

Per queue, once a sweep found nothing: look again after 1, 2 and 4 ms, so that a busy queue is polled; then park, look
once more, and sleep until somebody rings, the next job is due, or the fallback poll comes round. So an idle queue
costs next to nothing and producers ring only when somebody sleeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from pgqueue import calls
from pgqueue.calls import Call
from pgqueue.worker.connection import PING_AFTER, pauses
from pgqueue.worker.desk import Desk
from pgqueue.worker.link import Link
from pgqueue.worker.logs import fields, log
from pgqueue.worker.station import Station

POLLS: Final = (0.001, 0.002, 0.004)
"""Seconds before each look at a queue that just went dry."""
SETTLE_GROWTH: Final = 1.5
LONGEST_SETTLE: Final = 0.5
"""While a producer that may not have seen us is still in its transaction: by how much the pause between looks grows,
and seconds at most. So a job whose producer took a while to commit starts at most half as long after it did."""
DEAF: Final = 0.5
"""Seconds between looks at a queue while nobody can ring."""


@dataclass(slots=True)
class Sleeper:
    """What one queue has heard since it parked."""

    event: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by any ring, for a job that may start now or one dated ahead."""
    rung: bool = False
    """Whether a job may start now."""

    def wake(self) -> None:
        self.rung = True
        self.event.set()

    def forget(self) -> None:
        """To be called before a look: that finds what rang so far."""
        self.rung = False
        self.event.clear()


class Bell:
    """The one connection that listens and parks for all queues of a worker. It must lead to the server directly.

    on_cancel: told of a job that somebody cancelled while it runs: id, claims and reason.
    """

    def __init__(self, dsn: str, desk: Desk, poll: float, on_cancel: Callable[[int, int, str | None], None]) -> None:
        self.link = Link("bell", dsn)
        self._desk = desk
        self._poll = poll
        self._on_cancel = on_cancel
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._asked: deque[tuple[Call[Any], asyncio.Future[Any] | None]] = deque()
        self._stir = asyncio.Event()
        """Set when the connection has something to read or somebody asks something of it."""
        self._sleepers = {queue: Sleeper() for queue in desk.stations}

    async def listen(self) -> None:
        """Keeps the connection, for ever: runs what the queues ask of it and passes on who rang."""
        pause = pauses()
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(self.link.conninfo, autocommit=True)
                self._connection = connection  # before anything may end this: `close` must find it
                if await self.link.meet(connection):
                    self.link.trouble.ends()
                    await self._stay_deaf()
                self.link.lost = [  # producers would ring for it
                    lost for lost in self.link.lost if not await self.link.execute(calls.end_session(*lost))
                ]
                connection.add_notify_handler(self._hear)
                with self.link.asking():
                    await connection.execute("listen pgqueue")
                self.link.trouble.ends()
                pause = pauses()
                while True:
                    await self._turn(connection)
            except (psycopg.Error, OSError) as error:
                self.link.trouble.begins(error)
                await self.close()
                await asyncio.sleep(next(pause))

    async def _stay_deaf(self) -> None:
        """Behind a pooler nobody can ring: without a connection every queue is looked at twice a second."""
        log.warning("a connection pooler is in the way: nobody can ring, looking every %s s; give --direct-dsn", DEAF)
        await self.close()
        await asyncio.Event().wait()

    async def watch(self, station: Station) -> None:
        """Lets one queue sleep and wakes it, for ever."""
        while True:
            await station.went_dry.wait()
            if await self._stays_dry(station):
                try:
                    await self._sleep(station)
                except ConnectionError:
                    await asyncio.sleep(min(DEAF, self._poll))
                self._look(station)

    async def close(self) -> None:
        """Closes the connection. Whoever sleeps by it wakes."""
        connection, self._connection = self._connection, None
        while self._asked:
            _, future = self._asked.popleft()
            if future is not None and not future.done():
                future.set_exception(ConnectionError("the listening connection was lost"))
        for sleeper in self._sleepers.values():
            sleeper.wake()
        if connection is not None:
            await connection.close()

    async def _stays_dry(self, station: Station) -> bool:
        for pause in POLLS:
            await asyncio.sleep(pause)
            if await self._look(station):
                return False
        return True

    async def _sleep(self, station: Station) -> None:
        """Parks; returns when there may be something to do. Raises `ConnectionError` when the connection is lost."""
        sleeper = self._sleepers[station.queue]
        settled = await self._ask(calls.park(station.queue))
        try:
            pause = POLLS[0]
            while True:
                sleeper.forget()
                if await self._look(station):
                    return
                if settled:
                    await self._until_rung(station.queue, sleeper)
                    return
                # A producer that looked before we parked is still in its transaction. It will not ring: keep looking.
                # It may be of another queue, and stay for long; those of ours ring meanwhile.
                await self._nap(station.queue, sleeper, pause)
                pause = min(LONGEST_SETTLE, pause * SETTLE_GROWTH)
                settled = await self._ask(calls.settled(station.queue))
        finally:
            self._look(station)  # first: the job that woke us should not wait for the unpark
            self._tell(calls.unpark(station.queue))

    async def _nap(self, queue: str, sleeper: Sleeper, seconds: float) -> None:
        """Waits so long, or until a producer rings or a job dated ahead is due. Not for one that is due and locked."""
        ahead = await self._ask(calls.next_run_at(queue))
        if ahead is not None and 0 < ahead < seconds:
            seconds = ahead
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await sleeper.event.wait()

    async def _until_rung(self, queue: str, sleeper: Sleeper) -> None:
        """Sleeps until a producer rings, a job dated ahead is due, or the fallback poll comes round."""
        poll_at = time.monotonic() + self._poll
        while not sleeper.rung:
            sleeper.event.clear()
            ahead = await self._ask(calls.next_run_at(queue))
            wait = poll_at - time.monotonic()
            if ahead is not None:
                wait = min(wait, ahead)
            if wait <= 0:
                return
            try:
                async with asyncio.timeout(wait):
                    await sleeper.event.wait()  # a job dated ahead was enqueued: it may be due before the others
            except TimeoutError:
                return

    def _look(self, station: Station) -> asyncio.Future[int]:
        found = station.look()
        self._desk.poke()
        return found

    def _ask(self, call: Call[Any]) -> asyncio.Future[Any]:
        """Runs a call on the connection when it is free."""
        if self._connection is None:
            raise ConnectionError("the listening connection is lost")
        future = asyncio.get_running_loop().create_future()
        self._asked.append((call, future))
        self._stir.set()
        return future

    def _tell(self, call: Call[Any]) -> None:
        """As `_ask`, when nobody waits for the answer."""
        if self._connection is not None:
            self._asked.append((call, None))
            self._stir.set()

    async def _turn(self, connection: psycopg.AsyncConnection[Any]) -> None:
        """Runs all that was asked, hears all that was rung, and waits for more of either."""
        while self._asked:
            call, future = self._asked[0]
            answer = await self.link.execute(call)
            self._asked.popleft()
            if future is not None and not future.done():
                future.set_result(answer)
        connection.pgconn.consume_input()
        while (notify := connection.pgconn.notifies()) is not None:
            self._heard(notify.extra.decode())
        if self._asked:
            return
        # Not connection.notifies(): it holds the connection's lock while it waits, so nothing else could be asked.
        loop, descriptor = asyncio.get_running_loop(), connection.fileno()
        loop.add_reader(descriptor, self._stir.set)
        ping = loop.call_later(PING_AFTER, self._ping)
        try:
            await self._stir.wait()
            self._stir.clear()
        finally:
            ping.cancel()
            loop.remove_reader(descriptor)

    def _ping(self) -> None:
        """A question whose answer nobody needs: whoever only listens would not notice that nobody can ring any more."""
        self._tell(calls.next_run_at(next(iter(self._sleepers))))

    def _hear(self, notify: psycopg.Notify) -> None:
        self._heard(notify.payload)

    def _heard(self, payload: str) -> None:
        """payload: 'queue', 'queue@epoch-seconds' for a job dated ahead, or as sql/functions/cancel.sql has it."""
        if payload.startswith("cancel:"):
            self._cancelled(payload)
            return
        queue, _, ahead = payload.partition("@")
        sleeper = self._sleepers.get(queue)
        if sleeper is None:
            return
        if ahead:
            sleeper.event.set()
        else:
            sleeper.wake()

    def _cancelled(self, payload: str) -> None:
        """payload: 'cancel:worker:id:claims:reason'. Anybody may notify, so it may be anything."""
        try:
            _, worker, id, claims, reason = payload.split(":", 4)
            if int(worker) == self._desk.worker:
                self._on_cancel(int(id), int(claims), reason or None)
        except ValueError:
            log.warning("a notification of pgqueue cannot be read", extra=fields(payload=payload[:100]))
