"""One value per SQL function: what to send, with what, and how to read the answer. No I/O here.

    Call(sql, params, read)

`sql` names its parameters `%(name)s`, as psycopg does; `connections` rewrites that for other drivers. Parameters of
the calls an application makes are numbers and text, cast in the SQL, since drivers disagree about everything else.
The calls a worker makes go through psycopg only and use its types.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar

from pgqueue.job import DEFAULT_MAX_ATTEMPTS, DEFAULT_PRIORITY, DEFAULT_QUEUE, Enqueued, Job, encode, seconds
from pgqueue.unique import Unique

SCHEMA_REVISION: Final = "0004"
"""Revision of the schema that this code speaks: the newest step in alembic/versions."""

Cancelling = Literal["cancelled", "asked"]
"""What became of a cancel: the job ended, or it runs and its worker was told to stop it."""

TAKE_UP: Final = 10_000
"""Jobs that one `take_up` makes ready at most."""

T = TypeVar("T")
Row = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A call of one SQL function. `read` turns all its rows into the answer."""

    sql: str
    params: Mapping[str, Any]
    read: Callable[[Sequence[Row]], T]


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
    run_at: datetime
    created_at: datetime
    timeout: timedelta | None
    meta: str | None = None
    """What else the handler is told, as JSON text; None for nothing."""


# What applications call


def schema_revision() -> Call[str | None]:
    """The revision of the schema in the database; None when its table is empty."""
    sql = "select v.version_num from pgqueue.alembic_version v"
    return Call(sql, {}, lambda rows: str(rows[0][0]) if rows else None)


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
    return Call(sql, {"id": str(id), "reason": reason}, _first)


def retry(id: int) -> Call[None]:
    """Brings a dead job back."""
    return Call("select pgqueue.retry(cast(cast(%(id)s as text) as bigint))", {"id": str(id)}, _nothing)


# What a worker calls


def register(name: str, host: str, pid: int, version: str, queues: str, kinds: str, direct: bool) -> Call[int]:
    """Makes a worker known; the answer is its id.

    queues:  JSON text {"queue": slots}.
    kinds:   JSON text {"kind": kind of its on_failed hook, or null}.
    direct:  whether the session is the worker's own.
    """
    sql = """select pgqueue.register(%(name)s, %(host)s, %(pid)s, %(version)s, %(queues)s::jsonb, %(kinds)s::jsonb,
        %(direct)s)"""
    params = {
        "name": name,
        "host": host,
        "pid": pid,
        "version": version,
        "queues": queues,
        "kinds": kinds,
        "direct": direct,
    }
    return Call(sql, params, _first)


def heartbeat(worker: int, running: int, stopping: bool) -> Call[None]:
    """A sign of life."""
    sql = "select pgqueue.heartbeat(%(worker)s, %(running)s, %(stopping)s)"
    return Call(sql, {"worker": worker, "running": running, "stopping": stopping}, _nothing)


def attach(worker: int) -> Call[bool]:
    """Takes the liveness lock on a new session; the answer is whether it was free."""
    return Call("select pgqueue.attach(%(worker)s)", {"worker": worker}, _first)


def leave(worker: int) -> Call[None]:
    """Ends a worker in order."""
    return Call("select pgqueue.leave(%(worker)s)", {"worker": worker}, _nothing)


def at_work(pid: int, started: datetime) -> Call[bool | None]:
    """Whether the server session still works on a statement; None when the server does not tell."""
    return Call("select pgqueue.at_work(%(pid)s::integer, %(started)s)", {"pid": pid, "started": started}, _first)


def end_session(pid: int, started: datetime) -> Call[bool]:
    """Asks a lost server session to end; the answer is whether it is over."""
    return Call("select pgqueue.end_session(%(pid)s::integer, %(started)s)", {"pid": pid, "started": started}, _first)


def rescue() -> Call[list[tuple[int, int]]]:
    """Gives back the jobs of dead workers; the answer is (worker, jobs) for each death."""
    return Call("select r.worker, r.jobs from pgqueue.rescue() r", {}, lambda rows: [(r[0], r[1]) for r in rows])


def tidy() -> Call[tuple[int, int]]:
    """Ends jobs that expired and lets those start that waited for another; the answer is how many of each."""
    return Call("select pgqueue.expire(), pgqueue.follow()", {}, lambda rows: (rows[0][0], rows[0][1]))


def forget_keys(limit: int) -> Call[int]:
    """Removes unique keys that nobody holds, at most `limit`; the answer is how many."""
    return Call("select pgqueue.forget_keys(%(limit)s)", {"limit": limit}, _first)


def maintain() -> Call[None]:
    """Makes the archive's partitions ahead and drops what retention no longer keeps."""
    return Call("select pgqueue.maintain()", {}, _nothing)


_EXCHANGE: Final = """select e.id, e.claims, e.queue, e.kind, e.args::text, e.priority, e.attempt, e.max_attempts,
    e.run_at, e.created_at, e.timeout, e.meta::text from pgqueue.exchange(%(worker)s, %(ids)s::bigint[],
    %(claims)s::integer[], %(results)s::jsonb[], %(queues)s::text[], %(limits)s::integer[],
    %(after_run_at)s::timestamptz[], %(after_id)s::bigint[], %(result_ttls)s::interval[]) e"""


