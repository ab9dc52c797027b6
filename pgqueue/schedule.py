"""A schedule: a name, a job, and when. Declared above a handler, or made at run time as a value.

    @cron("0 9 * * mon-fri", tz="Europe/Berlin")
    @job(queue="reports")
    def daily_report() -> None: ...

    schedule(conn, Schedule("nightly", report.job(month=5), every=3600))

The decorators only leave a note on what they decorate, so they go above or below `@job`. A worker collects the notes of
its registered tasks when it starts (`declared`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, TypedDict, TypeVar, Unpack

from pgqueue.cron import Cron, Every, Rule
from pgqueue.cron import moments as moments_of
from pgqueue.errors import ConfigurationError, InvalidJob, InvalidSchedule
from pgqueue.job import Job, Seconds, check_kind, seconds, show
from pgqueue.task import Task, registry

F = TypeVar("F", bound=Callable[..., Any])

Missed = Literal["skip", "once"] | int
Overlap = Literal["allow", "skip", "queue"]

MOST_MISSED: Final = 1000
"""Missed runs of one schedule that are made up for at most."""
LONGEST_JITTER: Final = 86_400.0
_NOTES: Final = "__pgqueue_schedules__"
_EARLIEST: Final = datetime(1, 1, 2, tzinfo=UTC)
_LATEST: Final = datetime(9999, 12, 30, tzinfo=UTC)


class Scheduled(NamedTuple):
    """What `schedule` returns."""

    created: bool
    """False when there was one of that name, which was changed."""
    next_run_at: datetime | None
    """None when no run will come."""


class ScheduleOptions(TypedDict, total=False):
    """What the decorators take beside the time; `Schedule` says what each means."""

    name: str
    args: Mapping[str, Any]
    start_at: datetime | None
    end_at: datetime | None
    max_runs: int | None
    jitter: Seconds | None
    missed: Missed
    overlap: Overlap


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a job is enqueued, again and again.

    name:      there is one schedule of each name; 1 to 255 letters, digits, '.', '_', '-', ':'.
    job:       what is enqueued each time; without run_at and delay.
    cron:      cron expression: five fields, six with seconds in front, or a nickname such as @daily.
    every:     instead of cron: seconds or timedelta between two runs, at least one second. A day is 24 hours.
    tz:        time zone of the expression, a name of the time zone database.
    start_at:  no run before this moment, an aware datetime; an interval is counted from it. None: from now on.
    end_at:    no run after this moment; None for no end.
    max_runs:  it ends after that many runs; None for no limit.
    jitter:    each job starts up to so many seconds after its moment, by chance; None for at once.
    missed:    moments that came while no worker was running: "skip" them, make up for the last one "once", or for the
               last n of them, 0 to 1000.
    overlap:   while the run before is not over: "allow" another, "skip" it, or "queue" it until then.

    Raises `InvalidSchedule`, naming the value, the place in it and the rule.
    """

    name: str
    job: Job
    _: dataclasses.KW_ONLY
    cron: str | None = None
    every: Seconds | None = None
    tz: str = "UTC"
    start_at: datetime | None = None
    end_at: datetime | None = None
    max_runs: int | None = None
    jitter: Seconds | None = None
    missed: Missed = "once"
    overlap: Overlap = "allow"

    def __post_init__(self) -> None:
        try:
            check_name(self.name)
            self._check()
        except InvalidSchedule as error:
            raise InvalidSchedule(f"schedule {show(self.name)}: {error}") from error

    @property
    def rule(self) -> Rule:
        """When it is due, without start and end."""
        return Cron(self.cron, self.tz) if self.cron is not None else Every(self.every or 0)

    @property
    def missed_runs(self) -> int:
        """How many missed runs are made up for."""
        return {"skip": 0, "once": 1}[self.missed] if isinstance(self.missed, str) else self.missed

    def first_run_at(self, now: datetime) -> datetime | None:
        """Its first moment after `now`; None when none comes."""
        return first_moment(self.rule, now, self.start_at, self.end_at)

    def moments(self, now: datetime, count: int = 10) -> list[datetime]:
        """Its next moments after `now`, fewer if it ends before."""
        first = self.first_run_at(now)
        count = count if self.max_runs is None else min(count, self.max_runs)
        if first is None or count < 1:
            return []
        found = [first, *moments_of(self.rule, first, count - 1)]
        return [moment for moment in found if self.end_at is None or moment <= self.end_at]

    def _check(self) -> None:
        if not isinstance(self.job, Job):
            raise InvalidSchedule(
                f"job {show(self.job)} is a {type(self.job).__name__}; give task.job(…) or Job(kind, args)"
            )
        if self.job.run_at is not None or self.job.delay is not None:
            raise InvalidSchedule("its job has a run_at or a delay; a schedule says when its jobs run")
        if (self.cron is None) == (self.every is None):
            raise InvalidSchedule("it needs cron or every, one of them")
        if self.cron is None and self.tz != "UTC":
            raise InvalidSchedule("a time zone goes with cron; an interval is the same everywhere")
        _ = self.rule
        for what, moment in (("start_at", self.start_at), ("end_at", self.end_at)):
            _check_moment(what, moment)
        if self.start_at is not None and self.end_at is not None and self.end_at < self.start_at:
            raise InvalidSchedule(f"end_at {self.end_at} is before start_at {self.start_at}")
        if self.max_runs is not None:
            _check_whole("max_runs", self.max_runs, 1, 2**31 - 1)
        if self.jitter is not None and _seconds("jitter", self.jitter) > LONGEST_JITTER:
            raise InvalidSchedule(f"jitter {show(self.jitter)} is out of range; use at most a day")
        if self.missed not in ("skip", "once"):
            _check_whole("missed", self.missed, 0, MOST_MISSED, "'skip', 'once' or ")
        if self.overlap not in ("allow", "skip", "queue"):
            raise InvalidSchedule(f"overlap {show(self.overlap)} is unknown; use 'allow', 'skip' or 'queue'")


