"""What applications call about jobs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from typing import Any, Final, Literal

from pgqueue.calls.call import Call, first, interval, moment, nothing
from pgqueue.job import DEFAULT_MAX_ATTEMPTS, DEFAULT_PRIORITY, DEFAULT_QUEUE, Enqueued, Job, encode
from pgqueue.unique import Unique

Cancelling = Literal["cancelled", "asked"]
"""What became of a cancel: the job ended, or it runs and its worker was told to stop it."""

_TYPES: Final = {
    "kind": "text",
    "args": "jsonb",
    "queue": "text",
    "priority": "integer",
    "run_at": "timestamptz",
    "delay": "interval",
    "max_attempts": "integer",
    "timeout": "interval",
    "meta": "jsonb",
    "expires_at": "timestamptz",
    "expires_in": "interval",
    "unique_key": "text",
    "unique_scope": "text",
    "unique_until": "text",
    "unique_for": "interval",
    "on_conflict": "text",
}
"""Parameters of pgqueue.enqueue."""


def enqueue(job: Job) -> Call[Enqueued]:
    """Adds one job to the transaction."""
    params: dict[str, Any] = {"kind": job.kind, "args": job.payload}
    if job.queue != DEFAULT_QUEUE:
        params["queue"] = job.queue
    if job.priority != DEFAULT_PRIORITY:
        params["priority"] = job.priority
    if job.max_attempts != DEFAULT_MAX_ATTEMPTS:
        params["max_attempts"] = job.max_attempts
    params |= _options(job)
    return Call(_enqueue(tuple(params)), params, lambda rows: Enqueued(*rows[0]))


@cache
def _enqueue(names: tuple[str, ...]) -> str:
    """The statement that gives these parameters: each costs the server as much as a part of the insert.

    Not `select … from pgqueue.enqueue(…)`: that would keep the one row in a tuple store first.
    """
    given = ", ".join(f"{name} => {_cast(name)}" for name in names)
    return f"select (e.added).id, (e.added).created from (select pgqueue.enqueue({given}) as added) e"  # noqa: S608


def _cast(name: str) -> str:
    """Times go as text: drivers send what they take for a time in types of their own."""
    type_ = _TYPES[name]
    sent = f"cast(%({name})s as text)" if type_ in ("timestamptz", "interval") else f"%({name})s"
    return f"cast({sent} as {type_})"


def enqueue_many(jobs: Iterable[Job]) -> Call[list[Enqueued]]:
    """Adds jobs to the transaction in one statement; the answer is in their order."""
    # One row with two arrays: ten thousand rows would cost twice as much to send and to read.
    sql = """select coalesce(array_agg(e.id), '{}'), coalesce(array_agg(e.created), '{}')
        from pgqueue.enqueue_many(cast(%(jobs)s as jsonb)) e"""
    return Call(sql, {"jobs": f"[{','.join(map(element, jobs))}]"}, lambda rows: list(map(Enqueued, *rows[0])))


def cancel(id: int, reason: str | None) -> Call[Cancelling]:
    """Ends a waiting job as cancelled, asks the worker of a running one to stop it; the answer is which."""
    sql = "select pgqueue.cancel(cast(cast(%(id)s as text) as bigint), cast(%(reason)s as text))"
    return Call(sql, {"id": str(id), "reason": reason}, first)


def retry(id: int) -> Call[None]:
    """Brings a dead job back."""
    return Call("select pgqueue.retry(cast(cast(%(id)s as text) as bigint))", {"id": str(id)}, nothing)


def element(job: Job) -> str:
    """One job of `enqueue_many`, as JSON text. Defaults are left out; names need no escaping, their rules see to it."""
    text = f'{{"kind":"{job.kind}","args":{job.payload}'
    if job.queue != DEFAULT_QUEUE:
        text += f',"queue":"{job.queue}"'
    if job.priority != DEFAULT_PRIORITY:
        text += f',"priority":{job.priority}'
    if job.max_attempts != DEFAULT_MAX_ATTEMPTS:
        text += f',"max_attempts":{job.max_attempts}'
    for name, value in _options(job).items():
        text += f',"{name}":{value if name == "meta" else json.dumps(value)}'
    return text + "}"


def _options(job: Job) -> dict[str, str]:
    """What most jobs do not say, as parameters of pgqueue.enqueue."""
    if (
        job.run_at is None
        and job.delay is None
        and job.timeout is None
        and job.meta is None
        and job.expires_at is None
        and job.expires_in is None
        and job.unique is None
        and job.unique_key is None
    ):
        return {}
    options = {
        "run_at": moment(job.run_at),
        "delay": interval("delay", job.delay),
        "timeout": interval("timeout", job.timeout),
        "meta": None if job.meta is None else encode("meta", job.meta),
        "expires_at": moment(job.expires_at),
        "expires_in": interval("expires_in", job.expires_in),
    }
    if (key := job.key) is not None:
        unique = job.unique or Unique()
        options |= {
            "unique_scope": key[0],
            "unique_key": key[1],
            "unique_until": unique.until,
            "unique_for": interval("within", unique.within),
            "on_conflict": unique.on_conflict,
        }
    return {name: value for name, value in options.items() if value is not None}
