"""What a worker calls for its jobs: taking them, telling what became of them, sleeping and waking."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

from pgqueue.calls.call import Call, Row, array, column, first, nothing, received


class ClaimedJob(NamedTuple):
    """A job that this worker holds, as pgqueue.claim gives it.

    A row whose `kind` is None says instead that the claim on a finished job was lost; all but its id are None.
    """

    id: int
    claims: int
    queue: str
    kind: str
    args: str
    """JSON text."""
    priority: int
    attempt: int
    max_attempts: int
    run_at: bytes
    created_at: bytes
    """As `timestamptz_send` gives them, for `received`: few ask, and a `datetime` takes as long as all else that is
    loaded."""
    timeout: timedelta | None
    meta: str | None = None
    """What else the handler is told, as JSON text; None for nothing."""


_EXCHANGE: Final = """select e.id, e.claims, e.queue, e.kind, e.args::text, e.priority, e.attempt, e.max_attempts,
    timestamptz_send(e.run_at), timestamptz_send(e.created_at), e.timeout, e.meta::text
    from pgqueue.exchange(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[], %(results)s::jsonb[],
    %(queues)s::text[], %(limits)s::integer[], %(after_run_at)s::timestamptz[], %(after_id)s::bigint[],
    %(result_ttls)s::interval[]) e"""


def _claimed(rows: Sequence[Row]) -> list[ClaimedJob]:
    """Jobs of rows: `ClaimedJob._make` for each, without a frame of Python for each."""
    return list(map(tuple.__new__, itertools.repeat(ClaimedJob), rows))


def exchange(
    worker: int,
    ids: Iterable[int],
    claims: Iterable[int],
    results: Sequence[str | None] | None,
    wanted: Mapping[str, int],
    after_run_at: Sequence[bytes | None] | None,
    after_id: Sequence[int | None] | None,
    result_ttls: Sequence[timedelta | None] | None = None,
) -> Call[list[ClaimedJob]]:
    """Hands in completed jobs and takes new ones.

    results:      JSON text or None for each id; None when no handler returned anything.
    wanted:       how many jobs to take from each queue.
    after_*:      claim cursors, ten for each queue of `wanted`, one after the other, as jobs have them; None to sweep
                  from the start.
    result_ttls:  for how long each result can be read; None, here or for one: as long as the job is kept.
    """
    params = {
        "worker": worker,
        "ids": array(ids),
        "claims": array(claims),
        "results": results,
        "queues": list(wanted),
        "limits": list(wanted.values()),
        "after_run_at": None if after_run_at is None else [None if m is None else received(m) for m in after_run_at],
        "after_id": after_id,
        "result_ttls": result_ttls,
    }
    return Call(_EXCHANGE, params, _claimed)


def fail(
    worker: int,
    ids: Sequence[int],
    claims: Sequence[int],
    errors: Sequence[str],
    tracebacks: Sequence[str | None],
    retry_in: Sequence[timedelta | None],
    fingerprints: Sequence[str | None],
) -> Call[list[int]]:
    """Records failed attempts; the answer is the ids whose claim was lost.

    retry_in:      None: never again.
    fingerprints:  None: that of the error's type.
    """
    sql = """select * from pgqueue.fail(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[], %(errors)s::text[],
        %(tracebacks)s::text[], %(retry_in)s::interval[], %(fingerprints)s::text[])"""
    params = {
        "worker": worker,
        "ids": ids,
        "claims": claims,
        "errors": errors,
        "tracebacks": tracebacks,
        "retry_in": retry_in,
        "fingerprints": fingerprints,
    }
    return Call(sql, params, column)


def snooze(
    worker: int, ids: Sequence[int], claims: Sequence[int], delays: Sequence[timedelta], reasons: Sequence[str]
) -> Call[list[int]]:
    """Lets jobs start again later; the answer is the ids whose claim was lost."""
    sql = """select * from pgqueue.snooze(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[], %(delays)s::interval[],
        %(reasons)s::text[])"""
    return Call(sql, {"worker": worker, "ids": ids, "claims": claims, "delays": delays, "reasons": reasons}, column)


def set_aside(worker: int, ids: Sequence[int], claims: Sequence[int]) -> Call[list[int]]:
    """Lets jobs wait for a worker that knows their kind; the answer is the ids whose claim was lost."""
    sql = "select * from pgqueue.set_aside(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[])"
    return Call(sql, {"worker": worker, "ids": ids, "claims": claims}, column)


def abandon(worker: int, ids: Sequence[int], claims: Sequence[int], reasons: Sequence[str | None]) -> Call[list[int]]:
    """Ends running jobs as cancelled; the answer is the ids whose claim was lost. reasons None: of who asked for it."""
    sql = "select * from pgqueue.abandon(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[], %(reasons)s::text[])"
    return Call(sql, {"worker": worker, "ids": ids, "claims": claims, "reasons": reasons}, column)


def release(worker: int, ids: Sequence[int], claims: Sequence[int]) -> Call[list[int]]:
    """Gives jobs back unstarted; the answer is the ids that were still held."""
    sql = "select * from pgqueue.release(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[])"
    return Call(sql, {"worker": worker, "ids": ids, "claims": claims}, column)


def reconcile(worker: int, ids: Sequence[int], claims: Sequence[int]) -> Call[list[int]]:
    """Gives back what the worker holds on record but not in fact; the answer is the ids that went back."""
    sql = "select * from pgqueue.reconcile(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[])"
    return Call(sql, {"worker": worker, "ids": ids, "claims": claims}, column)


def finish_within(
    worker: int,
    ids: Sequence[int],
    claims: Sequence[int],
    results: Sequence[str | None] | None,
    mark: str,
    result_ttls: Sequence[timedelta | None] | None = None,
) -> Call[None]:
    """Completes jobs in the transaction of their handler. mark: what that transaction has as pgqueue.handler.

    results, result_ttls: as in `exchange`.
    """
    sql = """select pgqueue.finish_within(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[], %(results)s::jsonb[],
        %(mark)s, %(result_ttls)s::interval[])"""
    params = {
        "worker": worker,
        "ids": array(ids),
        "claims": array(claims),
        "results": results,
        "mark": mark,
        "result_ttls": result_ttls,
    }
    return Call(sql, params, nothing)


def once(worker: int, job: int, claims: int, key: str, value: str | None) -> Call[tuple[bool, str | None]]:
    """Records a step of a job; the answer is whether it was the first time, and the value on record.

    value: JSON text; None for a step that is only noted.
    """
    sql = """select o.first, o.value::text from pgqueue.once(%(worker)s, %(job)s, %(claims)s, %(key)s,
        %(value)s::jsonb) o"""
    params = {"worker": worker, "job": job, "claims": claims, "key": key, "value": value}
    return Call(sql, params, lambda rows: (rows[0][0], rows[0][1]))


def recall(worker: int, job: int, claims: int, key: str) -> Call[tuple[bool, str | None]]:
    """Whether a step of a job was taken before, and the value on record, as JSON text."""
    sql = "select r.value::text from pgqueue.recall(%(worker)s, %(job)s, %(claims)s, %(key)s) r"
    params = {"worker": worker, "job": job, "claims": claims, "key": key}
    return Call(sql, params, lambda rows: (True, rows[0][0]) if rows else (False, None))


def cancel_asked(worker: int, ids: Sequence[int], claims: Sequence[int]) -> Call[list[tuple[int, int, str | None]]]:
    """Which of these running jobs somebody asked to stop: id, claims, reason."""
    sql = "select * from pgqueue.cancel_asked(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[])"
    return Call(sql, {"worker": worker, "ids": ids, "claims": claims}, lambda rows: [(r[0], r[1], r[2]) for r in rows])


def hold(worker: int, ids: Sequence[int], claims: Sequence[int]) -> Call[list[int]]:
    """Takes back claims that a crashed server forgot; the answer is the ids that the worker does not hold any more."""
    sql = "select * from pgqueue.hold(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[])"
    return Call(sql, {"worker": worker, "ids": ids, "claims": claims}, column)


def park(queue: str) -> Call[bool]:
    """Announces sleep; the answer is whether one more claim would see every job that nobody rang for."""
    return Call("select pgqueue.park(%(queue)s)", {"queue": queue}, first)


def settled(queue: str) -> Call[bool]:
    """The second half of `park`, to ask again."""
    return Call("select pgqueue.settled(%(queue)s)", {"queue": queue}, first)


def unpark(queue: str) -> Call[None]:
    """Awake again."""
    return Call("select pgqueue.unpark(%(queue)s)", {"queue": queue}, nothing)


def next_run_at(queue: str) -> Call[float | None]:
    """Seconds until the next waiting job of the queue may start, 0 or less if it may now; None when none waits."""
    sql = "select extract(epoch from pgqueue.next_run_at(%(queue)s) - clock_timestamp())::double precision"
    return Call(sql, {"queue": queue}, first)
