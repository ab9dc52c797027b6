"""What to do about a schedule that is due: which moments to fire, and where it goes on. Pure arithmetic.

A moment is *missed* when it came more than `ON_TIME` ago and nobody was there to fire it; the schedule says how many of
those are made up for. Later ones fire each: a new owner takes a moment to come. What waits for the run before is not
missed: its owner was there until `watched_at`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from pgqueue.calls.schedules import DueSchedule, Step
from pgqueue.cron import Cron, Every, Rule
from pgqueue.schedule import first_moment

ON_TIME: Final = timedelta(seconds=10)
"""How late a moment may fire without counting as missed."""
MOST_STEPS: Final = 1000
"""Steps of one schedule at a time; the others follow."""


@lru_cache(maxsize=4096)
def rule_of(cron: str | None, every: float | None, tz: str) -> Rule:
    """The rule of a schedule. Raises `InvalidSchedule`."""
    return Cron(cron, tz) if cron is not None else Every(every or 0)


def first(schedule: DueSchedule) -> datetime | None:
    """The first moment of a schedule that has none yet. Raises `InvalidSchedule`."""
    rule = rule_of(schedule.cron, schedule.every, schedule.tz)
    return first_moment(rule, schedule.since, schedule.start_at, schedule.end_at)


def steps(schedule: DueSchedule, now: datetime) -> list[Step]:
    """The steps from where it stands past `now`, in order; one at a time if runs queue. Raises `InvalidSchedule`."""
    found: list[Step] = []
    for step in _steps(schedule, now):
        found.append(step)
        if schedule.overlap == "queue" or len(found) == MOST_STEPS:
            break
    return found


def _steps(schedule: DueSchedule, now: datetime) -> Iterator[Step]:
    rule = rule_of(schedule.cron, schedule.every, schedule.tz)
    due = schedule.next_run_at
    missed_until = now - ON_TIME
    if schedule.end_at is not None:
        missed_until = min(missed_until, schedule.end_at)
    watched = due is not None and schedule.watched_at is not None and due <= schedule.watched_at
    if due is not None and due <= missed_until and not watched:
        last = rule.latest(due, missed_until, 1) or [due]
        kept: list[datetime | None] = [*rule.latest(due, missed_until, schedule.missed)] if schedule.missed else [None]
        following = rule.after(last[0])
        for fire_at, then in zip(kept, [*kept[1:], following], strict=True):
            assert due is not None
            yield _step(schedule, due, fire_at, then)
            due = then
    while due is not None and due <= now and not _is_over(schedule, due):
        following = rule.after(due)
        yield _step(schedule, due, due, following)
        due = following


def _step(schedule: DueSchedule, due: datetime, fire: datetime | None, goes_on: datetime | None) -> Step:
    if goes_on is not None and _is_over(schedule, goes_on):
        goes_on = None
    return Step(schedule.name, schedule.revision, due, fire, goes_on)


def _is_over(schedule: DueSchedule, moment: datetime) -> bool:
    return schedule.end_at is not None and moment > schedule.end_at
