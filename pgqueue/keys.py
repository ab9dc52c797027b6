"""Unique keys: which job holds one, and letting it go.

As in `client`, each takes the connection first, works on any kind, at once on a sync one and awaited on an async one,
and commits nothing: it holds when the caller's transaction commits.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, overload

from pgqueue.calls import Call
from pgqueue.calls import keys as calls
from pgqueue.connections import AnAsyncConnection, Script, SyncConnection, run
from pgqueue.errors import InvalidJob
from pgqueue.job import Enqueued, Job
from pgqueue.rules import check_kind, show
from pgqueue.unique import check_key


@overload
def find_unique(connection: SyncConnection, job: Job | str, key: str | None = None) -> Enqueued | None: ...
@overload
def find_unique(
    connection: AnAsyncConnection, job: Job | str, key: str | None = None
) -> Awaitable[Enqueued | None]: ...
def find_unique(
    connection: Any, job: Job | str, key: str | None = None
) -> Enqueued | Awaitable[Enqueued | None] | None:
    """The job that holds a key: what `enqueue` would return now, or None if it would make a new one.

    job:  a job as you would enqueue it; or the name of the kind (or scope), and `key` beside it.

    Raises `InvalidJob` for a job without a key; otherwise as `enqueue`.
    """
    return run(connection, _ask(calls.find_unique(*_key(job, key))))


@overload
def release_unique(connection: SyncConnection, job: Job | str, key: str | None = None) -> Enqueued | None: ...
@overload
def release_unique(
    connection: AnAsyncConnection, job: Job | str, key: str | None = None
) -> Awaitable[Enqueued | None]: ...
def release_unique(
    connection: Any, job: Job | str, key: str | None = None
) -> Enqueued | Awaitable[Enqueued | None] | None:
    """Lets a key go: the next job enqueued under it is a new one. The job that held it stays as it is.

    job:  as for `find_unique`.

    Returns the job that held it, None if nobody did. Raises as `find_unique`.
    """
    return run(connection, _ask(calls.release_unique(*_key(job, key))))


def _ask(call: Call[int | None]) -> Script[Enqueued | None]:
    id: int | None = yield call
    return None if id is None else Enqueued(id, created=False)


def _key(job: object, key: object) -> tuple[str, str]:
    """Scope and key."""
    if isinstance(job, Job):
        if key is not None:
            raise InvalidJob(f"both a job and the key {show(key)} were given; give the job, or its kind and the key")
        if job.key is None:
            raise InvalidJob(f"the job {job.kind} has no unique key; give it unique=… or unique_key=…")
        return job.key
    check_kind(job)
    if not isinstance(key, str):
        raise InvalidJob(f"unique_key {show(key)} is a {type(key).__name__}; give a str")
    check_key(None, key, {})
    return str(job), key
