"""Calls of the SQL functions about schedules, as `calls` has those about jobs. No I/O here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from pgqueue.calls.call import Call, Row, interval, moment, nothing
from pgqueue.calls.jobs import element
from pgqueue.calls.workers import BEAT, Beat
from pgqueue.schedule import Schedule

CHANNEL: Final = "pgqueue_schedule"
"""Notified when a schedule was made, changed or resumed."""


class DueSchedule(NamedTuple):
    """A schedule that its owner has to look at, as pgqueue.due_schedules gives it."""

    name: str
    revision: int
    cron: str | None
    every: float | None
    """Seconds."""
    tz: str
    start_at: datetime | None
    end_at: datetime | None
    missed: int
    overlap: str
    since: datetime
    """Its first moment comes after this one."""
    next_run_at: datetime | None
    """None: nobody has worked out its first moment yet."""
    watched_at: datetime | None
    """When its owner last saw that it waits for the run before."""
    now: datetime
    """The server's clock."""


class Step(NamedTuple):
    """One step of a schedule, for pgqueue.fire."""

    name: str
    revision: int
    due_at: datetime
    """Where it stands."""
    fire_at: datetime | None
    """The moment to fire; None for none."""
    next_run_at: datetime | None
    """Where it goes on; None: it has ended."""


class Fired(NamedTuple):
    """What became of a step."""

    name: str
    due_at: datetime
    outcome: str
    """fired, skipped, held, passed, early or stale; see pgqueue.fire."""
    job: int | None


# What applications and operators call


def clock() -> Call[datetime]:
    """The server's clock."""
    return Call("select clock_timestamp()", {}, lambda rows: rows[0][0].astimezone(UTC))


_SCHEDULE: Final = """select s.created, s.next_run_at
from jsonb_to_record(cast(%(given)s as jsonb)) as g (
    name text, kind text, args jsonb, cron text, every interval, tz text, queue text, options jsonb,
    start_at timestamptz, end_at timestamptz, max_runs integer, jitter interval, missed integer, overlap text,
    any_kind boolean, first_run_at timestamptz
)
cross join lateral pgqueue.schedule(
    g.name, g.kind, g.args, g.cron, g.every, g.tz, g.queue, g.options, g.start_at, g.end_at, g.max_runs, g.jitter,
    g.missed, g.overlap, g.any_kind, g.first_run_at
) s"""


def schedule(schedule: Schedule, any_kind: bool, first: datetime | None) -> Call[tuple[bool, datetime | None]]:
    """Makes or changes a schedule; the answer is whether it was made, and its next moment. first: its first moment."""
    given = definition(schedule) | {"any_kind": any_kind, "first_run_at": moment(first)}
    return Call(_SCHEDULE, {"given": json.dumps(given, ensure_ascii=False)}, lambda rows: (rows[0][0], rows[0][1]))


def pause_schedule(name: str) -> Call[None]:
    """Keeps it from firing."""
    return Call("select pgqueue.pause_schedule(cast(%(name)s as text))", {"name": name}, nothing)


def resume_schedule(name: str) -> Call[None]:
    """Lets it fire again."""
    return Call("select pgqueue.resume_schedule(cast(%(name)s as text))", {"name": name}, nothing)


def run_schedule(name: str) -> Call[int]:
    """Enqueues a job of it now; the answer is the job's id."""
    return Call("select pgqueue.run_schedule(cast(%(name)s as text))", {"name": name}, lambda rows: int(rows[0][0]))


def remove_schedule(name: str) -> Call[None]:
    """Forgets it."""
    return Call("select pgqueue.remove_schedule(cast(%(name)s as text))", {"name": name}, nothing)


def prune_schedules() -> Call[list[str]]:
    """Forgets those that vanished from the code; the answer is their names."""
    return Call("select p.name from pgqueue.prune_schedules() p (name)", {}, _names)


# What a worker calls


def declare(worker: int, schedules: Iterable[Schedule], known: bool) -> Call[None]:
    """Says which schedules are in this worker's code. known: it was declared by this process before."""
    sql = "select pgqueue.declare(%(worker)s, %(schedules)s::jsonb, %(known)s)"
    given = json.dumps([definition(each) for each in schedules], ensure_ascii=False)
    return Call(sql, {"worker": worker, "schedules": given, "known": known}, nothing)