@dataclass(frozen=True, slots=True)
class _Note:
    """What a decorator was told."""

    decorator: str
    when: Mapping[str, Any]
    options: ScheduleOptions

    def schedule(self, task: Task[..., ..., Any]) -> Schedule:
        """The schedule of a task. Raises `ConfigurationError`."""
        options: dict[str, Any] = {**self.options}
        name, args = options.pop("name", task.name), options.pop("args", None) or {}
        try:
            return Schedule(name, task.job(**args), **self.when, **options)
        except (InvalidSchedule, InvalidJob) as error:
            raise ConfigurationError(f"@{self.decorator} of {task.where}: {error}") from error
        except TypeError as error:  # an option that does not exist, args that are no mapping
            raise ConfigurationError(f"@{self.decorator} of {task.where}: {error}") from error


def cron(expression: str, *, tz: str = "UTC", **options: Unpack[ScheduleOptions]) -> Callable[[F], F]:
    """Has a handler run by a cron expression: `@cron("0 9 * * mon-fri", tz="Europe/Berlin")`, above or below `@job`.

    name:  of the schedule; the task's name unless given. A second schedule of one task needs one.
    args:  keyword arguments of its jobs.
    tz and the other options are those of `Schedule`.

    Raises `ConfigurationError`, naming the place that is wrong.
    """
    return _decorator(_Note("cron", {"cron": expression, "tz": tz}, options), lambda: Cron(expression, tz))


def every(
    length: Seconds | None = None,
    /,
    *,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
    **options: Unpack[ScheduleOptions],
) -> Callable[[F], F]:
    """Has a handler run again and again: `@every(minutes=5)`, above or below `@job`. Options as for `cron`.

    length:  instead of the units: seconds or a timedelta.

    Raises `ConfigurationError`.
    """
    if length is None:
        try:
            length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigurationError(f"@every: {error}; give numbers of days, hours, minutes and seconds") from error
    elif days or hours or minutes or seconds:
        raise ConfigurationError(f"@every was given {show(length)} and units as well; give one")
    return _decorator(_Note("every", {"every": length}, options), lambda: Every(length))


def declared() -> list[Schedule]:
    """The schedules of all registered tasks, by name. Raises `ConfigurationError`."""
    found: dict[str, tuple[Schedule, str]] = {}
    for task in dict.fromkeys(registry.values()):
        for note in getattr(task, _NOTES, ()):
            schedule = note.schedule(task)
            if schedule.name in found:
                raise ConfigurationError(
                    f"two schedules are called {show(schedule.name)}, of {found[schedule.name][1]} and {task.where}; "
                    "give one of them name=…"
                )
            found[schedule.name] = schedule, task.where
    return [found[name][0] for name in sorted(found)]


def first_moment(rule: Rule, since: datetime, start_at: datetime | None, end_at: datetime | None) -> datetime | None:
    """The first moment of a rule after `since` that is neither before start_at nor after end_at; None without one."""
    found: datetime | None
    if isinstance(rule, Every):
        found = _first_of_interval(rule, since, start_at)
    else:
        found = rule.after(since if start_at is None else max(since, start_at - timedelta(microseconds=1)))
    return None if found is None or (end_at is not None and found > end_at) else found


def check_name(name: object) -> None:
    """Refuses what is no name of a schedule."""
    try:
        check_kind(name)
    except InvalidJob as error:
        raise InvalidSchedule(str(error).replace("job kind", "schedule name", 1)) from error


def _first_of_interval(rule: Every, since: datetime, start_at: datetime | None) -> datetime | None:
    if start_at is None:
        return rule.after(since)
    if start_at > since:
        return start_at.astimezone(UTC)
    return rule.after(rule.latest(start_at, since, 1)[0])


def _decorator(note: _Note, check: Callable[[], Rule]) -> Callable[[F], F]:
    try:
        check()
    except InvalidSchedule as error:
        raise ConfigurationError(f"@{note.decorator}: {error}") from error

    def decorate(target: F) -> F:
        if not callable(target) or isinstance(target, type):
            raise ConfigurationError(f"@{note.decorator} was put on {show(target)}; it goes on a function")
        target.__dict__.setdefault(_NOTES, []).append(note)
        if isinstance(target, Task):
            note.schedule(target)  # now, so that what is wrong is told where it stands
        return target

    return decorate


def _check_moment(what: str, moment: object) -> None:
    if moment is None:
        return
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise InvalidSchedule(f"{what} {show(moment)} names no moment; give a datetime with a time zone")
    if not _EARLIEST <= moment <= _LATEST:
        raise InvalidSchedule(f"{what} {show(moment)} is out of range; use the years 1 to 9999")


def _check_whole(what: str, value: object, low: int, high: int, other: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidSchedule(f"{what} {show(value)} is out of range; use {other}{low} to {high}")


def _seconds(what: str, value: Seconds) -> float:
    try:
        return seconds(what, value, zero=True)
    except InvalidJob as error:
        raise InvalidSchedule(str(error)) from error
