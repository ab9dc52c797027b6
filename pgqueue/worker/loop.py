"""The one start, stop and clock of a worker. What it is made of:

steward   a thread: registers, beats, leads                         steward.py, leader.py, timetable.py
lanes     two connections: hand in what finished, take new jobs     lanes.py
bell      one connection: sleeps and is woken, for each queue       bell.py
watch     notices connections that do not answer any more           watch.py, link.py
desk      where lanes and slots meet; a station for each queue      desk.py, station.py, load.py
slots     coroutines that run jobs                                  executor.py, deadlines.py
calling   how a handler is called: in the loop, in a thread         calling.py, threads.py
batching  many jobs in one slot                                     batching.py
processes children that can be killed                               processes.py, child.py, wire.py
pool      connections that handlers write on, opened when needed    pool.py, held.py, transaction.py, once.py
lifespans what is made once and handed to handlers                  lifespans.py
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Coroutine, Set
from typing import Any, Final

import psycopg

from pgqueue import __version__, calls
from pgqueue.errors import QueueError
from pgqueue.lifespans import lifespans
from pgqueue.schedule import declared
from pgqueue.worker.batching import per_slot
from pgqueue.worker.bell import Bell
from pgqueue.worker.calling import Calling
from pgqueue.worker.deadlines import Deadlines
from pgqueue.worker.desk import Desk
from pgqueue.worker.executor import Slot
from pgqueue.worker.lanes import LANES, Lane
from pgqueue.worker.lifespans import Lifespans
from pgqueue.worker.logs import JobLog, fields, log
from pgqueue.worker.once import Steps
from pgqueue.worker.options import WorkerOptions
from pgqueue.worker.pool import Pool
from pgqueue.worker.processes import Processes
from pgqueue.worker.station import Station
from pgqueue.worker.steward import Steward
from pgqueue.worker.threads import Threads
from pgqueue.worker.transaction import Transactions
from pgqueue.worker.watch import Watch

INSTANT: Final = 0.05
"""Seconds. Who cancels a job that runs for less is not heard in time by any means."""
REPORT_PATIENCE: Final = 5.0
"""Seconds the worker spends, at its end, on reporting what is left. After that its jobs are rescued by others."""


class Worker:
    """Runs the jobs of some queues until it is told to stop, or by its options has reason to.

    dsn:      how to reach the server, as libpq has it; may lead through a pooler, if options say how to reach it
              directly.
    options:  see `WorkerOptions`.
    """

    def __init__(self, dsn: str, options: WorkerOptions | None = None) -> None:
        self.options = options or WorkerOptions()
        self.name = self.options.name or f"{socket.gethostname()}:{os.getpid()}"
        self._schedules = declared()
        self._stop = asyncio.Event()
        self._hurry = asyncio.Event()
        self._failure: Exception | None = None
        now = time.monotonic()
        self._desk = Desk(Station(queue, slots, now, per_slot(queue)) for queue, slots in self.options.queues.items())
        self._desk.claimable = self.options.max_jobs
        self._log = JobLog(self.name, self._desk.journal.page)
        self._slots: list[Slot] = []
        self._dsn = dsn
        self._pool: Pool | None = None
        self._lanes = [Lane(dsn, self._desk, self._log, self._lost, self._gone) for _ in range(LANES)]
        self._direct_dsn = dsn if self.options.direct_dsn is None else self.options.direct_dsn
        self._bell = Bell(self._direct_dsn, self._desk, self.options.poll, self._cancelled)
        self._tasks: list[asyncio.Task[None]] = []
        self._processes = Processes(self.name)
        self._lifespans = Lifespans(each for each in lifespans.values() if not each.process)

    async def run(self) -> None:
        """Works until told to stop.

        Raises `SchemaMismatch` when the database's schema is not the one it speaks, `LifespanFailed`.
        """
        loop = asyncio.get_running_loop()
        if not await self._prepare():
            return
        steward = self._steward(loop)
        steward.start()
        self._start(loop)
        links = [steward.link, self._bell.link, *(lane.link for lane in self._lanes)]
        self._spawn(Watch(lambda: [*links, *(self._pool.links if self._pool else ())]).keep())
        log.info("worker started", extra=fields(worker=self.name, queues=dict(self.options.queues)))
        try:
            await self._stop.wait()
        finally:
            steward.stopping = True
            await self._finish(steward)
        if self._failure is not None:
            raise self._failure
        log.info("worker stopped", extra=fields(worker=self.name))

    def stop(self) -> None:
        """Claims nothing more, gives back what has not started, lets running jobs finish for up to `grace` seconds
        and gives back the rest. A second call shortens the grace to nothing. Call it in the event loop."""
        if self._stop.is_set():
            self._hurry.set()
            return
        running, grace = self._desk.running, self.options.grace
        told = f": a second signal, or {grace:g} s, and what still runs is given back" if running else ""
        log.info(f"worker stopping{told}", extra=fields(worker=self.name, running=running))
        self._stop.set()

    async def _prepare(self) -> bool:
        """Starts the lifespans; False when the worker was told to stop meanwhile."""
        preparing = asyncio.ensure_future(self._lifespans.start())
        try:
            await self._first(asyncio.wait([preparing]), self._stop.wait(), None)
            if preparing.done():
                preparing.result()
                return True
        finally:
            if not preparing.done():
                preparing.cancel()
                await self._lifespans.end()
        log.info("worker stopped before it had started", extra=fields(worker=self.name))
        return False

    def _steward(self, loop: asyncio.AbstractEventLoop) -> Steward:
        def tell(function: Any, *args: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the worker has ended without its steward
                loop.call_soon_threadsafe(function, *args)

        return Steward(
            self._direct_dsn,
            self.options,
            self.name,
            __version__,
            on_worker=lambda worker: tell(self._arrived, worker),
            on_failure=lambda error: tell(self._failed, error),
            on_trouble=lambda: tell(self._desk.roll_call),
            running=lambda: self._desk.running,
            schedules=self._schedules,
            long=self._long,
            on_cancel=lambda *job: tell(self._cancelled, *job),
        )

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        threads, deadlines = Threads(loop), Deadlines(loop)
        self._desk.journal.start(loop)
        self._pool = Pool(self._dsn, self.options.connections, threads)
        transactions = Transactions(self._pool, lambda: self._desk.worker)
        steps = Steps(self._pool, lambda: self._desk.worker)
        calling = Calling(threads, self._processes, self._log, transactions.layer, steps, self._lifespans.resources)
        for station in self._desk.stations.values():
            for _ in range(station.slots):
                slot = Slot(station, self._desk, calling, deadlines, self._log)
                slot.task = self._spawn(slot.work())
                self._slots.append(slot)
        for lane in self._lanes:
            self._spawn(lane.work())
        if self.options.drain:
            self._spawn(self._drain())
        else:
            self._spawn(self._bell.listen())
            for station in self._desk.stations.values():
                self._spawn(self._bell.watch(station))
        self._spawn(self._clock())
        if self.options.max_time is not None:
            loop.call_later(self.options.max_time, self._end, "max_time is over")
        if self.options.max_jobs is not None:
            self._spawn(self._count())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._ended)
        self._tasks.append(task)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """No task of a worker ends by itself but with its work done; if one breaks, the worker says so and stops."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    def _arrived(self, worker: int) -> None:
        """The steward registered this worker; if not for the first time, all it held belongs to others now."""
        if self._desk.worker:
            self._lost(self._desk.worker)
        self._desk.forget(worker)
        for _ in self._lanes:
            self._desk.poke()

    def _lost(self, worker: int) -> None:
        """The worker was declared dead. Lanes rest until the steward has registered it anew."""
        if worker == self._desk.worker:
            self._desk.forget(0)
            for slot in self._slots:
                slot.cut("lost")

    def _cancelled(self, id: int, claims: int, reason: str | None) -> None:
        """Somebody cancelled a job while it runs here, or waits here for a slot. No other job is touched."""
        for slot in self._slots:
            if slot.job is not None and (slot.job.id, slot.job.claims) == (id, claims):
                log.info("cancelled while it runs", extra=fields(id=id, kind=slot.job.kind, reason=reason))
                slot.cut("cancel")
                return
        self._desk.withdraw(id, claims)

    def _long(self) -> list[tuple[int, int]]:
        """Id and claims of jobs that do not end at once. Asked by the steward, in its thread."""
        before = time.monotonic() - INSTANT
        jobs = [slot.job for slot in self._slots if slot.since < before]
        return [(job.id, job.claims) for job in jobs if job is not None]

    def _gone(self, jobs: Set[tuple[int, int]]) -> None:
        """Claims of these jobs, by id and claims, are others' now: the server forgot them when it crashed."""
        self._desk.drop(jobs)
        for slot in self._slots:
            if slot.job is not None and (slot.job.id, slot.job.claims) in jobs:
                log.warning(
                    "the server forgot the claim and another worker took the job: this run is stopped",
                    extra=fields(id=slot.job.id, worker=self.name),
                )
                slot.cut("lost")

    def _failed(self, error: Exception) -> None:
        self._failure = self._failure or error
        self._stop.set()
        self._hurry.set()

    def _end(self, why: str) -> None:
        if not self._stop.is_set():
            log.info("worker has done its part: %s", why, extra=fields(worker=self.name))
            self.stop()

    async def _clock(self) -> None:
        while True:
            await asyncio.sleep(1)
            self._log.tick()
            self._processes.tick()
            self._desk.give_back_stalled()

    async def _count(self) -> None:
        await self._desk.until(lambda: self._desk.claimable == 0 and self._desk.quiet)
        self._end("max_jobs are done")

    async def _drain(self) -> None:
        """Stops once no queue has anything that could run now, and nothing runs that could enqueue more."""
        stations = self._desk.stations.values()
        while True:
            await self._desk.until(lambda: self._desk.quiet and all(s.went_dry.is_set() for s in stations))
            await self._follow()
            looks = [station.look() for station in stations]
            self._desk.poke()
            if not any([await look for look in looks]):
                self._end("nothing is left that could run now")
                return

    async def _follow(self) -> None:
        """Lets jobs start that waited for one of ours to be done: the leader's next tick would come too late.

        Once, whatever becomes of it: a drain that may not do this, or is cut off in it, has to end too.
        """
        assert self._pool is not None
        with contextlib.suppress(QueueError, psycopg.Error):
            await self._pool.execute(calls.tidy())

    async def _finish(self, steward: Steward) -> None:
        """Ends in order: running jobs, then reports, then the connections. Always ends, whatever hangs."""
        self._desk.close()
        if self._desk.running and not self._hurry.is_set():
            await self._first(self._desk.until(lambda: not self._desk.running), self._hurry.wait(), self.options.grace)
        for slot in self._slots:
            slot.cut("stop")
        if self._desk.worker:
            await self._first(self._desk.until(lambda: self._desk.quiet), asyncio.Event().wait(), REPORT_PATIENCE)
        handlers = self._pool.links if self._pool else ()
        for link in (self._bell.link, *(lane.link for lane in self._lanes), *handlers):
            if link.waits_for() > 1:
                link.hang_up()  # who cancels a statement asks the server first
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=1)
        await self._processes.close(REPORT_PATIENCE)
        await self._lifespans.end()
        await asyncio.to_thread(steward.leave, REPORT_PATIENCE)
        self._log.tick()
        if self._pool is not None:
            self._pool.close()
        for closing in (self._bell.close(), *(lane.link.close() for lane in self._lanes)):
            with contextlib.suppress(Exception):
                await asyncio.wait_for(closing, 1)

    async def _first(
        self, one: Coroutine[Any, Any, Any], other: Coroutine[Any, Any, Any], seconds: float | None
    ) -> None:
        """Waits for whichever ends first, at most `seconds`; None for however long it takes."""
        tasks = [asyncio.ensure_future(one), asyncio.ensure_future(other)]
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
