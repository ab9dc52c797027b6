"""Natural batching: one lane hands in finished jobs and takes new ones in one round trip.

A lane never waits for a timer. While its round trip is under way jobs finish and slots come free; the next trip takes
all of that along. So batches grow with load and vanish without it.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import psycopg

from pgqueue import calls
from pgqueue.calls import ClaimedJob
from pgqueue.errors import WorkerLost
from pgqueue.worker.connection import Trouble, behind_pooler, conninfo, execute, pauses
from pgqueue.worker.desk import Desk, Load
from pgqueue.worker.logs import JobLog, fields, log
from pgqueue.worker.outcomes import of_refusal

LANES: Final = 2
"""Two: one is under way in the server while the jobs of the other run here."""


class Lane:
    """One connection that goes to and fro between the desk and the database."""

    def __init__(self, dsn: str, desk: Desk, job_log: JobLog, on_lost: Callable[[int], None]) -> None:
        self._dsn = conninfo(dsn, "lane")
        self._desk = desk
        self._log = job_log
        self._on_lost = on_lost
        self._trouble = Trouble("lane")
        self._connection: psycopg.AsyncConnection[Any] | None = None

    async def work(self) -> None:
        """Goes for ever. An exchange that failed is made again: what it handed in is fenced by its claims."""
        pause = pauses()
        while True:
            connection = await self._connected()
            load = await self._desk.take()
            started = time.monotonic()
            try:
                jobs = await self._trip(connection, load)
            except WorkerLost:
                self._desk.failed(load)
                self._on_lost(load.worker)
            except (psycopg.Error, OSError) as error:
                self._desk.failed(load)
                self._trouble.begins(error)
                await self.close()  # whatever became of the exchange: after a reconnect both sides agree again
                await asyncio.sleep(next(pause))
            except BaseException:
                self._desk.failed(load)
                raise
            else:
                self._desk.done(load, jobs, time.monotonic() - started)
                self._trouble.ends()
                pause = pauses()

    async def close(self) -> None:
        """Closes the connection; `work` must have ended."""
        if self._connection is not None:
            await self._connection.close()

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        """The connection, opened again if it was lost; then the database is told what is held."""
        if self._connection is not None and not self._connection.broken and not self._connection.closed:
            return self._connection
        again = self._connection is not None
        for pause in pauses():
            try:
                connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True)
                self._connection = connection
                await behind_pooler(connection)
                if again:
                    await self._desk.reconcile(functools.partial(self._tell, connection))
                self._trouble.ends()
                return connection
            except (psycopg.Error, OSError) as error:
                self._trouble.begins(error)
                again = True
                await self.close()  # it may be open: a read-only server refuses only what follows
                await asyncio.sleep(pause)
        raise AssertionError("pauses() never ends")

    async def _tell(self, connection: psycopg.AsyncConnection[Any], worker: int, held: Sequence[ClaimedJob]) -> None:
        call = calls.reconcile(worker, [job.id for job in held], [job.claims for job in held])
        released = await execute(connection, call)
        if released:
            log.info("jobs of a lost answer were given back", extra=fields(jobs=len(released)))

    async def _trip(self, connection: psycopg.AsyncConnection[Any], load: Load) -> list[ClaimedJob]:
        """As `_exchange`. An outcome that the database cannot store fails its own job, not the trip."""
        try:
            return await self._exchange(connection, load)
        except psycopg.DataError:  # a number too large, or a character that the database's encoding lacks
            for alone in load.apart():
                try:
                    await self._exchange(connection, alone)
                except psycopg.DataError as error:
                    refused = [of_refusal(outcome, error) for outcome in alone.outcomes]
                    await self._exchange(connection, Load(load.worker, failed=refused))
            return await self._exchange(connection, Load(load.worker, asks=load.asks))

    async def _exchange(self, connection: psycopg.AsyncConnection[Any], load: Load) -> list[ClaimedJob]:
        """Hands in all outcomes of `load` and takes the jobs it asks for, in the order they should start.

        An outcome whose claim was lost is dropped and logged, never raised: whoever holds the job now reports in its
        place. Failures and releases, which are rare, go first, each in a round trip of their own.
        """
        if load.failed:
            call = calls.fail(
                load.worker,
                [outcome.job.id for outcome in load.failed],
                [outcome.job.claims for outcome in load.failed],
                [outcome.error for outcome in load.failed],
                [outcome.traceback for outcome in load.failed],
                [outcome.retry_in for outcome in load.failed],
            )
            self._log.lost(await execute(connection, call))
        if load.released:
            ids = [outcome.job.id for outcome in load.released]
            await execute(
                connection, calls.release(load.worker, ids, [outcome.job.claims for outcome in load.released])
            )
        if not (load.completed or load.asks):
            return []
        rows: list[ClaimedJob] = await execute(connection, _exchange_call(load))
        lost = 0
        while lost < len(rows) and rows[lost].kind is None:
            lost += 1
        self._log.lost([row.id for row in rows[:lost]])
        return rows[lost:] if lost else rows


def _exchange_call(load: Load) -> calls.Call[list[ClaimedJob]]:
    """The exchange for a load's completed jobs and asks."""
    results: list[str | None] | None = [outcome.result for outcome in load.completed]
    ttls: list[timedelta | None] | None = None
    if any(result is not None for result in results or ()):
        ttls = [outcome.result_ttl for outcome in load.completed]
    else:
        results = None
    after_run_at: list[Any] | None = None
    after_id: list[Any] | None = None
    if load.asks and not load.swept:
        after_run_at, after_id = [], []
        for ask in load.asks:
            run_ats, ids = ask.station.cursor
            after_run_at += run_ats
            after_id += ids
    return calls.exchange(
        load.worker,
        [outcome.job.id for outcome in load.completed],
        [outcome.job.claims for outcome in load.completed],
        results,
        {ask.station.queue: ask.wanted for ask in load.asks},
        after_run_at,
        after_id,
        ttls,
    )
