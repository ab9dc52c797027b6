"""Natural batching: one lane hands in finished jobs and takes new ones in one round trip.

A lane never waits for a timer. While its round trip is under way jobs finish and slots come free; the next trip takes
all of that along. So batches grow with load and vanish without it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence, Set
from datetime import timedelta
from typing import Any, Final

import psycopg

from pgqueue import calls
from pgqueue.calls import ClaimedJob
from pgqueue.errors import WorkerLost
from pgqueue.worker.connection import PING, PING_AFTER, pauses, refused
from pgqueue.worker.desk import Desk
from pgqueue.worker.hiding import hidden
from pgqueue.worker.link import Link
from pgqueue.worker.load import Load
from pgqueue.worker.logs import JobLog, fields, log
from pgqueue.worker.outcomes import of_refusal
from pgqueue.worker.reports import reports

LANES: Final = 2
"""Two: one is under way in the server while the jobs of the other run here."""

LATER: Final = (5.0, 20.0, 60.0)
"""Seconds after a reconnect at which to reconcile again, as long as the session before it may still be at work."""


class Lane:
    """One connection that goes to and fro between the desk and the database.

    on_lost:  told the worker's id when it was declared dead.
    on_gone:  told the id and claims of jobs that are others' now.
    """

    def __init__(
        self,
        dsn: str,
        desk: Desk,
        job_log: JobLog,
        on_lost: Callable[[int], None],
        on_gone: Callable[[Set[tuple[int, int]]], None],
    ) -> None:
        self.link = Link("lane", dsn)
        self._desk = desk
        self._log = job_log
        self._on_lost = on_lost
        self._on_gone = on_gone
        self._reconcile_at: list[float] = []
        """Moments at which to reconcile once more, by `time.monotonic`, next one first."""

    async def work(self) -> None:
        """Goes for ever. An exchange that failed is made again: what it handed in is fenced by its claims."""
        pause = pauses()
        while True:
            await self._connected()
            load = await self._desk.take(PING_AFTER)
            started = time.monotonic()
            try:
                jobs = await self._trip(load)
            except WorkerLost:
                self._desk.failed(load)
                self._on_lost(load.worker)
            except (psycopg.Error, OSError) as error:
                self._desk.failed(load)
                self.link.trouble.begins(error)
                await self.link.close()  # whatever became of the exchange: after a reconnect both sides agree again
                await asyncio.sleep(next(pause))
            except BaseException:
                self._desk.failed(load)
                raise
            else:
                self._desk.done(load, jobs, time.monotonic() - started)
                self.link.trouble.ends()
                pause = pauses()

    async def _connected(self) -> None:
        """Opens the connection if there is none; then the database is told what is held."""
        connection = self.link.connection
        again = connection is not None
        if connection is not None and not connection.broken and not connection.closed:
            if not self._reconcile_at or time.monotonic() < self._reconcile_at[0]:
                return
            try:
                await self._reconcile_again()
                return
            except (psycopg.Error, OSError) as error:
                self.link.trouble.begins(error)
                await self.link.close()
        for pause in pauses():
            try:
                await self.link.meet(await psycopg.AsyncConnection.connect(self.link.conninfo, autocommit=True))
                if again:
                    over = await self._outlive()
                    self._reconcile_at = [] if over else [time.monotonic() + later for later in LATER]
                    await self._reconcile()
                self.link.trouble.ends()
                return
            except (psycopg.Error, OSError) as error:
                if self.link.connection is None and refused(error):
                    raise  # a slip in the DSN, which ends the worker; had it worked before, we would wait
                self.link.trouble.begins(error)
                again = True
                await self.link.close()  # it may be open: a read-only server refuses only what follows
                await asyncio.sleep(pause)

    async def _outlive(self) -> bool:
        """Ends the sessions before this one and waits for it a little; whether they are over.

        An exchange may still be under way there, or wait to be read, and what it claims after we reconciled nobody
        would know of.
        """
        for pause in (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0):
            await asyncio.sleep(pause)
            self.link.lost = [lost for lost in self.link.lost if not await self.link.execute(calls.end_session(*lost))]
            if not self.link.lost:
                return not self.link.pooled
        return False

    async def _reconcile_again(self) -> None:
        now = time.monotonic()
        rest = [moment for moment in self._reconcile_at if moment > now]
        self._reconcile_at = [] if await self._outlive() else rest
        await self._reconcile()

    async def _reconcile(self) -> None:
        worker = self._desk.worker
        try:
            await self._desk.reconcile(self._tell)
        except WorkerLost:
            self._on_lost(worker)

    async def _tell(self, worker: int, held: Sequence[ClaimedJob]) -> None:
        """The worker says what it holds; what it does not hold goes back, what the server forgot is restored."""
        ids, claims = [job.id for job in held], [job.claims for job in held]
        released = await self.link.execute(calls.reconcile(worker, ids, claims))
        if released:
            log.info("jobs of a lost answer were given back", extra=fields(jobs=len(released)))
        gone = set(await self.link.execute(calls.hold(worker, ids, claims)))
        if gone:
            self._on_gone({(job.id, job.claims) for job in held if job.id in gone})

    async def _trip(self, load: Load) -> list[ClaimedJob]:
        """As `_exchange`. An outcome that the database cannot store fails its own job, not the trip."""
        try:
            return await self._exchange(load)
        except psycopg.DataError:  # a number too large, or a character that the database's encoding lacks
            for alone in load.apart():
                try:
                    await self._exchange(alone)
                except psycopg.DataError as error:
                    refused = [hidden(of_refusal(outcome, error)) for outcome in (*alone.results, *alone.others)]
                    await self._exchange(Load(load.worker, others=refused))
            return await self._exchange(Load(load.worker, asks=load.asks))

    async def _exchange(self, load: Load) -> list[ClaimedJob]:
        """Hands in all outcomes of `load` and takes the jobs it asks for, in the order they should start.

        An outcome whose claim was lost is dropped and logged, never raised: whoever holds the job now reports in its
        place. All but the completed ones, which are rare, go first, each kind in a round trip of its own.
        """
        if not load:
            await self.link.execute(PING)
        if self._desk.journal:  # before the outcomes: a job that has ended says nothing more
            await self._desk.journal.hand_in(load.worker, load.jobs, self.link)
        for call in reports(load.worker, load.others):
            self._log.lost(await self.link.execute(call))
        if not (load.completed or load.results or load.asks):
            return []
        rows: list[ClaimedJob] = await self.link.execute(_exchange_call(load))
        lost = 0
        while lost < len(rows) and rows[lost].kind is None:
            lost += 1
        self._log.lost([row.id for row in rows[:lost]])
        return rows[lost:] if lost else rows


def _exchange_call(load: Load) -> calls.Call[list[ClaimedJob]]:
    """The exchange for a load's completed jobs and asks."""
    jobs = load.completed + [outcome.job for outcome in load.results]
    results: list[str | None] | None = None
    ttls: list[timedelta | None] | None = None
    if load.results:
        nothing: list[Any] = [None] * len(load.completed)
        results = nothing + [outcome.result for outcome in load.results]
        ttls = nothing + [outcome.result_ttl for outcome in load.results]
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
        [job.id for job in jobs],
        [job.claims for job in jobs],
        results,
        {ask.station.queue: ask.wanted for ask in load.asks},
        after_run_at,
        after_id,
        ttls,
    )
