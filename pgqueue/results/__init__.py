"""What became of jobs: wait for their results, thousands at a time, on one connection.

    async with AsyncResults(dsn) as results:                 with Results(dsn) as results:
        enqueued = await enqueue(conn, add.job(1, 2))             enqueued = enqueue(conn, add.job(1, 2))
        value = await results.of(enqueued).result(timeout=5)      value = results.of(enqueued).result(timeout=5)

Open one for the life of the process and share it. It takes a DSN, not a connection: a connection that listens cannot be
used for anything else, and one that is lost has to be opened again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

import psycopg

from pgqueue.calls.results import EndedJob
from pgqueue.errors import (
    ConfigurationError,
    InvalidJob,
    JobCancelled,
    JobExpired,
    JobFailed,
    JobNotFound,
    QueueError,
    ResultGone,
    ResultTimeout,
)
from pgqueue.job import Enqueued, Seconds, seconds, show
from pgqueue.results.waiting import Waiting

__all__ = ["AsyncResults", "Handle", "Results"]

R = TypeVar("R")

POLL: Final = 30.0
"""Seconds between looks that nobody asked for, in case a notification is lost."""
_ENDED = {"failed": JobFailed, "cancelled": JobCancelled, "expired": JobExpired}


@dataclass(frozen=True, slots=True)
class Handle(Generic[R]):
    """A job whose result may be waited for. Made by `Results.of` and `AsyncResults.of`."""

    id: int
    _result: Callable[[int, Seconds | None], R]

    def result(self, timeout: Seconds | None = None) -> R:
        """What the job's handler returned, as JSON holds it. Of an `AsyncResults` it is awaited.

        timeout:  seconds or timedelta to wait for it; None for as long as it takes.

        Raises `ResultTimeout`; `JobFailed`, `JobCancelled` or `JobExpired` if it ended so; `JobNotFound` when there is
        no such job, or not yet: wait after the commit that enqueues it, never before; `ResultGone` when the time for
        which the result is kept is over.
        """
        return self._result(self.id, timeout)


class AsyncResults:
    """Results of jobs, awaited. Use it in the event loop that entered it.

    dsn:   of the server, as libpq has it; "" for libpq's own environment. Directly: through a pooler in transaction
           mode nobody can be rung, so it polls, and says so.
    poll:  seconds or timedelta between looks at all jobs, in case a notification is lost.

    A lost connection is opened again, and whoever waits goes on waiting. Raises `ConfigurationError`.
    """

    def __init__(self, dsn: str = "", *, poll: Seconds = POLL) -> None:
        self._dsn = dsn
        self._poll = _seconds("poll", poll)
        self._waiting: Waiting | None = None
        self._serving: asyncio.Task[None] | None = None
        _waiting(dsn, self._poll)  # refuses a malformed DSN here, not in a task

    async def __aenter__(self) -> Self:
        if self._serving is not None:
            raise ConfigurationError("these results are open already; share them")
        self._waiting = _waiting(self._dsn, self._poll)
        self._serving = asyncio.create_task(self._waiting.serve(), name="pgqueue-results")
        self._serving.add_done_callback(self._ended)
        return self

    async def __aexit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._serving is not None
        self._serving.cancel()
        await asyncio.wait([self._serving])
        self._serving = None

    def of(self, job: Enqueued | int) -> Handle[Awaitable[Any]]:
        """The job's handle. job: what `enqueue` gave, or an id. Raises `JobNotFound` for what can be no id."""
        return Handle(_id(job), self._result)

    async def _result(self, id: int, timeout: Seconds | None) -> Any:
        return _unpacked(await self._until_ended(id, _limit(timeout)))

    async def _until_ended(self, id: int, limit: float | None) -> EndedJob:
        if self._waiting is None or self._serving is None:
            raise ConfigurationError("these results are not open; wait inside `with Results(dsn) as results:`")
        try:
            async with asyncio.timeout(limit):
                return await self._waiting.ended(id)
        except TimeoutError:
            raise ResultTimeout(f"job {id} has not ended within {limit:g} s; it goes on") from None

    def _ended(self, serving: asyncio.Task[None]) -> None:
        """Whoever still waits when nobody serves is told."""
        assert self._waiting is not None
        if serving.cancelled():
            self._waiting.fail(QueueError("the results were closed while somebody waited; the jobs go on"))
        elif (error := serving.exception()) is not None:
            self._waiting.fail(QueueError(f"waiting for results broke: {error!r}"))