class Look(NamedTuple):
    """What a worker sees at each tick."""

    leads: bool
    """Whether its session leads."""
    rescue: bool
    """Whether a rescue may find somebody."""
    tidy: bool
    """Whether a job may have expired, or may follow another of its unique key."""
    forget: bool
    """Whether a queue may be marked as one that somebody sleeps in, and nobody does."""
    schedules: list[DueSchedule]
    """Those to look at."""


_LOOK: Final = """select l.leads, t.rescue, t.tidy, t.forget, d.* from (
    select case when %(direct)s then pgqueue.lead() else pgqueue.stand_in() end as leads
) l
cross join lateral pgqueue.duties() t
left join lateral pgqueue.due_schedules(
    case when l.leads then %(within)s else - %(patience)s end * interval '1 second', %(limit)s) d on true"""

_BEAT_AND_LOOK: Final = _LOOK.replace("from (", f"from {BEAT} b cross join (", 1)


def look(within: float, patience: float, limit: int, direct: bool, beat: Beat | None) -> Call[Look]:
    """Whether this session leads, and what there is to do: in one trip, as each worker asks at each tick.

    within:    seconds; the leader's are due now or so soon.
    patience:  seconds; others look at those that are overdue by so much.
    direct:    whether this session is the worker's own.
    beat:      the worker's sign of life, given in the same transaction: an idle worker costs one a second.
    """

    def read(rows: Sequence[Row]) -> Look:
        leads, rescue, tidy, forget = rows[0][:4]
        return Look(leads, rescue, tidy, forget, [DueSchedule(*row[4:]) for row in rows if row[4] is not None])

    params = {"within": within, "patience": patience, "limit": limit, "direct": direct}
    if beat is None:
        return Call(_LOOK, params, read)
    return Call(_BEAT_AND_LOOK, params | beat._asdict(), read)


def plan_schedule(name: str, revision: int, next_run_at: datetime | None, error: str | None) -> Call[bool]:
    """Keeps the first moment of a schedule, or why it has none; the answer is whether it had not changed."""
    sql = "select pgqueue.plan_schedule(%(name)s, %(revision)s, %(next_run_at)s::timestamptz, %(error)s)"
    params = {"name": name, "revision": revision, "next_run_at": next_run_at, "error": error}
    return Call(sql, params, lambda rows: bool(rows[0][0]))


def fire(steps: Sequence[Step]) -> Call[list[Fired]]:
    """Fires what is due, in one transaction."""
    sql = """select f.name, f.due_at, f.outcome, f.job from pgqueue.fire(%(names)s::text[], %(revisions)s::integer[],
        %(due_at)s::timestamptz[], %(fire_at)s::timestamptz[], %(next_run_at)s::timestamptz[]) f"""
    params = {
        "names": [step.name for step in steps],
        "revisions": [step.revision for step in steps],
        "due_at": [step.due_at for step in steps],
        "fire_at": [step.fire_at for step in steps],
        "next_run_at": [step.next_run_at for step in steps],
    }
    return Call(sql, params, lambda rows: [Fired(*row) for row in rows])


def vanished() -> Call[list[str]]:
    """Schedules that came from code and are in the code of no running worker."""
    sql = "select v.name from pgqueue.schedules v where v.source = 'code' and not v.in_code order by v.name"
    return Call(sql, {}, _names)


def definition(schedule: Schedule) -> dict[str, Any]:
    """A schedule as JSON, each key as the parameter of pgqueue.schedule."""
    options = json.loads(element(schedule.job))
    return {
        "name": schedule.name,
        "kind": options.pop("kind"),
        "args": options.pop("args"),
        "queue": options.pop("queue", "default"),
        "options": options,
        "cron": schedule.cron,
        "every": interval("every", schedule.every),
        "tz": schedule.tz,
        "start_at": moment(schedule.start_at),
        "end_at": moment(schedule.end_at),
        "max_runs": schedule.max_runs,
        "jitter": interval("jitter", schedule.jitter),
        "missed": schedule.missed_runs,
        "overlap": schedule.overlap,
    }


def _names(rows: Sequence[Row]) -> list[str]:
    return [row[0] for row in rows]
