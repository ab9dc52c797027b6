"""What an application calls: enqueue in its own transaction, cancel, retry.

Each takes the connection first and works on any kind (`pgqueue.connections`): at once on a sync one, awaited on an
async one. Nothing is committed here: the job exists when the caller's transaction commits.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator
from typing import Any, Final, TypeVar, overload

from pgqueue import calls
from pgqueue.calls import Cancelling
from pgqueue.connections import AnAsyncConnection, Script, SyncConnection, run
from pgqueue.errors import InvalidJob, JobNotFound
from pgqueue.job import Enqueued, Job, show

T = TypeVar("T")

CHUNK_JOBS: Final = 10_000
CHUNK_BYTES: Final = 32 * 1_048_576
"""Jobs and bytes of arguments that go to the server in one round trip. One JSON array cannot pass 256 MiB."""


@overload
def enqueue(connection: SyncConnection, job: Job) -> Enqueued: ...
@overload
def enqueue(connection: AnAsyncConnection, job: Job) -> Awaitable[Enqueued]: ...
def enqueue(connection: Any, job: Job) -> Enqueued | Awaitable[Enqueued]:
    """Adds a job to the transaction that `connection` is in.

    It exists when that commits and never did when it rolls back; on an autocommit connection, at once.

    Raises `InvalidJob`, `UnsupportedConnection`, `SchemaMismatch`; errors of the driver as they are.
    """
    _check(job)
    return run(connection, _one(job))


@overload
def enqueue_many(connection: SyncConnection, jobs: Iterable[Job]) -> list[Enqueued]: ...
@overload
def enqueue_many(connection: AnAsyncConnection, jobs: Iterable[Job]) -> Awaitable[list[Enqueued]]: ...
def enqueue_many(connection: Any, jobs: Iterable[Job]) -> list[Enqueued] | Awaitable[list[Enqueued]]:
    """Adds jobs to the transaction that `connection` is in, up to 10,000 in a round trip.

    Returns one `Enqueued` for each, in their order. Jobs are read and checked as they go out: if one of a generator
    is refused, those of earlier round trips stay in the transaction, and on an autocommit connection in the queue. So
    open a transaction if it must be all or none, and let the error roll it back.

    Raises as `enqueue`.
    """
    return run(connection, _all(jobs))


@overload
def cancel(connection: SyncConnection, id: int, reason: str | None = None) -> Cancelling: ...
@overload
def cancel(connection: AnAsyncConnection, id: int, reason: str | None = None) -> Awaitable[Cancelling]: ...
def cancel(connection: Any, id: int, reason: str | None = None) -> Cancelling | Awaitable[Cancelling]:
    """Ends a waiting job as cancelled; asks the worker of a running one to stop it, which ends it as cancelled too.

    Returns 'cancelled' for a job that was waiting: it will not run. 'asked' for one that runs: its worker hears of it
    when the transaction commits, but a handler that returns first has completed. Commit soon: until then the worker
    cannot report the job.

    Raises `JobNotFound`; `WrongState` if it is finished; `InvalidJob` for a reason that is no text.
    """
    return run(connection, _call(calls.cancel(_known(id), _reason(reason))))


@overload
def retry(connection: SyncConnection, id: int) -> None: ...
@overload
def retry(connection: AnAsyncConnection, id: int) -> Awaitable[None]: ...
def retry(connection: Any, id: int) -> Awaitable[None] | None:
    """Brings a failed, cancelled or expired job back under its id, with all its attempts.

    Raises `JobNotFound`; `WrongState` if it is none of these.
    """
    return run(connection, _call(calls.retry(_known(id))))


def _one(job: Job) -> Script[Enqueued]:
    enqueued: Enqueued = yield calls.enqueue(job)
    return enqueued


def _all(jobs: Iterable[Job]) -> Script[list[Enqueued]]:
    enqueued: list[Enqueued] = []
    for chunk in _chunks(jobs):
        enqueued += yield calls.enqueue_many(chunk)
    return enqueued


def _call(call: calls.Call[T]) -> Script[T]:
    answer: T = yield call
    return answer


def _chunks(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    """Lists of at most CHUNK_JOBS jobs and about CHUNK_BYTES."""
    if not isinstance(jobs, Iterable):
        raise InvalidJob(f"jobs are {show(jobs)}, a {type(jobs).__name__}; give an iterable of Job")
    chunk: list[Job] = []
    size = 0
    for job in jobs:
        _check(job)
        chunk.append(job)
        size += len(job.payload)
        if len(chunk) == CHUNK_JOBS or size >= CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _check(job: object) -> None:
    if not isinstance(job, Job):
        raise InvalidJob(
            f"{show(job)} is a {type(job).__name__}, not a Job; make one with task.job(…) or Job(kind, args)"
        )


def _reason(reason: object) -> str | None:
    """A reason that the database can hold."""
    if reason is None:
        return None
    if not isinstance(reason, str) or "\0" in reason or not _is_text(reason):
        raise InvalidJob(f"reason {show(reason)} is no text that Postgres can store; give a str")
    return reason


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def _known(id: object) -> int:
    """An id that the database can look up; any other no job can have."""
    if isinstance(id, bool) or not isinstance(id, int) or not 0 < id < 2**63:
        raise JobNotFound(f"{show(id)} is no job id, which is a whole number from 1")
    return id
