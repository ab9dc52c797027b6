"""How a handler is called: what lies between a job that was taken and its function.

    async function     in the event loop
    any other          in a thread                        threads.py

What stands around a handler is a layer: it is given the attempt and what is inside of it, and awaits that. The way to
call a task is chosen once, at its first job, so a job that uses nothing of this costs a look-up.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import CoroutineType
from typing import Any, Protocol

from pgqueue.calls import ClaimedJob
from pgqueue.context import JobContext
from pgqueue.task import Task
from pgqueue.worker.logs import JobLog
from pgqueue.worker.once import Steps
from pgqueue.worker.threads import Threads

Arguments = dict[str, Any]
"""Of a handler, by name."""


class Place(Protocol):
    """Where an attempt runs: a slot."""

    def holds(self, job: ClaimedJob) -> bool:
        """Whether that job still runs here and nobody has told it to stop."""


Way = Callable[[ClaimedJob, float | None, Arguments, Place], Awaitable[Any]]
"""Calls one task's function for a job. The number: seconds it may run, None for no limit."""


@dataclass(slots=True, eq=False)
class Attempt:
    """One attempt at a job, for what stands around its handler."""

    task: Task[..., ..., Any]
    job: ClaimedJob
    arguments: Arguments
    context: JobContext


Inside = Callable[[Attempt], Awaitable[Any]]
"""What a layer stands around: more layers, and the handler itself."""
Layer = Callable[[Attempt, Inside], Awaitable[Any]]
"""Stands around a handler: `async def layer(attempt, inside): …; return await inside(attempt)`."""


class Calling:
    """Calls the handlers of a worker's jobs."""

    def __init__(self, threads: Threads, log: JobLog, transaction: Layer, steps: Steps) -> None:
        """transaction: what stands around handlers whose task is transactional. steps: for `ctx.once`."""
        self._steps = steps
        self._threads = threads
        self._transaction = transaction
        self._log = log
        self._ways: dict[Task[..., ..., Any], Way] = {}

    def call(
        self, task: Task[..., ..., Any], job: ClaimedJob, limit: float | None, arguments: Arguments, place: Place
    ) -> Awaitable[Any]:
        """Calls the task's function; the answer is what it returns.

        limit: seconds it may run, None for no limit; whoever awaits this keeps it, by cancelling. A coroutine then gets
        CancelledError; a thread is left to itself, and learns of it from its context. place: where it runs.
        """
        way = self._ways.get(task)
        if way is None:
            way = self._ways[task] = self._choose(task)
        return way(job, limit, arguments, place)

    def context(self, job: ClaimedJob, limit: float | None, place: Place) -> JobContext:
        """What the handler of a job is told about it."""
        return JobContext(
            id=job.id,
            kind=job.kind,
            queue=job.queue,
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            run_at=job.run_at,
            created_at=job.created_at,
            deadline=None if limit is None else datetime.now(UTC) + timedelta(seconds=limit),
            worker=self._log.worker,
            log=self._log.of(job),
            meta=json.loads(job.meta) if job.meta else {},
            _is_over=lambda: not place.holds(job),
            _claims=job.claims,
            _steps=self._steps,
        )

    def _choose(self, task: Task[..., ..., Any]) -> Way:
        """The shortest way to call a task."""
        layers = self._layers(task)
        if not layers:
            return self._plain(task)
        inside: Inside = self._in_loop if task.is_async else self._in_thread
        for layer in reversed(layers):
            inside = _around(layer, inside)

        def way(job: ClaimedJob, limit: float | None, arguments: Arguments, place: Place) -> Awaitable[Any]:
            return inside(Attempt(task, job, arguments, self.context(job, limit, place)))

        return way

    def _layers(self, task: Task[..., ..., Any]) -> list[Layer]:
        """What stands around the task's function, outermost first."""
        # Outermost: a layer inside that raises, or waits for something, must do so before the commit.
        return [self._transaction] if task.options.transactional else []

    def _plain(self, task: Task[..., ..., Any]) -> Way:
        """The way to a function with nothing around it."""
        function: Callable[..., Any] = task.function
        if not task.is_async:
            return functools.partial(self._sync, task)
        if task.takes_context:
            return lambda job, limit, arguments, place: function(self.context(job, limit, place), **arguments)
        return lambda job, limit, arguments, place: function(**arguments)

    async def _sync(
        self, task: Task[..., ..., Any], job: ClaimedJob, limit: float | None, arguments: Arguments, place: Place
    ) -> Any:
        args = (self.context(job, limit, place),) if task.takes_context else ()
        result = await self._threads.result(functools.partial(task.function, *args, **arguments))
        # A decorator that is not async hides that the handler is.
        return await result if isinstance(result, CoroutineType) else result

    async def _in_loop(self, attempt: Attempt) -> Any:
        return await _bound(attempt)()

    async def _in_thread(self, attempt: Attempt) -> Any:
        result = await self._threads.result(_bound(attempt))
        return await result if isinstance(result, CoroutineType) else result


def _around(layer: Layer, inside: Inside) -> Inside:
    return lambda attempt: layer(attempt, inside)


def _bound(attempt: Attempt) -> Callable[[], Any]:
    """The handler with its arguments."""
    args = (attempt.context,) if attempt.task.takes_context else ()
    return functools.partial(attempt.task.function, *args, **attempt.arguments)