class Results:
    """Results of jobs, waited for in any thread. Its one connection is served by a thread of its own.

    dsn, poll: as `AsyncResults`. After a fork the child needs one of its own.
    """

    def __init__(self, dsn: str = "", *, poll: Seconds = POLL) -> None:
        self._inner = AsyncResults(dsn, poll=poll)
        self._open = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: asyncio.Event | None = None
        self._thread: threading.Thread | None = None
        self._process = 0

    def __enter__(self) -> Self:
        if self._thread is not None:
            raise ConfigurationError("these results are open already; share them")
        self._process = os.getpid()
        self._open.clear()
        self._thread = threading.Thread(target=self._serve, name="pgqueue-results", daemon=True)
        self._thread.start()
        self._open.wait()
        return self

    def __exit__(
        self, type_: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._thread is not None
        if self._process == os.getpid():
            assert self._loop is not None
            assert self._closing is not None
            with contextlib.suppress(RuntimeError):  # the loop is closed: its thread has ended already
                self._loop.call_soon_threadsafe(self._closing.set)
            self._thread.join()
        self._thread = None

    def of(self, job: Enqueued | int) -> Handle[Any]:
        """The job's handle. job: what `enqueue` gave, or an id. Raises `JobNotFound` for what can be no id."""
        return Handle(_id(job), self._result)

    def _result(self, id: int, timeout: Seconds | None) -> Any:
        limit = _limit(timeout)
        if self._thread is None or self._loop is None:
            raise ConfigurationError("these results are not open; wait inside `with Results(dsn) as results:`")
        if self._process != os.getpid():
            raise ConfigurationError("these results were opened before the process forked; open them in each process")
        waiting = asyncio.run_coroutine_threadsafe(self._inner._until_ended(id, limit), self._loop)
        try:
            return _unpacked(waiting.result())
        except BaseException:
            waiting.cancel()  # Ctrl-C: nobody waits any more
            raise

    def _serve(self) -> None:
        # psycopg cannot use the loop that Windows has by default.
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            self._loop = runner.get_loop()
            runner.run(self._until_closed())

    async def _until_closed(self) -> None:
        self._closing = asyncio.Event()
        async with self._inner:
            self._open.set()
            await self._closing.wait()


def _waiting(dsn: object, poll: float) -> Waiting:
    if not isinstance(dsn, str):
        raise ConfigurationError(
            f"{show(dsn)} is a {type(dsn).__name__}, no DSN; give a text such as postgresql:///app"
        )
    try:
        return Waiting(dsn, poll)
    except psycopg.ProgrammingError as error:  # without the DSN: it may hold a password
        raise ConfigurationError(
            "the DSN cannot be read; give it as libpq has it, such as postgresql://user@host/database, without a driver"
        ) from error


def _id(job: object) -> int:
    id = job.id if isinstance(job, Enqueued) else job
    if isinstance(id, bool) or not isinstance(id, int) or not 0 < id < 2**63:
        raise JobNotFound(f"{show(id)} is no job; give what enqueue returned, or its id")
    return id


def _seconds(what: str, length: Seconds) -> float:
    try:
        return seconds(what, length)
    except InvalidJob as error:
        raise ConfigurationError(str(error)) from None


def _limit(timeout: Seconds | None) -> float | None:
    return None if timeout is None else _seconds("timeout", timeout)


def _unpacked(job: EndedJob) -> Any:
    """What the handler returned, or the error that says why there is nothing."""
    if job.state is None:
        raise JobNotFound(
            f"job {job.id} does not exist. Either the transaction that enqueues it has not committed: commit first, "
            "then wait. Or it has ended and was removed by retention"
        )
    if job.state in _ENDED:
        raise _ENDED[job.state](job.id, job.error)
    if job.gone:
        raise ResultGone(f"job {job.id} completed, and the time for which its result is kept (result_ttl) is over")
    return None if job.result is None else json.loads(job.result)
