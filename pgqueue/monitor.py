"""What is in the queue: reads the views, changes nothing.

The views are the contract (`sql/views`); these are their rows with types. Times are the database's, aware; lengths of
time are timedeltas. Each function takes the connection first and refuses a schema that is not this code's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar, cast

import psycopg

from pgqueue.calls import Call
from pgqueue.connections import Script, run
from pgqueue.errors import JobNotFound

T = TypeVar("T")

STATES: Final = ("scheduled", "ready", "running", "completed", "failed", "cancelled", "expired")
"""States of a job, in the order of its life."""


@dataclass(frozen=True, slots=True)
class QueueStats:
    """Jobs of a queue by state. Finished ones are counted as long as retention keeps them."""

    queue: str
    ready: int
    scheduled: int
    running: int
    completed: int
    failed: int
    cancelled: int
    expired: int
    oldest_ready_age: timedelta | None
    """How long the oldest ready job has been due; None when none is ready."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker process."""

    id: int
    name: str
    host: str
    pid: int
    version: str
    queues: Mapping[str, int]
    """Queue name → slots."""
    state: str
    """running, stopping, stopped, silent (no beat for 10 s) or dead."""
    running: int
    """Jobs it was running at its last heartbeat."""
    started_at: datetime
    heartbeat_at: datetime
    ended_at: datetime | None
    """None while it lives."""


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job, live or finished."""

    id: int
    queue: str
    kind: str
    state: str
    """One of STATES."""
    args: Mapping[str, Any]
    priority: int
    attempt: int
    """Attempts started so far."""
    max_attempts: int
    run_at: datetime
    created_at: datetime
    started_at: datetime | None
    """When its last attempt was claimed; None if it never was."""
    finished_at: datetime | None
    """None while it lives."""
    worker: str | None
    """Name of the worker of its last attempt; None if it waits or that worker is forgotten."""
    error: str | None
    """Its last error, or why it was cancelled."""
    result: Any
    """What the handler returned; None for nothing."""
    timeout: timedelta | None
    """Longest run time of one attempt; None: as the handler says."""
    expires_at: datetime | None
    """Not started after this moment; None: never too late."""
    unique_key: str | None
    """The key it was enqueued under; None for none."""
    progress: float | None
    """How far its last attempt has come, 0 to 1, by its own account; None if it does not say."""
    progress_message: str | None
    """What that attempt said it was doing."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """What a job wrote with ctx.log(…), visible while it runs."""

    attempt: int
    """Which one wrote it, from 1; begins again after a retry by hand."""
    at: datetime
    level: str
    """debug, info, warning, error or critical."""
    text: str
    claims: int
    """Grows with each start of the job: together with `line` it orders the lines."""
    line: int


@dataclass(frozen=True, slots=True)
class AttemptInfo:
    """An attempt that did not succeed."""

    attempt: int
    """Which one it was, from 1; begins again after a retry by hand."""
    worker: int
    """`WorkerInfo.id` of who ran it."""
    started_at: datetime
    finished_at: datetime
    error: str
    traceback: str | None
    """None when the worker died."""
    fingerprint: str
    """The same for errors of one type from one place, whatever their message."""


@dataclass(frozen=True, slots=True)
class ScheduleInfo:
    """A schedule."""

    name: str
    kind: str
    queue: str
    cron: str | None
    """Cron expression; None: see every."""
    every: timedelta | None
    """Time between two runs; None: see cron."""
    tz: str
    state: str
    """active, paused, ended, error, waiting (for the run before) or late (nobody fires it)."""
    source: str
    """code: declared by workers. operator: made by a call."""
    in_code: bool
    """Whether a running worker has it in its code."""
    next_run_at: datetime | None
    """None when no run comes, or nobody has worked it out yet."""
    last_due_at: datetime | None
    """Moment of its last run."""
    last_run_at: datetime | None
    """When its last job was enqueued."""
    drift: timedelta | None
    """How much later than its moment that was."""
    last_job: int | None
    last_state: str | None
    """State of its last job; None before the first, and when retention has removed it."""
    last_error: str | None
    runs: int
    """Runs so far, without those asked for by hand."""
    skipped: int
    """Moments passed over because the run before was not over."""
    missed: int
    """How many missed runs are made up for."""
    overlap: str
    args: Mapping[str, Any]
    options: Mapping[str, Any]
    """Other options of its jobs, as in enqueue_many."""
    start_at: datetime | None
    end_at: datetime | None
    max_runs: int | None
    jitter: timedelta | None
    paused_at: datetime | None
    error: str | None
    """Why its moments cannot be worked out."""
    owner: str | None
    """Name of the worker that fires schedules now."""
    created_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class UnknownKindInfo:
    """A kind whose jobs wait because no worker has a handler for it."""

    kind: str
    queue: str
    jobs: int
    since: datetime
    """When the first of them was found."""


_JOBS: Final = """
select {columns} from pgqueue.jobs v
where (cast(%(queue)s as text) is null or v.queue = %(queue)s)
    and (cast(%(kind)s as text) is null or v.kind = %(kind)s)
    and (cast(%(state)s as text) is null or v.state = %(state)s)
    and (cast(%(before)s as bigint) is null or v.id < %(before)s)
