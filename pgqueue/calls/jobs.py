"""What applications call about jobs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final, Literal

from pgqueue.calls.call import Call, first, interval, moment, nothing
from pgqueue.job import DEFAULT_MAX_ATTEMPTS, DEFAULT_PRIORITY, DEFAULT_QUEUE, Enqueued, Job, encode
from pgqueue.unique import Unique

Cancelling = Literal["cancelled", "asked"]
"""What became of a cancel: the job ended, or it runs and its worker was told to stop it."""

_ENQUEUE: Final = """select e.id, e.created from pgqueue.enqueue(
    kind => cast(%(kind)s as text), args => cast(%(args)s as jsonb), queue => cast(%(queue)s as text),
    priority => cast(%(priority)s as integer), run_at => cast(cast(%(run_at)s as text) as timestamptz),
    delay => cast(cast(%(delay)s as text) as interval), max_attempts => cast(%(max_attempts)s as integer),
    timeout => cast(cast(%(timeout)s as text) as interval), meta => cast(%(meta)s as jsonb)) e"""


_ENQUEUE_UNIQUE: Final = (
    _ENQUEUE.removesuffix(") e")
    + """,
    expires_at => cast(cast(%(expires_at)s as text) as timestamptz),
    expires_in => cast(cast(%(expires_in)s as text) as interval),
    unique_key => cast(%(unique_key)s as text), unique_scope => cast(%(unique_scope)s as text),
    unique_until => cast(%(unique_until)s as text), unique_for => cast(cast(%(unique_for)s as text) as interval),
    on_conflict => cast(%(on_conflict)s as text)) e"""
)
"""For jobs that are unique or expire: all others neither send nor pay for it."""


def enqueue(job: Job) -> Call[Enqueued]:
    """Adds one job to the transaction."""
    params = {
        "kind": job.kind,
        "args": job.payload,
        "queue": job.queue,
        "priority": job.priority,
        "run_at": moment(job.run_at),
        "delay": interval("delay", job.delay),
        "max_attempts": job.max_attempts,
        "timeout": interval("timeout", job.timeout),
        "meta": None if job.meta is None else encode("meta", job.meta),
    }
    if (job.expires_at or job.expires_in or job.unique or job.unique_key) is not None:
        params |= dict.fromkeys(_EXTRAS) | _extras(job)
        return Call(_ENQUEUE_UNIQUE, params, lambda rows: Enqueued(*rows[0]))
    return Call(_ENQUEUE, params, lambda rows: Enqueued(*rows[0]))


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
    parts = [f'{{"kind":"{job.kind}","args":{job.payload}']
    if job.queue != DEFAULT_QUEUE:
        parts.append(f'"queue":"{job.queue}"')
    if job.priority != DEFAULT_PRIORITY:
        parts.append(f'"priority":{job.priority}')
    if job.max_attempts != DEFAULT_MAX_ATTEMPTS:
        parts.append(f'"max_attempts":{job.max_attempts}')
    if job.run_at is not None:
        parts.append(f'"run_at":"{moment(job.run_at)}"')
    if job.delay is not None:
        parts.append(f'"delay":"{interval("delay", job.delay)}"')
    if job.timeout is not None:
        parts.append(f'"timeout":"{interval("timeout", job.timeout)}"')
    if job.meta is not None:
        parts.append(f'"meta":{encode("meta", job.meta)}')
    if (job.expires_at or job.expires_in or job.unique or job.unique_key) is not None:
        parts += [f'"{name}":{json.dumps(value)}' for name, value in _extras(job).items()]
    return ",".join(parts) + "}"


_EXTRAS: Final = ("expires_at", "expires_in", "unique_key", "unique_scope", "unique_until", "unique_for", "on_conflict")


def _extras(job: Job) -> dict[str, str | None]:
    """How a job expires and is unique, as parameters of pgqueue.enqueue."""
    extras: dict[str, str | None] = {}
    if job.expires_at is not None:
        extras["expires_at"] = moment(job.expires_at)
    if job.expires_in is not None:
        extras["expires_in"] = interval("expires_in", job.expires_in)
    if (key := job.key) is not None:
        unique = job.unique or Unique()
        extras |= {
            "unique_scope": key[0],
            "unique_key": key[1],
            "unique_until": unique.until,
            "unique_for": interval("within", unique.within),
            "on_conflict": unique.on_conflict,
        }
    return extras