def exchange(
    worker: int,
    ids: Sequence[int],
    claims: Sequence[int],
    results: Sequence[str | None] | None,
    wanted: Mapping[str, int],
    after_run_at: Sequence[datetime | None] | None,
    after_id: Sequence[int | None] | None,
    result_ttls: Sequence[timedelta | None] | None = None,
) -> Call[list[ClaimedJob]]:
    """Hands in completed jobs and takes new ones.

    results:      JSON text or None for each id; None when no handler returned anything.
    wanted:       how many jobs to take from each queue.
    after_*:      claim cursors, ten for each queue of `wanted`, one after the other; None to sweep from the start.
    result_ttls:  for how long each result can be read; None, here or for one: as long as the job is kept.
    """
    params = {
        "worker": worker,
        "ids": array(ids),
        "claims": array(claims),
        "results": results,
        "queues": list(wanted),
        "limits": list(wanted.values()),
        "after_run_at": after_run_at,
        "after_id": after_id,
        "result_ttls": result_ttls,
    }
    return Call(_EXCHANGE, params, lambda rows: list(map(ClaimedJob._make, rows)))


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
    return Call(sql, params, _column)


def snooze(
    worker: int, ids: Sequence[int], claims: Sequence[int], delays: Sequence[timedelta], reasons: Sequence[str]
) -> Call[list[int]]:
    """Lets jobs start again later; the answer is the ids whose claim was lost."""
    sql = """select * from pgqueue.snooze(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[], %(delays)s::interval[],
        %(reasons)s::text[])"""
    return Call(sql, {"worker": worker, "ids": ids, "claims": claims, "delays": delays, "reasons": reasons}, _column)


def set_aside(worker: int, ids: Sequence[int], claims: Sequence[int]) -> Call[list[int]]:
    """Lets jobs wait for a worker that knows their kind; the answer is the ids whose claim was lost."""
    sql = "select * from pgqueue.set_aside(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[])"
    return Call(sql, {"worker": worker, "ids": ids, "claims": claims}, _column)


def take_up(worker: int) -> Call[int]:
    """Makes jobs ready that waited for a worker of this one's kinds; the answer is how many, to ask again while it is
    TAKE_UP."""
    return Call("select pgqueue.take_up(%(worker)s, %(limit)s)", {"worker": worker, "limit": TAKE_UP}, _first)


def abandon(worker: int, ids: Sequence[int], claims: Sequence[int], reasons: Sequence[str | None]) -> Call[list[int]]:
    """Ends running jobs as cancelled; the answer is the ids whose claim was lost. reasons None: of who asked for it."""
    sql = "select * from pgqueue.abandon(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[], %(reasons)s::text[])"
    return Call(sql, {"worker": worker, "ids": ids, "claims": claims, "reasons": reasons}, _column)


def release(worker: int, ids: Sequence[int], claims: Sequence[int]) -> Call[list[int]]:
    """Gives jobs back unstarted; the answer is the ids that were still held."""
    sql = "select * from pgqueue.release(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[])"
    return Call(sql, {"worker": worker, "ids": ids, "claims": claims}, _column)


def reconcile(worker: int, ids: Sequence[int], claims: Sequence[int]) -> Call[list[int]]:
    """Gives back what the worker holds on record but not in fact; the answer is the ids that went back."""
    sql = "select * from pgqueue.reconcile(%(worker)s, %(ids)s::bigint[], %(claims)s::integer[])"
    return Call(sql, {"worker": worker, "ids": ids, "claims": claims}, _column)


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
    return Call(sql, params, _nothing)


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
    return Call(sql, {"worker": worker, "ids": ids, "claims": claims}, _column)


def park(queue: str) -> Call[bool]:
    """Announces sleep; the answer is whether one more claim would see every job that nobody rang for."""
    return Call("select pgqueue.park(%(queue)s)", {"queue": queue}, _first)


def settled(queue: str) -> Call[bool]:
    """The second half of `park`, to ask again."""
    return Call("select pgqueue.settled(%(queue)s)", {"queue": queue}, _first)


def unpark(queue: str) -> Call[None]:
    """Awake again."""
    return Call("select pgqueue.unpark(%(queue)s)", {"queue": queue}, _nothing)


def next_run_at(queue: str) -> Call[float | None]:
    """Seconds until the next waiting job of the queue may start, 0 or less if it may now; None when none waits."""
    sql = "select extract(epoch from pgqueue.next_run_at(%(queue)s) - clock_timestamp())::double precision"
    return Call(sql, {"queue": queue}, _first)


def array(numbers: Sequence[int]) -> str:
    """Numbers as the text of an array: a third of what psycopg's own conversion of a list costs."""
    return f"{{{','.join(map(str, numbers))}}}"


def _first(rows: Sequence[Row]) -> Any:
    return rows[0][0]


def _column(rows: Sequence[Row]) -> list[int]:
    return [row[0] for row in rows]


def _nothing(rows: Sequence[Row]) -> None:
    return None


def interval(what: str, length: Any) -> str | None:
    """A length of time as the text of an interval."""
    # Never in exponents, which Postgres does not read.
    return None if length is None else f"{seconds(what, length, zero=True):.6f} seconds"


def moment(moment: datetime | None) -> str | None:
    """A moment as text."""
    # In UTC: Python has offsets that Postgres does not read, of a whole day or of microseconds.
    return None if moment is None else moment.astimezone(UTC).isoformat()


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