order by v.id desc limit %(limit)s
"""


def queues(connection: psycopg.Connection[Any]) -> list[QueueStats]:
    """Every queue that has jobs or settings, by name."""
    return _read(connection, QueueStats, "select {columns} from pgqueue.queue_stats v order by v.queue", {})


def unknown_kinds(connection: psycopg.Connection[Any]) -> list[UnknownKindInfo]:
    """Kinds whose jobs wait for a worker that has a handler for them, by name and queue."""
    sql = "select {columns} from pgqueue.unknown_kinds v order by v.kind, v.queue"
    return _read(connection, UnknownKindInfo, sql, {})


def workers(connection: psycopg.Connection[Any], *, stopped: bool = False) -> list[WorkerInfo]:
    """Worker processes by age; those that died within a day as well. stopped: and those that ended in order."""
    sql = "select {columns} from pgqueue.workers v where %(stopped)s or v.state <> 'stopped' order by v.id"
    return _read(connection, WorkerInfo, sql, {"stopped": stopped})


def schedules(connection: psycopg.Connection[Any]) -> list[ScheduleInfo]:
    """All schedules, by name."""
    return _read(connection, ScheduleInfo, "select {columns} from pgqueue.schedules v order by v.name", {})


def jobs(
    connection: psycopg.Connection[Any],
    *,
    queue: str | None = None,
    kind: str | None = None,
    state: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[JobInfo]:
    """Jobs, the newest first; None of a filter means any.

    before:  only jobs with a smaller id: that of the last one of a page, to get the next.
    limit:   at most so many.
    """
    params = {"queue": queue, "kind": kind, "state": state, "before": before, "limit": limit}
    return _read(connection, JobInfo, _JOBS, params)


def job(connection: psycopg.Connection[Any], id: int) -> JobInfo:
    """One job. Raises `JobNotFound`."""
    found = _read(connection, JobInfo, "select {columns} from pgqueue.jobs v where v.id = %(id)s", {"id": id})
    if not found:
        raise JobNotFound(f"job {id} does not exist. It may have finished and been removed by retention")
    return found[0]


def attempts(connection: psycopg.Connection[Any], id: int) -> list[AttemptInfo]:
    """The attempts of a job that did not succeed, oldest first."""
    sql = "select {columns} from pgqueue.attempt v where v.job = %(id)s order by v.claims"
    return _read(connection, AttemptInfo, sql, {"id": id})


def log(connection: psycopg.Connection[Any], id: int, *, limit: int = 1_000) -> list[LogLine]:
    """The last lines that a job wrote, oldest first. limit: at most so many."""
    sql = """select {columns} from pgqueue.job_logs v where v.job = %(id)s
        order by v.claims desc, v.line desc limit %(limit)s"""
    return _read(connection, LogLine, sql, {"id": id, "limit": limit})[::-1]


def _read(connection: psycopg.Connection[Any], row: type[T], sql: str, params: Mapping[str, Any]) -> list[T]:
    """Rows of a query as `row`; {columns} in it stands for its fields."""
    columns = ", ".join(f"v.{name}" for name in cast("Any", row).__slots__)

    def read(rows: Sequence[Sequence[Any]]) -> list[T]:
        return [row(*values) for values in rows]

    return cast("list[T]", run(connection, _ask(Call(sql.format(columns=columns), params, read))))


def _ask(call: Call[list[T]]) -> Script[list[T]]:
    rows: list[T] = yield call
    return rows
