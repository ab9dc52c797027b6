"""Runs one job and turns what happens into one outcome. Each slot is a coroutine that does this for ever.

    find the task → fit the arguments → call the handler (calling.py) → outcome (outcomes.py)

Handlers that never wait finish without the event loop in between, so a slot now and then lets the lanes go first.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from typing import Final, Literal

from pgqueue.calls import ClaimedJob
from pgqueue.errors import JobTimeout
from pgqueue.task import registry
from pgqueue.worker.batching import Assembly, alike
from pgqueue.worker.calling import Calling
from pgqueue.worker.deadlines import Deadlines
from pgqueue.worker.desk import Desk
from pgqueue.worker.hiding import hidden, hidden_together
from pgqueue.worker.logs import JobLog
from pgqueue.worker.outcomes import (
    AnyTask,
    Cancelled,
    Lost,
    Outcome,
    Released,
    Unknown,
    of_error,
    of_misfit,
    of_result,
)
from pgqueue.worker.station import Station

Cut = Literal["timeout", "cancel", "stop", "lost"]
"""Why an attempt is stopped: its time is up, somebody cancelled its job, the worker ends, or it was declared dead."""

RUN_AT_ONCE: Final = 0.002
"""Seconds a slot runs jobs that never wait before it lets the event loop go round."""


class Slot:
    """One place in which a job of a station runs."""

    def __init__(self, station: Station, desk: Desk, calling: Calling, deadlines: Deadlines, log: JobLog) -> None:
        self.station = station
        self.deadline = math.inf
        """When the running attempt must be stopped, by `time.monotonic`; infinite for never."""
        self.task: asyncio.Task[None] | None = None
        self.job: ClaimedJob | None = None
        """The job that runs here now."""
        self.since = 0.0
        """When it started, by `time.monotonic`."""
        self._limit: float | None = None
        self._cut: Cut | None = None
        self._closed = False
        """Whether the job that runs here is the last."""
        self._desk = desk
        self._ways = calling.ways
        self._deadlines = deadlines
        self._log = log

    async def work(self) -> None:
        """Runs one job after another."""
        station, desk, log, monotonic = self.station, self._desk, self._log, time.monotonic
        since = ended = 0.0
        while not self._closed:
            if not station.buffer or ended - since > RUN_AT_ONCE:
                await station.job_waits()
                since = ended = monotonic()
            self.job = job = station.take()
            self.since = began = ended
            outcome = await self._run(job)
            ended = monotonic()
            self.job = None
            station.finished(ended - began, ended)
            if outcome is None:
                log.completed(job, ended - began)
                desk.completed(job)
            else:
                outcome = hidden(outcome)
                log.ended(outcome, ended - began)
                desk.put(outcome)

    def holds(self, job: ClaimedJob) -> bool:
        """Whether that job runs here and nobody has told it to stop."""
        return self.job is job and self._cut is None

    def begin(self) -> None:
        """The running attempt begins now: its timeout counts from here."""
        if self._limit is not None and self._cut is None:
            self.deadline = time.monotonic() + self._limit
            self._deadlines.add(self)

    def cut(self, why: Cut) -> None:
        """Stops the running attempt. A coroutine gets CancelledError, a process is killed, a thread left to itself."""
        self._closed = self._closed or why == "stop"
        if self.job is not None and self.task is not None and self._cut is None:
            self._cut = why
            self.deadline = math.inf
            self.task.cancel()

    async def _run(self, job: ClaimedJob) -> Outcome | None:
        """What became of the job; None for one that returned nothing. Nearly all do, so no object is made for them."""
        task = registry.get(job.kind)
        if task is None:
            return Unknown(job)
        if task.takes_batch is not None:
            return await self._run_batch(task, job)
        try:
            kwargs = task.arguments(job.args, job.meta)
        except Exception as error:
            return of_misfit(job, task, error)
        limit = task.timeout if job.timeout is None else job.timeout.total_seconds()
        try:
            self._limit = limit
            if limit is not None and task.options.executor == "thread":  # a process begins when it is there
                self.begin()
            result = await self._ways[task](job, limit, kwargs, self)
        except BaseException as error:  # whatever a handler raises ends its own job, never the worker
            if not isinstance(error, asyncio.CancelledError) or self._cut is None:
                return of_error(job, task, error)
            return self._was_cut(job, task, limit)
        else:
            return None if result is None else of_result(job, task, result)
        finally:
            self.deadline = math.inf
            self._cut = None
            if self.task is not None and self.task.cancelling():
                await self._calm(self.task)

    async def _run_batch(self, task: AnyTask, first: ClaimedJob) -> Outcome:
        """Runs a job together with those of its kind that wait. Puts down what became of them; the last is returned."""
        whole = Assembly(task, [first, *self.station.take_alike(alike(task), task.options.batch or 1)])
        outcomes = await self._call_batch(whole) if whole.jobs else []
        if outcomes is None:
            return Lost(first)
        *others, last = hidden_together([*whole.misfits, *outcomes])
        for outcome in others:
            self._log.ended(outcome, time.monotonic() - self.since)
            self._desk.put(outcome)
        return last

    async def _call_batch(self, whole: Assembly) -> list[Outcome] | None:
        limit = whole.limit
        self.job = face = whole.face
        try:
            if limit is not None:
                self.deadline = time.monotonic() + limit
                self._deadlines.add(self)
            result = await self._ways[whole.task](face, limit, whole.arguments, self)
        except BaseException as error:
            if not isinstance(error, asyncio.CancelledError) or self._cut is None:
                return whole.raised(error)
            match self._cut:
                case "timeout":
                    return whole.raised(JobTimeout(f"stopped after {limit:g} s, its timeout"))
                case "stop":
                    return whole.released()
                case _:
                    return None
        else:
            return whole.returned(result)
        finally:
            self.deadline = math.inf
            self._cut = None
            if self.task is not None and self.task.cancelling():
                await self._calm(self.task)

    async def _calm(self, task: asyncio.Task[None]) -> None:
        """Takes back a cancellation, ours or the handler's own, so that it cannot hit the next job or end the slot."""
        while task.uncancel():
            pass
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(0)  # one that was asked for and has not struck yet strikes here

    def _was_cut(self, job: ClaimedJob, task: AnyTask, limit: float | None) -> Outcome:
        """The outcome of an attempt that `cut` stopped."""
        match self._cut:
            case "timeout":
                return of_error(job, task, JobTimeout(f"stopped after {limit:g} s, its timeout"))
            case "cancel":
                return Cancelled(job, None)
            case "stop":
                return Released(job)
            case _:
                return Lost(job)
