"""How a handler is called: what lies between a job that was taken and its function.

    async function     in the event loop
    any other          in a thread                        threads.py
    executor="process" in a child process                 processes.py, child.py

What stands around a handler is a layer: it is given the attempt and what is inside of it, and awaits that. The way to
call a task is chosen once, at its first job, so a job that uses nothing of this costs a look-up.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import CoroutineType
from typing import Any

from pgqueue.calls import ClaimedJob, received
from pgqueue.context import JobContext
from pgqueue.middlewares import middlewares
from pgqueue.resources import Resources
from pgqueue.task import Task
from pgqueue.worker.attempt import Arguments, Attempt, Inside, Layer, Place
from pgqueue.worker.logs import JobLog
from pgqueue.worker.once import Steps
from pgqueue.worker.processes import Processes
from pgqueue.worker.surroundings import call_within, surround
from pgqueue.worker.threads import Threads

Way = Callable[[ClaimedJob, float | None, Arguments, Place], Awaitable[Any]]
"""`way(job, limit, arguments, place)` calls one task's function for a job; the answer is what that returns.

limit: seconds it may run, None for no limit; whoever awaits this keeps it, by cancelling. A coroutine then gets
CancelledError, a process is killed; a thread is left to itself, and learns of it from its context. place: where it
runs.
"""


class Calling:
    """Calls the handlers of a worker's jobs."""

    def __init__(
        self,
        threads: Threads,
        processes: Processes,
        log: JobLog,
        transaction: Layer,
        steps: Steps,
        resources: Resources,
    ) -> None:
        """transaction: what stands around handlers whose task is transactional. steps: for `ctx.once`. resources: for
        `ctx.resources`."""
        self._steps = steps
        self._threads = threads
        self._processes = processes
        self._resources = resources
        self._middlewares = list(middlewares.values())
        self._transaction = transaction
        self._log = log
        self.ways = _Ways(self._choose)
        """How to call each task, `ways[task]`: chosen when it is first asked for."""

    def context(self, job: ClaimedJob, limit: float | None, place: Place) -> JobContext:
        """What the handler of a job is told about it."""
        return JobContext(
            id=job.id,
            kind=job.kind,
            queue=job.queue,
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            run_at=received(job.run_at),
            created_at=received(job.created_at),
            deadline=None if limit is None else datetime.now(UTC) + timedelta(seconds=limit),
            worker=self._log.worker,
            log=self._log.of(job),
            meta=json.loads(job.meta) if job.meta else {},
            resources=self._resources,
            _is_over=lambda: not place.holds(job),
            _claims=job.claims,
            _steps=self._steps,
        )

    def _choose(self, task: Task[..., ..., Any]) -> Way:
        """The shortest way to call a task."""
        layers = self._layers(task)
        if not layers and not self._middlewares:
            return self._plain(task)
        inside: Inside = self._in_loop if task.is_async else self._in_thread
        if task.options.executor == "process":
            inside = self._in_process
        for layer in reversed(layers):
            inside = _around(layer, inside)

        def way(job: ClaimedJob, limit: float | None, arguments: Arguments, place: Place) -> Awaitable[Any]:
            return inside(Attempt(task, job, arguments, self.context(job, limit, place), limit, place))

        return way

    def _layers(self, task: Task[..., ..., Any]) -> list[Layer]:
        """What stands around the task's function, outermost first."""
        # A transaction outermost: a layer inside that raises, or waits for something, must do so before the commit.
        layers = [self._transaction] if task.options.transactional else []
        inside = [each for each in self._middlewares if each.is_async or task.is_async]
        if inside:
            layers.append(surround(inside))
        return layers

    def _plain(self, task: Task[..., ..., Any]) -> Way:
        """The way to a function with nothing around it."""
        function: Callable[..., Any] = task.function
        if task.options.executor == "process":
            return lambda job, limit, arguments, place: self._processes.call(
                task, job, limit, place.begin, self._log.of(job)
            )
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

    async def _in_process(self, attempt: Attempt) -> Any:
        return await self._processes.call(
            attempt.task, attempt.job, attempt.limit, attempt.place.begin, attempt.context.log
        )

    async def _in_thread(self, attempt: Attempt) -> Any:
        within = [each.open for each in self._middlewares if not each.is_async]
        result = await self._threads.result(lambda: call_within(within, attempt.context, _bound(attempt)))
        return await result if isinstance(result, CoroutineType) else result


class _Ways(dict[Task[..., ..., Any], Way]):
    """Ways by their tasks. choose: finds that of a new one."""

    def __init__(self, choose: Callable[[Task[..., ..., Any]], Way]) -> None:
        super().__init__()
        self._choose = choose

    def __missing__(self, task: Task[..., ..., Any]) -> Way:
        way = self[task] = self._choose(task)
        return way


def _around(layer: Layer, inside: Inside) -> Inside:
    return lambda attempt: layer(attempt, inside)


def _bound(attempt: Attempt) -> Callable[[], Any]:
    """The handler with its arguments."""
    args = (attempt.context,) if attempt.task.takes_context else ()
    return functools.partial(attempt.task.function, *args, **attempt.arguments)
