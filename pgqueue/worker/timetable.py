"""The schedules that come next, and firing them on time.

The owner reads what is due within the next tick, once a tick or when somebody rings, and keeps it here. In between a
timer takes it to the next moment: a few milliseconds early it calls pgqueue.fire, which waits for the moment on the
server. So when a schedule fires depends neither on how often anybody looks nor on this machine's clock; and what was
read here may be old, since the row itself decides.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import psycopg

from pgqueue.calls import Beat, Call
from pgqueue.calls import schedules as calls
from pgqueue.calls.schedules import DueSchedule, Fired, Look, Step
from pgqueue.errors import InvalidJob, InvalidSchedule
from pgqueue.worker.logs import fields, log
from pgqueue.worker.steps import first, steps

AHEAD: Final = 1.5
"""Seconds ahead that the owner reads: more than a tick."""
EARLY: Final = 0.025
"""Seconds before its moment that the timer goes off; the rest is waited for on the server."""
TOGETHER: Final = timedelta(milliseconds=2)
"""Moments so close to each other are fired in one call."""
PATIENCE: Final = 1.5
"""Seconds a moment may be overdue until workers that do not lead step in: its owner must have frozen."""
HELD: Final = 0.1
"""Seconds between looks at a schedule that waits for the run before."""
READ: Final = 1000
"""Schedules that are read at a time."""
AT_ONCE: Final = 100
"""Steps in one transaction: more would keep the first from their workers for too long."""

Do = Callable[[Call[Any]], Any]
"""Runs a call on the steward's connection."""


_FAULTS: Final = (InvalidJob, InvalidSchedule, psycopg.DataError, psycopg.IntegrityError, psycopg.errors.RaiseException)
"""What a schedule's own row can be the reason of; everything else is trouble with the server."""


class Timetable:
    """Knows what is due until the next look, and fires it."""

    def __init__(self) -> None:
        self.direct = True
        """Whether the steward has a session of its own."""
        self._upcoming: dict[str, DueSchedule] = {}
        self._held: dict[str, float] = {}
        """When to look again at what waits for the run before, by `time.monotonic`."""
        self._epoch = datetime(2000, 1, 1, tzinfo=UTC)
        """The server's time when `time.monotonic` was 0, no later than it was."""

    def look(self, do: Do, beat: Beat | None = None) -> Look:
        """Reads what comes next and fires what is due; what was seen. beat: given along.

        One that does not only sees to what others left undone.
        """
        while True:
            seen: Look = do(calls.look(AHEAD, PATIENCE, READ, self.direct, beat))
            self._note(seen.schedules)
            for schedule in seen.schedules:
                if schedule.next_run_at is None:
                    self._plan(do, schedule)
            moved = self.fire(do)
            if not seen.leads:
                self._upcoming.clear()
            if len(seen.schedules) < READ or not moved:
                return seen

    @property
    def next_at(self) -> float:
        """When to call `fire`, by `time.monotonic`; infinite for never."""
        return min(map(self._timer, self._upcoming.values()), default=math.inf)

    def fire(self, do: Do) -> int:
        """Fires what is due; the answer is how many schedules moved on."""
        now = time.monotonic()
        ready = [schedule for schedule in self._upcoming.values() if self._timer(schedule) <= now]
        if not ready:
            return 0
        soonest = min(schedule.next_run_at for schedule in ready if schedule.next_run_at is not None)
        until = max(soonest, self._server_time(now)) + TOGETHER
        wanted: list[Step] = []
        for schedule in sorted(ready, key=lambda schedule: schedule.name):
            if schedule.next_run_at is not None and schedule.next_run_at <= until:
                wanted += self._steps(do, schedule, until)
        moved = 0
        for start in range(0, len(wanted), AT_ONCE):
            batch = wanted[start : start + AT_ONCE]
            moved += self._took(batch, self._fire(do, batch))
        return moved

    def _server_time(self, now: float) -> datetime:
        """The server's clock, no later than it is. now: `time.monotonic`."""
        return self._epoch + timedelta(seconds=now)

    def _note(self, found: Sequence[DueSchedule]) -> None:
        """Forgets what was read before."""
        received = time.monotonic()
        self._upcoming = {schedule.name: schedule for schedule in found}
        self._held = {name: at for name, at in self._held.items() if name in self._upcoming}
        for schedule in found:
            self._epoch = schedule.now - timedelta(seconds=received)
            break

    def _timer(self, schedule: DueSchedule) -> float:
        if schedule.next_run_at is None:
            return math.inf
        return max((schedule.next_run_at - self._epoch).total_seconds() - EARLY, self._held.get(schedule.name, 0.0))

    def _plan(self, do: Do, schedule: DueSchedule) -> None:
        """Works out the first moment of a schedule."""
        try:
            moment = first(schedule)
        except Exception as error:  # a wrong expression, or one that its library trips over: the others go on
            self._rests(do, schedule, error)
            return
        self._upcoming.pop(schedule.name)
        if do(calls.plan_schedule(schedule.name, schedule.revision, moment, None)) and moment is not None:
            self._upcoming[schedule.name] = schedule._replace(next_run_at=moment)

    def _steps(self, do: Do, schedule: DueSchedule, until: datetime) -> list[Step]:
        try:
            found = steps(schedule, until)
        except Exception as error:
            self._rests(do, schedule, error)
            return []
        if not found:
            del self._upcoming[schedule.name]
        elif found[0].fire_at != found[0].due_at:
            made_up = sum(step.fire_at is not None for step in found)
            log.warning(
                "schedule missed moments while nobody was running",
                extra=fields(schedule=schedule.name, since=found[0].due_at, made_up_for=made_up),
            )
        return found

    def _fire(self, do: Do, batch: Sequence[Step]) -> list[Fired]:
        try:
            return list(do(calls.fire(batch)))
        except _FAULTS as error:
            if len(batch) > 1:  # one of them is at fault; the others must not suffer for it
                return [fired for step in batch for fired in self._fire(do, [step])]
            schedule = self._upcoming.get(batch[0].name)
            if schedule is not None:
                self._rests(do, schedule, error)
            return []

    def _took(self, batch: Sequence[Step], fired: Sequence[Fired]) -> int:
        """Notes where each schedule goes on."""
        goes_on = {(step.name, step.due_at): step.next_run_at for step in batch}
        moved = set()
        for name, due_at, outcome, job in fired:
            log.debug("schedule %s", outcome, extra=fields(schedule=name, due_at=due_at, job=job))
            schedule = self._upcoming.get(name)
            if schedule is None:
                continue
            next_run_at = goes_on[name, due_at]
            now = time.monotonic()
            if outcome == "held":
                self._held[name] = now + HELD
                self._upcoming[name] = schedule._replace(watched_at=self._server_time(now))
            elif outcome in ("stale", "early") or next_run_at is None:
                del self._upcoming[name]  # the next look tells how it stands
            else:
                watched_at = schedule.watched_at if next_run_at <= self._server_time(now) else None
                self._upcoming[name] = schedule._replace(next_run_at=next_run_at, watched_at=watched_at)
                moved.add(name)
        return len(moved)

    def _rests(self, do: Do, schedule: DueSchedule, error: Exception) -> None:
        """Keeps the error on the schedule's row, where people see it."""
        told = str(error) if isinstance(error, InvalidSchedule) else f"{type(error).__name__}: {error}"
        log.error("schedule cannot go on until it is changed", extra=fields(schedule=schedule.name, error=told))
        self._upcoming.pop(schedule.name, None)
        do(calls.plan_schedule(schedule.name, schedule.revision, None, told.replace("\0", " ")[:2000]))
